// SPDX-License-Identifier: Apache-2.0

package site

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"time"
	"unsafe"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/dataplane/router"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

var (
	requestLimits  = http1.DefaultLimits()
	responseLimits = http1.DefaultResponseLimits()
	via            = []byte("1.1 " + Product)
)

// Peers are the two ends of a client's connection.
type Peers struct {
	Client, Local netip.AddrPort
	TLS           bool
}

// Exchange is one request and its answer. It is reused, by one goroutine at a
// time.
type Exchange struct {
	Request  http1.Request
	Response http1.Response
	// Body decodes the request's body, Answer that of the answer.
	Body, Answer http1.Decoder

	site   *Site
	arena  http1.Arena
	x      *pipeline.Exchange
	plan   *pipeline.Plan
	input  router.Input
	match  router.Result
	head   http1.Header
	id     [32]byte
	upPath []byte
}

// NewExchange returns an exchange for a site.
func (s *Site) NewExchange() *Exchange {
	return &Exchange{site: s, x: pipeline.NewExchange(pipeline.NewLifetime(context.Background()))}
}

// Reset makes ready for the next request.
func (e *Exchange) Reset() {
	e.Request.Reset()
	e.Response.Reset()
	e.arena.Reset()
	e.x.Reset()
	e.plan = nil
}

// ParseRequest parses a request's head.
func (e *Exchange) ParseRequest(buf []byte) (int, error) {
	return http1.ParseRequest(buf, &requestLimits, &e.Request)
}

// ParseResponse parses an answer's head.
func (e *Exchange) ParseResponse(buf []byte) (int, error) {
	n, err := http1.ParseResponse(buf, &responseLimits, e.Request.MethodID, &e.Response)
	if err == nil {
		e.Answer.ResetResponse(&e.Response, &responseLimits)
	}
	return n, err
}

func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// Route finds the route of a parsed request and says whether its plan may wait.
func (e *Exchange) Route(peers Peers, now time.Time) (found, mayBlock bool) {
	r, x := &e.Request, e.x
	e.Body.ResetRequest(r, &requestLimits)
	NewID(&e.id)
	x.RequestID, x.Times.Start = view(e.id[:]), now
	scheme := "http"
	if peers.TLS {
		scheme = "https"
	}
	host, port := router.SplitHost(view(r.Host))
	x.RequestFacts = plugin.Request{
		Method: view(r.Method), Scheme: scheme, Authority: view(r.Host), Host: host, Target: view(r.Target),
		Path: view(r.Path), Query: view(r.Query), HasQuery: r.HasQuery, Major: 1, Minor: int(r.Minor),
	}
	x.ClientFacts = plugin.Client{
		Peer: peers.Client, Local: peers.Local, IP: peers.Client.Addr(), Port: peers.Client.Port(),
		ForwardedScheme: scheme, ForwardedHost: host, ForwardedPort: peers.Local.Port(),
	}
	path := r.Path
	if !r.PlainPath {
		path = http1.NormalizePath(nil, r.Path)
	}
	e.input = router.Input{Host: host, Port: port, Method: view(r.Method), Path: view(path), TLS: peers.TLS}
	_ = x.Rewrite(e.site.Unrouted())
	if e.match, e.plan, found = e.site.Match(&e.input); !found {
		return false, false
	}
	x.MatchedRoute, x.MatchedService = e.match.Route.Entity, e.match.Route.Service
	e.upPath = e.match.BuildPath(e.upPath[:0])
	return true, e.plan.Needs().MayBlock
}

// Access runs the plan's access phase.
func (e *Exchange) Access() { _ = e.x.Access(e.plan) }

