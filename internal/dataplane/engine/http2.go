// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
)

const (
	// http2Streams is how many requests a client may have under way on one
	// connection (nginx's http2_max_concurrent_streams).
	http2Streams = 128
	// http2StreamWindow bounds the request body bytes of a stream that wait for
	// the exchange to read them, http2ConnectionWindow those of a connection.
	http2StreamWindow     = 256 << 10
	http2ConnectionWindow = 1 << 20
)

// http2Server speaks HTTP/2 on the engine's client connections: it owns frames
// and flow control, and hands each stream to an exchange as if it were a
// connection with one request.
type http2Server struct {
	frames http2.Server //nolint:staticcheck // see serveHTTP2
	base   http.Server
	// ending is set when connections are to finish their streams and end.
	ending atomic.Bool
}

func newHTTP2Server(e *Engine) (*http2Server, error) {
	s := &http2Server{base: http.Server{
		IdleTimeout:    e.settings.KeepaliveTimeout,
		MaxHeaderBytes: e.limits.HeadBytes,
		// What the peer does wrong is its own business.
		ErrorLog: slog.NewLogLogger(e.log.Handler(), slog.LevelDebug),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          http2Streams,
			MaxReceiveBufferPerConnection: http2ConnectionWindow,
			MaxReceiveBufferPerStream:     http2StreamWindow,
			WriteByteTimeout:              e.settings.SendTimeout,
		},
	}}
	s.base.ConnState = func(net.Conn, http.ConnState) {
		if s.ending.Load() {
			// The connection may have been too young for the call of end.
			s.goAway()
		}
	}
	return s, http2.ConfigureServer(&s.base, &s.frames) //nolint:staticcheck // see serveHTTP2
}

// end tells all clients that no further stream will be served. Connections
// close when their last stream has ended.
func (s *http2Server) end() {
	s.ending.Store(true)
	s.goAway()
}

func (s *http2Server) goAway() {
	// The http.Server has neither listeners nor connections of its own: this
	// only runs what ConfigureServer registered, and does not wait.
	_ = s.base.Shutdown(context.Background())
}

// http2Conn is what the streams of one connection share.
type http2Conn struct {
	conn *conn
	// requests counts the streams so far.
	requests atomic.Int64

	mu     sync.Mutex
	closed bool
	open   sync.WaitGroup
}

// speaksHTTP2 finds out which protocol the client speaks: by ALPN over TLS, by
// its first bytes otherwise (prior knowledge, RFC 9113 §3.3). ok is false when
// the connection ended before it said so.
func (c *conn) speaksHTTP2() (is, ok bool) {
	if c.tls != nil {
		return c.tls.NegotiatedProtocol == http2.NextProtoTLS, true
	}
	if c.plain {
		return false, true
	}
	if !c.awaitFirst() {
		return false, false
	}
	for {
		is, sure := http1.SniffHTTP2(c.buf[:c.filled])
		if sure {
			return is, true
		}
		c.armRead(time.Now(), c.engine.settings.ClientHeaderTimeout)
		n, err := c.nc.Read(c.buf[c.filled:])
		c.filled += n
		if n == 0 && err != nil {
			return false, false
		}
	}
}

// serveHTTP2 serves the connection's streams until it ends, and returns when
// the last of them is done.
func (c *conn) serveHTTP2() {
	_ = c.nc.SetDeadline(time.Time{})
	nc := c.nc
	if c.filled > 0 {
		nc = &replayed{Conn: c.nc, first: bytes.Clone(c.buf[:c.filled])}
	}
	c.rest()
	h := &http2Conn{conn: c}
	c.engine.http2.frames.ServeConn(nc, &http2.ServeConnOpts{ //nolint:staticcheck // the connections are accepted, counted and drained here
		Context: c.engine.context, BaseConfig: &c.engine.http2.base, Handler: h,
	})
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.open.Wait()
}

// ServeHTTP takes one stream through an exchange.
func (h *http2Conn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.begin() {
		panic(http.ErrAbortHandler) //nolint:forbidigo // the frame layer's way to reset a stream
	}
	defer h.open.Done()
	s := newHTTP2Stream(h, w, r)
	s.serve()
	if !s.complete {
		// Only a reset tells the client that the answer is incomplete.
		panic(http.ErrAbortHandler) //nolint:forbidigo // the frame layer's way to reset a stream
	}
}

// begin counts a stream; it returns false when the connection is over.
func (h *http2Conn) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.open.Add(1)
	h.requests.Add(1)
	return true
}

// last reports whether the connection takes no further streams after those
// under way.
func (h *http2Conn) last() bool {
	e := h.conn.engine
	return e.draining.Load() || h.requests.Load() >= int64(e.settings.KeepaliveRequests)
}

// replayed is a connection whose first bytes were already read.
type replayed struct {
	net.Conn
	first []byte
}

func (r *replayed) Read(p []byte) (int, error) {
	if len(r.first) > 0 {
		n := copy(p, r.first)
		r.first = r.first[n:]
		return n, nil
	}
	r.first = nil
	return r.Conn.Read(p)
}
