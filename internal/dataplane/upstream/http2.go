// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/internal/dataplane/http2"
	"github.com/kong/kong-istio-gateway/internal/dataplane/http2/session"
)

// The schemes of services that are spoken to in HTTP/2: with prior knowledge,
// and over TLS.
const (
	ProtoGRPC  = "grpc"
	ProtoGRPCS = "grpcs"
)

// alpnHTTP2 is HTTP/2 over TLS (RFC 9113 §3.1).
const alpnHTTP2 = "h2"

const (
	// answerStreamWindow and answerConnWindow bound the bytes of answers that wait
	// to be passed on.
	answerStreamWindow = 256 << 10
	answerConnWindow   = 4 << 20
	// http2WriteTimeout bounds the wait for a socket that takes nothing. A stream
	// has a timeout of its own.
	http2WriteTimeout = 60 * time.Second
)

// errNotHTTP2 is a server that does not agree on HTTP/2.
var errNotHTTP2 = errors.New("the server does not offer HTTP/2 (ALPN h2)")

var answerLimits = http1.DefaultResponseLimits()

var clientConfig = http2.Config{Client: true, Limits: &answerLimits, StreamWindow: answerStreamWindow, ConnWindow: answerConnWindow}

// shared are the connections of a pool that carry many streams.
type shared struct {
	mu    sync.Mutex
	conns []*sharedConn
	// dialing is the connection that is being opened.
	dialing *dialing
}

// dialing is a connection that is being opened for all who wait for one.
type dialing struct {
	done chan struct{}
	err  error // set before done is closed
}

// sharedConn is a connection that carries many streams.
type sharedConn struct {
	*session.Session
	conn   *Conn
	opened int
	hungUp bool
	look   func(fd uintptr)
}

// Session returns a connection that takes another stream, opening one if it must,
// and whether it carried any before. Connections are shared: a stream that finds the
// place taken asks again. Errors are those of Open; those who wait for the same
// connection get the same. timeout bounds all of it.
func (p *Pool) Session(ctx context.Context, timeout time.Duration) (s *session.Session, reused bool, err error) {
	if !p.used.Load() {
		p.used.Store(true)
	}
	if s, reused, _ = p.take(ctx, 0); s != nil {
		return s, reused, nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		s, reused, opening := p.take(ctx, timeout)
		if s != nil {
			return s, reused, nil
		}
		select {
		case <-opening.done:
			if opening.err != nil {
				return nil, false, opening.err
			}
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	}
}

// take returns a connection with room, or the one that is being opened. With a
// timeout it has one opened if there is neither.
func (p *Pool) take(ctx context.Context, timeout time.Duration) (s *session.Session, reused bool, opening *dialing) {
	p.shared.mu.Lock()
	defer p.shared.mu.Unlock()
	if c := p.pick(); c != nil {
		reused = c.opened > 0
		c.opened++
		if p.limits.Requests > 0 && c.opened >= p.limits.Requests || p.forgotten.Load() {
			// This is its last one.
			p.drop(c)
			c.RetireAfterNext()
		}
		return c.Session, reused, nil
	}
	if p.shared.dialing == nil && timeout > 0 {
		p.shared.dialing = &dialing{done: make(chan struct{})}
		// Others wait for it as well, who may have more patience.
		go p.dial(context.WithoutCancel(ctx), p.shared.dialing, timeout)
	}
	return nil, false, p.shared.dialing
}

// pick returns a connection with room, forgetting those that are of no use. The
// caller holds shared.mu.
func (p *Pool) pick() *sharedConn {
	generation := p.generation.Load()
	kept := p.shared.conns[:0]
	var found *sharedConn
	for _, c := range p.shared.conns {
		free, lasting := c.Free()
		if !lasting {
			continue
		}
		if c.conn.generation != generation || p.limits.Age > 0 && p.now().Sub(c.conn.opened) >= p.limits.Age {
			go c.Retire() // which may want the lock that is held here
			continue
		}
		if found == nil && free > 0 && !c.stale() {
			found = c
		}
		kept = append(kept, c)
	}
	clear(p.shared.conns[len(kept):])
	p.shared.conns = kept
	return found
}

// stale reports whether a connection without streams was hung up on, which its
// reader may be about to find out.
func (c *sharedConn) stale() bool {
	if _, idle := c.IdleSince(); !idle {
		return false
	}
	c.hungUp = true
	return c.conn.raw.Control(c.look) != nil || c.hungUp
}

// drop takes a connection out. The caller holds shared.mu.
func (p *Pool) drop(gone *sharedConn) {
	for i, c := range p.shared.conns {
		if c == gone {
			p.shared.conns = append(p.shared.conns[:i], p.shared.conns[i+1:]...)
			return
		}
	}
}

// dial opens a connection for all who wait for one.
func (p *Pool) dial(ctx context.Context, d *dialing, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c, err := p.openShared(ctx)
	p.shared.mu.Lock()
	defer p.shared.mu.Unlock()
	if err == nil {
		p.shared.conns = append(p.shared.conns, c)
	}
	d.err = err
	close(d.done)
	p.shared.dialing = nil
}

func (p *Pool) openShared(ctx context.Context) (*sharedConn, error) {
	conn, err := p.Open(ctx)
	if err != nil {
		return nil, err
	}
	if secured, ok := conn.Conn.(*tls.Conn); ok && secured.ConnectionState().NegotiatedProtocol != alpnHTTP2 {
		_ = conn.Close()
		return nil, &HandshakeError{Address: p.key.Address, Err: errNotHTTP2}
	}
	idle := p.limits.IdleTimeout
	if idle <= 0 {
		idle = 24 * time.Hour
	}
	c := &sharedConn{conn: conn, Session: session.New(conn.Conn, nil, &session.Options{
		Config: &clientConfig, StartTimeout: http2WriteTimeout, IdleTimeout: idle, WriteTimeout: http2WriteTimeout,
	}, nil)}
	c.look = func(fd uintptr) {
		fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(fds[:], 0)
		c.hungUp = err != nil || n > 0
	}
	go c.Run()
	return c, nil
}

// retireShared ends connections opened until now: at once without streams,
// otherwise when the last one is over.
func (p *Pool) retireShared() {
	p.shared.mu.Lock()
	gone := p.shared.conns
	p.shared.conns = nil
	p.shared.mu.Unlock()
	for _, c := range gone {
		c.Retire()
	}
}

// sharedConns returns how many connections there are that carry many streams.
func (p *Pool) sharedConns() int {
	p.shared.mu.Lock()
	defer p.shared.mu.Unlock()
	p.pick()
	return len(p.shared.conns)
}