// AppendRequest appends the head that the backend gets.
func (e *Exchange) AppendRequest(dst []byte, now time.Time) ([]byte, error) {
	x, h, r := e.x, &e.head, &e.Request
	x.Times.AccessDone = now
	h.CopyFrom(&r.Header)
	ip := x.ClientFacts.IP.AppendTo(e.arena.Alloc(64)[:0])
	forwarded := ip
	if old, ok := h.GetID(http1.HeaderXForwardedFor); ok {
		forwarded = e.arena.Join(old, http1.View(", "), ip)
	}
	h.ReplaceID(http1.HeaderXRealIP, ip)
	h.ReplaceID(http1.HeaderXForwardedFor, forwarded)
	h.ReplaceID(http1.HeaderXForwardedProto, http1.View(x.ClientFacts.ForwardedScheme))
	h.ReplaceID(http1.HeaderXForwardedHost, http1.View(x.ClientFacts.ForwardedHost))
	h.ReplaceID(http1.HeaderXForwardedPort, e.decimal(int64(x.ClientFacts.ForwardedPort)))
	h.ReplaceID(http1.HeaderXForwardedPath, http1.View(x.RequestFacts.Path))
	if prefix := e.match.ForwardedPrefix(); prefix != "" {
		h.ReplaceID(http1.HeaderXForwardedPrefix, http1.View(prefix))
	} else {
		h.ClearID(http1.HeaderXForwardedPrefix)
	}
	h.ReplaceID(http1.HeaderVia, via)
	h.ReplaceID(http1.HeaderXKongRequestId, e.id[:])
	return http1.AppendRequestHead(dst, &http1.RequestHead{
		Method: r.Method, Path: e.upPath, Query: r.Query, HasQuery: r.HasQuery,
		Host: e.arena.Join(e.site.Backend.AppendTo(e.arena.Alloc(64)[:0])), Header: h,
		Framing: r.Framing, ContentLength: r.ContentLength, Connection: http1.ConnectionKeepAlive,
	})
}

// AppendAnswer appends the head that the client gets, once the backend's was
// parsed.
func (e *Exchange) AppendAnswer(dst []byte, now time.Time, keep bool) ([]byte, error) {
	x, h := e.x, &e.Response.Header
	x.Answer.Status, x.Answer.Source, x.Times.FirstByte = e.Response.Status, plugin.SourceUpstream, now
	_ = x.FilterHeader()
	h.ReplaceID(http1.HeaderXKongUpstreamLatency, e.decimal(now.Sub(x.Times.AccessDone).Milliseconds()))
	h.ReplaceID(http1.HeaderXKongProxyLatency, e.decimal(x.Times.AccessDone.Sub(x.Times.Start).Milliseconds()))
	h.ReplaceID(http1.HeaderVia, via)
	h.ReplaceID(http1.HeaderXKongRequestId, e.id[:])
	if !h.HasID(http1.HeaderServer) {
		h.AddID(http1.HeaderServer, http1.View(Product))
	}
	if !h.HasID(http1.HeaderDate) {
		h.AddID(http1.HeaderDate, e.site.Date(now))
	}
	connection := http1.ConnectionKeepAlive
	if !keep {
		connection = http1.ConnectionClose
	}
	return http1.AppendResponseHead(dst, &http1.ResponseHead{
		Status: e.Response.Status, Reason: e.Response.Reason, Header: h,
		Framing: e.Response.Framing, ContentLength: e.Response.ContentLength, Connection: connection,
	})
}

// AppendFailure appends an answer of our own, after which the connection ends.
func AppendFailure(dst []byte, status int) []byte {
	dst, _ = http1.AppendResponseHead(dst, &http1.ResponseHead{
		Status: status, Framing: http1.BodyLength, Connection: http1.ConnectionClose,
	})
	return dst
}

// End runs the log phase.
func (e *Exchange) End(now time.Time) {
	e.x.Times.End = now
	_ = e.x.Log()
}

func (e *Exchange) decimal(n int64) []byte { return strconv.AppendInt(e.arena.Alloc(20)[:0], n, 10) }

// NewID writes 32 hexadecimal digits.
func NewID(dst *[32]byte) {
	const digits = "0123456789abcdef"
	for half := 0; half < len(dst); half += 16 {
		n := rand.Uint64()
		for i := range 16 {
			dst[half+i] = digits[n&15]
			n >>= 4
		}
	}
}
