// SPDX-License-Identifier: Apache-2.0

// Package fast drives connections by fasthttp's server and client.
package fast

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"github.com/valyala/fasthttp"
	"golang.org/x/sys/unix"

	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/dataplane/router"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/test/bench/drivers/internal/site"
)

// Server is fasthttp's server in front of its client.
//
// What it lacks: the client offers no way to end a call from outside, so that a
// departed client is not noticed before its answer is written; a request with a
// streamed body is not sent again, though it met a connection that the backend
// had closed and nothing of it was sent; a request's head and body share one
// timeout.
type Server struct {
	site   *site.Site
	client *fasthttp.HostClient
	server *fasthttp.Server
	states sync.Pool
}

// New returns a server that does not listen yet.
func New(s *site.Site) *Server {
	server := &Server{site: s}
	server.states.New = func() any {
		return &state{x: pipeline.NewExchange(pipeline.NewLifetime(context.Background()))}
	}
	server.client = &fasthttp.HostClient{
		Addr:     s.Backend.String(),
		MaxConns: 1 << 16, MaxIdleConnDuration: site.UpstreamIdle,
		ReadTimeout: site.ReadTimeout, WriteTimeout: site.WriteTimeout,
		NoDefaultUserAgentHeader: true, DisableHeaderNamesNormalizing: true, DisablePathNormalizing: true,
		StreamResponseBody: true,
		Dial:               dial,
		RetryIfErr: func(r *fasthttp.Request, attempts int, err error) (reset, retry bool) {
			return false, errors.Is(err, errStale) || attempts < 5 && !r.Header.IsPost() && !r.IsBodyStream()
		},
	}
	server.server = &fasthttp.Server{
		Handler: server.serve, Name: site.Product,
		ReadTimeout: site.HeaderTimeout, WriteTimeout: site.SendTimeout, IdleTimeout: site.KeepaliveTimeout,
		ReduceMemoryUsage: true, StreamRequestBody: true, NoDefaultContentType: true, NoDefaultServerHeader: true,
		DisableHeaderNamesNormalizing: true, Concurrency: 1 << 20,
	}
	return server
}

// Serve serves a listener; config is nil for plaintext.
func (s *Server) Serve(l net.Listener, config *tls.Config) {
	if config != nil {
		l = tls.NewListener(l, config)
	}
	_ = s.server.Serve(l)
}

// backend is a connection to the backend, which is not written to once the
// backend closed it.
type backend struct {
	net.Conn
	raw   syscall.RawConn
	read  bool
	probe func(fd uintptr)
	quiet bool
}

var errStale = errors.New("fast: the backend closed an idle connection")

func dial(address string) (net.Conn, error) {
	nc, err := (&net.Dialer{Timeout: site.ConnectTimeout}).DialContext(context.Background(), "tcp", address)
	if err != nil {
		return nil, err
	}
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		return nil, err
	}
	b := &backend{Conn: nc, raw: raw}
	b.probe = func(fd uintptr) {
		fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLRDHUP}}
		n, err := unix.Poll(fds[:], 0)
		b.quiet = err == nil && n == 0
	}
	return b, nil
}

// Read implements net.Conn.
func (b *backend) Read(p []byte) (int, error) {
	b.read = true
	return b.Conn.Read(p)
}

// Write implements net.Conn.
func (b *backend) Write(p []byte) (int, error) {
	if b.read {
		b.read = false
		if b.quiet = false; b.raw.Control(b.probe) != nil || !b.quiet {
			return 0, errStale
		}
	}
	return b.Conn.Write(p)
}

// state is what a request takes beside fasthttp's own.
type state struct {
	x       *pipeline.Exchange
	input   router.Input
	id      [32]byte
	scratch []byte
}

func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// hopByHop are removed from requests and answers.
var hopByHop = []string{"Connection", "Keep-Alive", "Proxy-Connection", "Proxy", "Te", "Upgrade", "HTTP2-Settings"}

