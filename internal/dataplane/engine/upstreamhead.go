// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"net"
	"strings"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
)

// sendRequestHead sends the request head as the upstream will see it
// (https://docs.konghq.com/gateway/latest/how-kong-works/routing-traffic/#proxying-behavior),
// with the first bytes of the body.
func (ex *exchange) sendRequestHead(host []byte, framing http1.Framing, length int64, first []byte, more bool, now time.Time) error {
	x := ex.x
	h := &ex.head
	h.CopyFrom(&ex.req.Header)
	ex.forwardedHeaders(h)
	head := &ex.sentRequest
	*head = http1.RequestHead{
		Method: http1.View(x.UpstreamRequest.Method), Path: http1.View(x.UpstreamRequest.Path),
		Query: http1.View(x.UpstreamRequest.Query), HasQuery: x.UpstreamRequest.HasQuery,
		Host: host, Header: h, Framing: framing, ContentLength: length,
		Connection: http1.ConnectionKeepAlive,
	}
	if ex.req.WebSocket {
		head.Connection = http1.ConnectionUpgrade
	}
	return ex.up.sendHead(head, first, more, now)
}

// upstreamHost returns the Host header that the peer will see. The upstream's
// host_header takes the place of the target's name only: the port stays.
func (ex *exchange) upstreamHost(t *target, p *balancer.Peer) []byte {
	x := ex.x
	switch {
	case x.UpstreamRequest.Authority != "":
		return http1.View(x.UpstreamRequest.Authority)
	case ex.route != nil && ex.route.PreserveHost && len(ex.req.Host) > 0:
		return ex.req.Host
	case t.hostHeader() != "":
		return ex.authority(t.hostHeader(), int(p.Addr.Port()), t.scheme)
	}
	host := p.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return ex.authority(host, int(p.Addr.Port()), t.scheme)
}

// authority renders a Host header: the port is left out where it is the
// scheme's own.
func (ex *exchange) authority(host string, port int, scheme string) []byte {
	if scheme == "http" && port == 80 || scheme == "https" && port == 443 {
		return http1.View(host)
	}
	return ex.arena.Join(http1.View(host), http1.View(":"), ex.decimal(int64(port)))
}

// hostOnly strips the port of a Host header, and the brackets around an IPv6
// address.
func hostOnly(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

// forwardedHeaders adds who the client is, what it addressed and which way the
// request came.
func (ex *exchange) forwardedHeaders(h *http1.Header) {
	x := ex.x
	arena, client := &ex.arena, &x.ClientFacts
	ip := client.IP.AppendTo(ex.scratch())
	forwarded := ip
	if old, ok := joined(h, arena, http1.HeaderXForwardedFor); ok {
		forwarded = arena.Join(old, http1.View(", "), client.Peer.Addr().AppendTo(ex.scratch()))
	}
	path, prefix := http1.View(x.RequestFacts.Path), http1.View(ex.forwardedPrefix())
	port := ex.decimal(int64(client.ForwardedPort))
	if client.Trusted {
		// A trusted peer may say that there is none by sending it empty.
		keepTrusted(h, http1.HeaderXForwardedPath, &path)
		keepTrusted(h, http1.HeaderXForwardedPrefix, &prefix)
		if v, ok := h.GetID(http1.HeaderXForwardedPort); ok && len(v) == 0 {
			port = nil
		}
	}
	h.ReplaceID(http1.HeaderXRealIP, ip)
	h.ReplaceID(http1.HeaderXForwardedFor, forwarded)
	replaceOrClear(h, http1.HeaderXForwardedProto, http1.View(client.ForwardedScheme))
	replaceOrClear(h, http1.HeaderXForwardedHost, http1.View(client.ForwardedHost))
	replaceOrClear(h, http1.HeaderXForwardedPort, port)
	replaceOrClear(h, http1.HeaderXForwardedPath, path)
	replaceOrClear(h, http1.HeaderXForwardedPrefix, prefix)
	h.ReplaceID(http1.HeaderVia, ex.requestVia(h))
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

func keepTrusted(h *http1.Header, id http1.HeaderID, into *[]byte) {
	if v, ok := h.GetID(id); ok {
		*into = v
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
func (ex *exchange) requestVia(h *http1.Header) []byte {
	via := ex.engine.via
	if ex.req.Minor == 0 {
		via = ex.engine.viaHTTP10
	}
	if ex.http2 {
		via = ex.engine.viaHTTP2
	}
	if old, ok := h.GetID(http1.HeaderVia); ok && len(old) > 0 {
		return ex.arena.Join(old, http1.View(", "), via)
	}
	return via
}

// joined returns all lines of a header as one list.
func joined(h *http1.Header, arena *http1.Arena, id http1.HeaderID) ([]byte, bool) {
	var lines [8][]byte
	values := h.AppendValuesID(lines[:0], id)
	if len(values) == 0 {
		return nil, false
	}
	all := values[0]
	for _, v := range values[1:] {
		all = arena.Join(all, http1.View(", "), v)
	}
	return all, true
}

// scratch returns a short-lived buffer for rendering an address.
func (ex *exchange) scratch() []byte { return ex.arena.Alloc(64)[:0] }
