// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/socket"
)

// Dialer opens connections; dataplane/dial implements it.
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// Limits bound the idle connections of one pool.
type Limits struct {
	// Idle is how many connections wait for reuse.
	Idle int
	// Requests is how many requests one connection carries, 0 for no bound.
	Requests int
	// IdleTimeout closes a connection that was not used for so long.
	IdleTimeout time.Duration
	// Age retires a connection that was opened so long ago, 0 for no bound.
	Age time.Duration
}

// Key tells pools apart: connections of one pool are interchangeable.
type Key struct {
	Address netip.AddrPort
	// Proto is http, https, grpc or grpcs; the last two are HTTP/2.
	Proto string
	// ServerName and TLSID distinguish TLS settings; TLSID names the client
	// certificate and verification settings.
	ServerName, TLSID string
}

// Pool holds the idle connections of one key. It is safe for concurrent use.
type Pool struct {
	key    Key
	tls    *tls.Config
	dialer Dialer
	limits Limits
	now    func() time.Time

	// generation rises when connections opened earlier must not be used again.
	generation atomic.Uint64
	// forgotten is set when the pool is no longer among its Pools: connections
	// that come back are closed.
	forgotten atomic.Bool
	// used is set by every request and cleared by every sweep.
	used atomic.Bool
	mu   sync.Mutex
	idle []*Conn

	// shared are connections that speak HTTP/2.
	shared shared
}

// Forgotten reports whether the pool is no longer kept, so that another one
// should be asked for.
func (p *Pool) Forgotten() bool { return p.forgotten.Load() }

// Reuse returns an idle connection that is alive now, nil if there is none.
func (p *Pool) Reuse(now time.Time) *Conn {
	if !p.used.Load() {
		p.used.Store(true)
	}
	for {
		p.mu.Lock()
		n := len(p.idle)
		if n == 0 {
			p.mu.Unlock()
			return nil
		}
		c := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		if p.usable(c, now) && c.alive() {
			return c
		}
		_ = c.Close()
	}
}

// Open opens a new connection. The deadline of ctx bounds connecting and the
// TLS handshake; a failed handshake is a *HandshakeError.
func (p *Pool) Open(ctx context.Context) (*Conn, error) {
	generation := p.generation.Load()
	nc, err := p.dialer.DialContext(ctx, "tcp", p.key.Address.String())
	if err != nil {
		return nil, err
	}
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		_ = nc.Close()
		return nil, fmt.Errorf("upstream %s: the dialer returned no socket", p.key.Address)
	}
	sock, err := socket.New(tcp)
	if err != nil {
		_ = nc.Close()
		return nil, err
	}
	raw := sock.Raw()
	nc = sock
	if p.tls != nil {
		secured := tls.Client(nc, p.tls)
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = nc.Close()
			return nil, &HandshakeError{Address: p.key.Address, Err: err}
		}
		nc = secured
	}
	c := newConn(nc, raw, p.key.Address, p, generation)
	c.opened = p.now()
	return c, nil
}

// HandshakeError is a failed TLS handshake with an upstream.
type HandshakeError struct {
	Address netip.AddrPort
	Err     error
}

// Error implements error.
func (e *HandshakeError) Error() string {
	return fmt.Sprintf("TLS handshake with upstream %s: %v", e.Address, e.Err)
}

// Unwrap returns the cause.
func (e *HandshakeError) Unwrap() error { return e.Err }

// Put gives a connection back after an answer was read to its end.
func (c *Conn) Put(now time.Time) {
	p := c.pool
	c.requests++
	c.idleSince = now
	c.Buf = nil
	if c.R != c.W || !p.usable(c, now) || p.limits.Requests > 0 && c.requests >= p.limits.Requests {
		_ = c.Close()
		return
	}
	p.mu.Lock()
	keep := !p.forgotten.Load() && len(p.idle) < p.limits.Idle
	if keep {
		p.idle = append(p.idle, c)
	}
	p.mu.Unlock()
	if !keep {
		_ = c.Close()
	}
}

func (p *Pool) usable(c *Conn, now time.Time) bool {
	return c.generation == p.generation.Load() &&
		(p.limits.IdleTimeout <= 0 || now.Sub(c.idleSince) < p.limits.IdleTimeout) &&
		(p.limits.Age <= 0 || now.Sub(c.opened) < p.limits.Age)
}

// retire makes connections opened until now unfit for reuse and closes the
// idle ones.
func (p *Pool) retire() {
	p.generation.Add(1)
	p.closeIdle(func(*Conn) bool { return true })
	p.retireShared()
}

// closeIdle closes the idle connections that which chooses.
func (p *Pool) closeIdle(which func(*Conn) bool) {
	p.mu.Lock()
	var gone []*Conn
	kept := p.idle[:0]
	for _, c := range p.idle {
		if which(c) {
			gone = append(gone, c)
		} else {
			kept = append(kept, c)
		}
	}
	clear(p.idle[len(kept):])
	p.idle = kept
	p.mu.Unlock()
	for _, c := range gone {
		_ = c.Close()
	}
}

// forget ends the pool: idle connections are closed, busy ones when they are
// given back.
func (p *Pool) forget() {
	p.mu.Lock()
	p.forgotten.Store(true)
	p.mu.Unlock()
	p.closeIdle(func(*Conn) bool { return true })
	p.retireShared()
}
