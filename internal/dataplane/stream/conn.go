// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/listener"
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/dataplane/router"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// conn is one TCP session.
type conn struct {
	server *Server
	spec   *listener.Spec
	socket *net.TCPConn
	life   *pipeline.Lifetime
	x      *pipeline.Session

	// ahead was read before the session was connected; first is its buffer.
	ahead []byte
	first *[firstBuffer]byte

	// mu guards what abort closes.
	mu       sync.Mutex
	upstream net.Conn
	aborted  bool
}

func newConn(s *Server, socket *net.TCPConn, spec *listener.Spec) *conn {
	c := &conn{server: s, spec: spec, socket: socket, life: pipeline.NewLifetime(s.context)}
	c.x = pipeline.NewSession(c.life)
	c.x.Times.Start = time.Now()
	c.x.ClientFacts.Peer = unmapped(socket.RemoteAddr().(*net.TCPAddr).AddrPort())
	c.x.ClientFacts.Local = unmapped(socket.LocalAddr().(*net.TCPAddr).AddrPort())
	return c
}

// abort cuts the session off. It may be called by any goroutine.
func (c *conn) abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.aborted = true
	c.life.Cancel()
	_ = c.socket.Close()
	if c.upstream != nil {
		_ = c.upstream.Close()
	}
}

// connected notes the connection to the upstream, so that abort reaches it.
func (c *conn) connected(upstream net.Conn) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.aborted {
		_ = upstream.Close()
		return context.Canceled
	}
	c.upstream = upstream
	return nil
}

// serve takes the session from its first byte to its last.
func (c *conn) serve() {
	defer c.server.conns.remove(c)
	defer c.life.End()
	defer c.releaseAhead()
	defer func() { _ = c.socket.Close() }()
	plan := c.run()
	c.x.Times.End = time.Now()
	c.server.stats.end(TCP, c.x.EndStatus, c.x.FromClient, c.x.ToClient)
	if plan != nil {
		c.server.fault(c.x.Log(plan.StreamPlan), c.x)
		plan.release(c.server)
	}
}

// run serves the session and sets its status. The plan is nil where no route
// was found; else it is held.
func (c *conn) run() *plan {
	header, err := c.preread()
	if err != nil {
		// What a port scanner says is no news.
		c.x.EndStatus = http.StatusBadRequest
		c.server.log.Debug("session refused", "client", c.x.ClientFacts.Peer, "error", err)
		return nil
	}
	c.identify(header)
	held := c.server.hold()
	plan, session := c.open(held)
	held.release()
	if session != nil {
		session.relay(c)
	}
	return plan
}

// open finds the session's route, runs the preread phase and connects. Without
// a proxied session the status says why there is none.
func (c *conn) open(held *snapshot) (*plan, *proxied) {
	x := c.x
	route, service, ok := c.server.match(held, x, c.protocol())
	if !ok {
		return nil, nil
	}
	plan := held.planOf(route)
	plan.hold()
	client, err := plainSide(c.socket)
	if err != nil {
		x.EndStatus = http.StatusInternalServerError
		return plan, nil
	}
	x.UsedProtocol = protocolOf(route, c.spec.TLS)
	if x.UsedProtocol == entity.ProtocolTLS {
		terminated, err := c.terminate(held)
		if err != nil {
			x.EndStatus = http.StatusInternalServerError
			c.server.log.Debug("TLS handshake failed", "client", x.ClientFacts.IP, "sni", x.ServerName, "error", err)
			return plan, nil
		}
		client.tls = terminated
	}
	c.server.conns.opened(c)
	_ = c.socket.SetReadDeadline(time.Time{})
	target := c.server.prepare(held, x, plan, service)
	if target == nil {
		return plan, nil
	}
	defer target.close()
	return plan, c.connect(target, client, route.PreserveHost)
}

// protocol is how routes for the listener are asked for.
func (c *conn) protocol() entity.Protocol {
	if c.spec.TLS {
		return entity.ProtocolTLS
	}
	return entity.ProtocolTCP
}

// protocolOf is what the session is: a route of several protocols serves those
// of its listener.
func protocolOf(r *router.Route, tls bool) entity.Protocol {
	switch {
	case !tls:
		return entity.ProtocolTCP
	case slices.Contains(r.Entity.Protocols, entity.ProtocolTLSPassthrough):
		return entity.ProtocolTLSPassthrough
	default:
		return entity.ProtocolTLS
	}
}

// terminate answers the ClientHello that was read.
func (c *conn) terminate(held *snapshot) (*tls.Conn, error) {
	if c.server.tls == nil {
		return nil, errors.New("the gateway has no TLS settings")
	}
	deadline := time.Now().Add(c.server.settings.SSLHandshakeTimeout)
	_ = c.socket.SetDeadline(deadline)
	gated, ok := c.server.options.Handshakes.Begin(c.life.Context(), &replayed{TCPConn: c.socket, ahead: c.ahead}, deadline)
	if !ok {
		return nil, context.DeadlineExceeded
	}
	defer gated.Done()
	secured := tls.Server(gated, c.server.tls)
	c.ahead = nil
	ctx := context.WithValue(c.life.Context(), handshakeSnapshot{}, held)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	_ = c.socket.SetDeadline(time.Time{})
	state := secured.ConnectionState()
	c.x.ClientFacts.TLS = &state
	// From here on, what counts is what the records carry.
	c.x.FromClient = 0
	return secured, nil
}

// replayed is a socket whose first bytes were read before.
type replayed struct {
	*net.TCPConn
	ahead []byte
}

func (r *replayed) Read(p []byte) (int, error) {
	if len(r.ahead) > 0 {
		n := copy(p, r.ahead)
		r.ahead = r.ahead[n:]
		return n, nil
	}
	return r.TCPConn.Read(p)
}

// match finds the route of a session and its service. It sets the status where
// there is none.
func (s *Server) match(held *snapshot, x *pipeline.Session, protocol entity.Protocol) (*router.Route, *service, bool) {
	f := &x.ClientFacts
	route, ok := held.router.Match(&router.StreamInput{
		Protocol: protocol, SNI: x.ServerName,
		Source:      netip.AddrPortFrom(f.IP, f.Port),
		Destination: netip.AddrPortFrom(f.Local.Addr(), f.ForwardedPort),
	})
	if !ok {
		x.EndStatus = http.StatusInternalServerError
		s.log.Debug("no route for a session", "client", f.IP, "local", f.Local, "sni", x.ServerName)
		return nil, nil, false
	}
	data := route.Data.(*routed)
	x.MatchedRoute, x.MatchedService = route.Entity, route.Service
	return route, data.service, true
}

// prepare runs the preread phase and returns where the session goes. Without a
// target the status says why.
func (s *Server) prepare(held *snapshot, x *pipeline.Session, plan *plan, service *service) *target {
	x.Times.Access = time.Now()
	s.fault(x.Preread(plan.StreamPlan), x)
	x.Times.AccessDone = time.Now()
	if x.EndStatus != 0 {
		return nil
	}
	target := held.target(x, service)
	if target == nil {
		x.EndStatus = http.StatusServiceUnavailable
		s.warnings.warn(s.log, "a stream route has no usable service", "route", x.MatchedRoute.ID, "name", x.MatchedRoute.Name)
	}
	return target
}

// fault reports a broken plugin.
func (s *Server) fault(f *pipeline.Fault, x plugin.Session) {
	if f != nil {
		s.log.Error("plugin failed", "plugin", f.Plugin, "phase", f.Phase, "client", x.Client().IP, "error", f.Value, "stack", string(f.Stack))
	}
}
