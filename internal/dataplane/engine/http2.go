// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/internal/dataplane/http2"
	"github.com/kong/kong-istio-gateway/internal/dataplane/http2/session"
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
)

const (
	// alpnHTTP2 is HTTP/2 over TLS (RFC 9113 §3.1).
	alpnHTTP2 = "h2"
	// http2Streams is how many requests a client may have under way on one
	// connection (nginx's http2_max_concurrent_streams).
	http2Streams = 128
	// http2StreamWindow bounds the request body bytes of a stream that wait for
	// the exchange to read them, http2ConnectionWindow those of a connection.
	http2StreamWindow     = 256 << 10
	http2ConnectionWindow = 1 << 20
	// shortestWait is what a timeout of 0 becomes: a connection must live long
	// enough to say something.
	shortestWait = 100 * time.Millisecond
)

// http2Server holds what all client connections that speak HTTP/2 share.
type http2Server struct {
	plain, trusted, sidecar *session.Options
	// ending is set when connections are to finish their streams and end.
	ending atomic.Bool
}

func newHTTP2Server(e *Engine) *http2Server {
	options := func(limits *http1.Limits) *session.Options {
		return &session.Options{
			Config: &http2.Config{
				Limits: limits, MaxStreams: http2Streams, StreamWindow: http2StreamWindow, ConnWindow: http2ConnectionWindow,
			},
			Handle:       func(s *session.Stream) { s.Session().Owner().(*http2Conn).serve(s) },
			StartTimeout: max(e.settings.ClientHeaderTimeout, shortestWait),
			IdleTimeout:  max(e.settings.KeepaliveTimeout, shortestWait),
			WriteTimeout: max(e.settings.SendTimeout, shortestWait),
		}
	}
	return &http2Server{plain: options(&e.limits), trusted: options(&e.trustedLimits), sidecar: options(&e.sidecarLimits)}
}

// endHTTP2 tells all clients that no further stream will be served. Connections
// close when their last stream has ended.
func (e *Engine) endHTTP2() {
	e.http2.ending.Store(true)
	e.conns.each(func(c *conn) {
		if h := c.streams.Load(); h != nil {
			h.session.Drain()
		}
	})
}

// eachHandle calls visit for every exchange, under way or not.
func (e *Engine) eachHandle(visit func(*handle)) {
	e.conns.each(func(c *conn) {
		visit(&c.handle)
		if h := c.streams.Load(); h != nil {
			h.each(visit)
		}
	})
}

// http2Conn is what the streams of one connection share.
type http2Conn struct {
	conn    *conn
	session *session.Session

	mu sync.Mutex
	// all are the downstreams made so far, idle those without a stream.
	all, idle []*http2Downstream
}

// speaksHTTP2 finds out which protocol the client speaks: by ALPN over TLS, by
// its first bytes otherwise (prior knowledge, RFC 9113 §3.3). ok is false when
// the connection ended before it said so.
func (c *conn) speaksHTTP2() (is, ok bool) {
	if c.tls != nil {
		return c.tls.NegotiatedProtocol == alpnHTTP2, true
	}
	if c.plain {
		return false, true
	}
	if !c.awaitFirst() {
		return false, false
	}
	is, sure := http1.SniffHTTP2(c.buf[:c.filled])
	if sure {
		return is, true
	}
	return c.sniffRest()
}

// sniffRest goes on with a beginning that did not come at once. The connection
// may be ended for another one meanwhile, as with a head.
func (c *conn) sniffRest() (is, ok bool) {
	began := time.Now()
	c.armRead(began, c.engine.settings.ClientHeaderTimeout)
	c.beginHead(began)
	defer func() { c.endHead(ok) }()
	for sure := false; !sure; {
		n, err := c.nc.Read(c.buf[c.filled:])
		c.filled += n
		if n == 0 && err != nil {
			return false, false
		}
		is, sure = http1.SniffHTTP2(c.buf[:c.filled])
	}
	return is, true
}

// serveHTTP2 serves the connection's streams until it ends, and returns when
// the last of them is done.
func (c *conn) serveHTTP2() {
	_ = c.nc.SetDeadline(time.Time{})
	options := c.engine.http2.plain
	switch c.limits {
	case &c.engine.trustedLimits:
		options = c.engine.http2.trusted
	case &c.engine.sidecarLimits:
		options = c.engine.http2.sidecar
	}
	h := &http2Conn{conn: c}
	var first []byte
	if c.work != nil {
		first = c.buf[:c.filled]
	}
	h.session = session.New(c.nc, first, options, h)
	c.rest()
	c.streams.Store(h)
	if c.engine.http2.ending.Load() {
		// It may have been too young for endHTTP2.
		h.session.Drain()
	}
	h.session.Run()
}

// take returns a downstream for a stream.
func (h *http2Conn) take() *http2Downstream {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.idle); n > 0 {
		d := h.idle[n-1]
		h.idle = h.idle[:n-1]
		return d
	}
	d := &http2Downstream{conn: h}
	d.engine, d.life = h.conn.engine, pipeline.NewLifetime(h.conn.engine.context)
	d.onFail = d.leave
	h.all = append(h.all, d)
	return d
}

func (h *http2Conn) give(d *http2Downstream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.idle = append(h.idle, d)
}

func (h *http2Conn) each(visit func(*handle)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range h.all {
		visit(&d.handle)
	}
}

// serve takes one stream through an exchange.
func (h *http2Conn) serve(s *session.Stream) {
	d := h.take()
	if d.serve(s) {
		h.give(d)
	}
}

// last reports whether the connection takes no further streams after those
// under way.
func (h *http2Conn) last() bool {
	e := h.conn.engine
	return e.draining.Load() || h.session.Opened() >= e.settings.KeepaliveRequests
}
