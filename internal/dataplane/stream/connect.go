// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/dataplane/dial"
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// target is where a session goes.
type target struct {
	service
	// own is a balancer for this session only, of a host that a plugin chose.
	own *balancer.Balancer
}

func (t *target) close() {
	if t.own != nil {
		t.own.Close()
	}
}

// target returns where a session goes: to its service, or to the host that a
// plugin chose; nil where there is neither.
func (s *snapshot) target(x *pipeline.Session, of *service) *target {
	chosen := x.Chosen()
	if chosen.Host == "" {
		if of == nil {
			return nil
		}
		return &target{service: *of}
	}
	t := &target{service: service{
		retries: defaultRetries, connectTimeout: defaultTimeout, writeTimeout: defaultTimeout, readTimeout: defaultTimeout,
	}}
	if of != nil {
		t.service = *of
	}
	if u, ok := s.balanced[chosen.Host]; ok {
		t.balancer, t.upstream = u.balancer, u.entity
		return t
	}
	t.own = balancer.Single(s.server.peerStates, chosen.Host, chosen.Port, s.server.options.Resolve)
	t.balancer, t.upstream = t.own, nil
	return t
}

// attempts walks through the peers of a target.
type attempts struct {
	server *Server
	x      *pipeline.Session
	target *target
	key    string
	tried  []*balancer.Peer
	peer   *balancer.Peer // of the attempt under way
}

func (s *Server) attempts(x *pipeline.Session, t *target) *attempts {
	a := &attempts{server: s, x: x, target: t}
	if t.upstream != nil {
		a.key, _ = balancer.HashKey(t.upstream, sessionFacts{x}, rand.Text)
	}
	return a
}

// next picks the peer of the next attempt. Without one the session's status
// says why.
func (a *attempts) next(ctx context.Context) bool {
	if len(a.tried) > a.target.retries {
		return false
	}
	started := time.Now()
	err := a.target.balancer.Prepare(ctx)
	if err == nil {
		a.peer, err = a.target.balancer.Pick(a.key, a.tried)
	}
	if err != nil {
		a.x.EndStatus = http.StatusServiceUnavailable
		a.server.warnings.warn(a.server.log, "no peer for a session", "route", a.x.MatchedRoute.ID, "error", err)
		return false
	}
	a.x.Attempts = append(a.x.Attempts, plugin.Try{Address: a.peer.Addr, Started: started, Latency: time.Since(started)})
	return true
}

// failed ends the attempt under way.
func (a *attempts) failed(err error) {
	try := &a.x.Attempts[len(a.x.Attempts)-1]
	try.Failure, try.Status = "failed", http.StatusBadGateway
	kind := balancer.FailureTCP
	if dial.KindOf(err) == dial.Timeout || isTimeout(err) {
		try.Status, kind = http.StatusGatewayTimeout, balancer.FailureTimeout
	}
	a.tried = append(a.tried, a.peer)
	a.target.balancer.Done(a.peer, 0)
	if len(a.tried) <= a.target.retries {
		a.target.balancer.ReportFailure(a.peer, kind)
	} else {
		a.target.balancer.ReportStatus(a.peer, try.Status)
	}
	a.x.EndStatus = http.StatusBadGateway
	a.server.warnings.warn(a.server.log, "a session's upstream cannot be reached",
		"route", a.x.MatchedRoute.ID, "upstream", a.peer.Addr, "error", err)
}

// connect makes the connection to the upstream, at another peer where one
// fails: nothing was sent yet. The status says why there is none.
func (c *conn) connect(t *target, client side, preserveHost bool) *proxied {
	a := c.server.attempts(c.x, t)
	for a.next(c.life.Context()) {
		upstream, err := c.dial(t, a.peer, preserveHost)
		if err == nil {
			c.x.Times.Sent = time.Now()
			c.x.EndStatus = 0
			return &proxied{
				client: client, upstream: upstream, idle: t.readTimeout, writeTimeout: t.writeTimeout,
				balancer: t.balancer, peer: a.peer,
			}
		}
		a.failed(err)
		if c.life.Context().Err() != nil {
			break
		}
	}
	return nil
}

// dial connects to a peer, with TLS where the service has it and the client's
// own is not passed on.
func (c *conn) dial(t *target, p *balancer.Peer, preserveHost bool) (side, error) {
	begin := time.Now()
	nc, err := c.server.options.Dialer.DialTimeout(c.life.Context(), "tcp", p.Addr.String(), t.connectTimeout)
	if err != nil {
		return side{}, err
	}
	socket, ok := nc.(*net.TCPConn)
	if !ok {
		_ = nc.Close()
		return side{}, net.UnknownNetworkError("the dialer returned no TCP socket")
	}
	if err := c.connected(socket); err != nil {
		return side{}, err
	}
	if t.tls == nil || c.x.UsedProtocol == entity.ProtocolTLSPassthrough {
		return plainSide(socket)
	}
	ctx, cancel := context.WithDeadline(c.life.Context(), begin.Add(t.connectTimeout))
	defer cancel()
	config := t.tls.Clone()
	config.ServerName = t.serverName(p, c.x.ServerName, preserveHost)
	secured := tls.Client(socket, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = socket.Close()
		return side{}, err
	}
	return side{tcp: socket, tls: secured}, nil
}

// serverName is the name that the upstream is asked for: the client's with
// preserve_host, else the upstream entity's host_header or the target's own. An
// address is not sent, and only compared with the certificate.
func (t *target) serverName(p *balancer.Peer, sni string, preserveHost bool) string {
	if preserveHost && sni != "" {
		return sni
	}
	if t.upstream != nil && t.upstream.HostHeader != "" {
		host := t.upstream.HostHeader
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		return host
	}
	return cmp.Or(p.Host, p.Addr.Addr().String())
}

// sessionFacts are what consistent hashing may look at of a session: there is
// nothing but the client's address.
type sessionFacts struct{ x *pipeline.Session }

// ConsumerOrCredentialID implements balancer.Facts.
func (f sessionFacts) ConsumerOrCredentialID() string { return "" }

// ClientIP implements balancer.Facts.
func (f sessionFacts) ClientIP() string { return f.x.ClientFacts.IP.String() }

// Header implements balancer.Facts.
func (f sessionFacts) Header(string) string { return "" }

// Cookie implements balancer.Facts.
func (f sessionFacts) Cookie(string) string { return "" }

// Path implements balancer.Facts.
func (f sessionFacts) Path() string { return "" }

// QueryArg implements balancer.Facts.
func (f sessionFacts) QueryArg(string) string { return "" }

// URICapture implements balancer.Facts.
func (f sessionFacts) URICapture(string) string { return "" }