func (s *Server) serve(ctx *fasthttp.RequestCtx) {
	st := s.states.Get().(*state)
	defer s.states.Put(st)
	x, h := st.x, &ctx.Request.Header
	x.Reset()
	now := time.Now()
	x.Times.Start = now
	site.NewID(&st.id)
	x.RequestID = view(st.id[:])
	scheme := "http"
	if ctx.IsTLS() {
		scheme = "https"
	}
	uri := ctx.Request.URI()
	host, port := router.SplitHost(view(h.Host()))
	path := view(uri.Path())
	peer, local := addrPort(ctx.RemoteAddr()), addrPort(ctx.LocalAddr())
	x.RequestFacts = plugin.Request{Method: view(h.Method()), Scheme: scheme, Authority: view(h.Host()), Host: host, Target: view(h.RequestURI()), Path: path, Major: 1, Minor: 1}
	x.ClientFacts = plugin.Client{Peer: peer, Local: local, IP: peer.Addr(), Port: peer.Port(), ForwardedScheme: scheme, ForwardedHost: host, ForwardedPort: local.Port()}
	_ = x.Rewrite(s.site.Unrouted())
	st.input = router.Input{Host: host, Port: port, Method: x.RequestFacts.Method, Path: path, TLS: ctx.IsTLS()}
	match, plan, ok := s.site.Match(&st.input)
	if !ok {
		ctx.Error("no Route matched with those values", 404)
		return
	}
	x.MatchedRoute, x.MatchedService = match.Route.Entity, match.Route.Service
	_ = x.Access(plan)
	x.Times.AccessDone = time.Now()
	st.forward(h)
	ctx.Request.URI().SetScheme("http") // HostClient takes it for a wish of its own
	h.SetHost(s.client.Addr)
	if err := s.client.Do(&ctx.Request, &ctx.Response); err != nil {
		ctx.Response.Reset()
		ctx.Error("An invalid response was received from the upstream server", 502)
		return
	}
	s.answer(st, &ctx.Response.Header)
	x.Times.End = time.Now()
	_ = x.Log()
}

// forward makes the header the one that the backend gets.
func (st *state) forward(h *fasthttp.RequestHeader) {
	x := st.x
	for _, name := range hopByHop {
		h.Del(name)
	}
	ip := x.ClientFacts.IP.AppendTo(st.scratch[:0])
	st.scratch = ip
	h.SetBytesV("X-Real-IP", ip)
	if old := h.Peek("X-Forwarded-For"); len(old) > 0 {
		ip = append(append(append([]byte(nil), old...), ", "...), ip...)
	}
	h.SetBytesV("X-Forwarded-For", ip)
	h.Set("X-Forwarded-Proto", x.ClientFacts.ForwardedScheme)
	h.Set("X-Forwarded-Host", x.ClientFacts.ForwardedHost)
	st.scratch = strconv.AppendUint(st.scratch[:0], uint64(x.ClientFacts.ForwardedPort), 10)
	h.SetBytesV("X-Forwarded-Port", st.scratch)
	h.Set("X-Forwarded-Path", x.RequestFacts.Path)
	h.Del("X-Forwarded-Prefix")
	h.Set("Via", "1.1 "+site.Product)
	h.SetBytesV("X-Kong-Request-Id", st.id[:])
	h.Set("Connection", "keep-alive")
}

// answer makes the header the one that the client gets.
func (s *Server) answer(st *state, h *fasthttp.ResponseHeader) {
	x := st.x
	now := time.Now()
	x.Answer.Status, x.Answer.Source, x.Times.FirstByte = h.StatusCode(), plugin.SourceUpstream, now
	_ = x.FilterHeader()
	for _, name := range hopByHop {
		h.Del(name)
	}
	st.scratch = strconv.AppendInt(st.scratch[:0], now.Sub(x.Times.AccessDone).Milliseconds(), 10)
	h.SetBytesV("X-Kong-Upstream-Latency", st.scratch)
	st.scratch = strconv.AppendInt(st.scratch[:0], x.Times.AccessDone.Sub(x.Times.Start).Milliseconds(), 10)
	h.SetBytesV("X-Kong-Proxy-Latency", st.scratch)
	h.Set("Via", "1.1 "+site.Product)
	h.SetBytesV("X-Kong-Request-Id", st.id[:])
	if len(h.Server()) == 0 {
		h.SetServer(site.Product)
	}
	h.Set("Connection", "keep-alive")
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort()
	}
	return netip.AddrPort{}
}
