// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"net"
	"net/http"
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
		Method: http1.View(x.UpstreamRequest.Method), Path: ex.targetPath(),
		Query: http1.View(x.UpstreamRequest.Query), HasQuery: x.UpstreamRequest.HasQuery,
		Host: host, Header: h, Framing: framing, ContentLength: length,
		Connection: http1.ConnectionKeepAlive,
	}
	if ex.req.WebSocket {
		head.Connection = http1.ConnectionUpgrade
	}
	return ex.up.sendHead(head, first, more, now)
}

// targetPath returns the path of the request's target. It begins with "/"
// whatever a plugin made of it (RFC 9112 §3.2.1): else its beginning, which may
// be the client's, could stand for another host, or for the server as a whole.
// That is asked only by a client's own "OPTIONS *".
func (ex *exchange) targetPath() []byte {
	from, to := &ex.x.RequestFacts, &ex.x.UpstreamRequest
	whole := to.Path == "*" && to.Method == http.MethodOptions && from.Path == "*" && from.Method == http.MethodOptions
	if whole || strings.HasPrefix(to.Path, "/") {
		return http1.View(to.Path)
	}
	return ex.arena.Join([]byte("/"), http1.View(to.Path))
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
	if !overTLS(scheme) && port == 80 || overTLS(scheme) && port == 443 {
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
