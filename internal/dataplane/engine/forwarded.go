// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
)

// forwarded are the fields of a request that say which way it came, as they
// were before the access phase: what plugins make of them there is overwritten,
// as in Kong. They are views of the request.
type forwarded struct {
	by   []byte // X-Forwarded-For, its lines joined; nil for none
	via  []byte // the first Via
	path originalField
	// prefix and port may be there and empty, by which a trusted peer says that
	// there is none.
	prefix, port originalField
}

type originalField struct {
	value   []byte
	present bool
}

func (f *forwarded) take(h *http1.Header, arena *http1.Arena) {
	*f = forwarded{}
	f.by, _ = joined(h, arena, http1.HeaderXForwardedFor)
	f.via, _ = h.GetID(http1.HeaderVia)
	f.path.value, f.path.present = h.GetID(http1.HeaderXForwardedPath)
	f.prefix.value, f.prefix.present = h.GetID(http1.HeaderXForwardedPrefix)
	f.port.value, f.port.present = h.GetID(http1.HeaderXForwardedPort)
}

// forwardedHeaders sets who the client is, what it addressed and which way the
// request came.
func (ex *exchange) forwardedHeaders(h *http1.Header) {
	x, original := ex.x, &ex.original
	arena, client := &ex.arena, &x.ClientFacts
	ip := client.IP.AppendTo(ex.scratch())
	by := ip
	if original.by != nil {
		by = arena.Join(original.by, http1.View(", "), client.Peer.Addr().AppendTo(ex.scratch()))
	}
	path, prefix := http1.View(x.RequestFacts.Path), http1.View(ex.forwardedPrefix())
	port := ex.decimal(int64(client.ForwardedPort))
	if client.Trusted {
		original.path.keep(&path)
		original.prefix.keep(&prefix)
		if original.port.present && len(original.port.value) == 0 {
			port = nil
		}
	}
	h.ReplaceID(http1.HeaderXRealIP, ip)
	h.ReplaceID(http1.HeaderXForwardedFor, by)
	replaceOrClear(h, http1.HeaderXForwardedProto, http1.View(client.ForwardedScheme))
	replaceOrClear(h, http1.HeaderXForwardedHost, http1.View(client.ForwardedHost))
	replaceOrClear(h, http1.HeaderXForwardedPort, port)
	replaceOrClear(h, http1.HeaderXForwardedPath, path)
	replaceOrClear(h, http1.HeaderXForwardedPrefix, prefix)
	h.ReplaceID(http1.HeaderVia, ex.requestVia())
	if ex.engine.settings.HeadersUpstream.RequestID {
		h.ReplaceID(http1.HeaderXKongRequestId, ex.id[:])
	}
}

func (ex *exchange) forwardedPrefix() string {
	if ex.route == nil {
		return ""
	}
	return ex.match.ForwardedPrefix()
}

// keep lets what a trusted peer sent stand.
func (f *originalField) keep(into *[]byte) {
	if f.present {
		*into = f.value
	}
}

func replaceOrClear(h *http1.Header, id http1.HeaderID, value []byte) {
	if len(value) > 0 {
		h.ReplaceID(id, value)
	} else {
		h.ClearID(id)
	}
}

// requestVia appends us to the first Via line; further lines are dropped, as
// Kong does.
func (ex *exchange) requestVia() []byte {
	via := ex.engine.via
	if ex.req.Minor == 0 {
		via = ex.engine.viaHTTP10
	}
	if ex.http2 {
		via = ex.engine.viaHTTP2
	}
	if old := ex.original.via; len(old) > 0 {
		return ex.arena.Join(old, http1.View(", "), via)
	}
	return via
}
