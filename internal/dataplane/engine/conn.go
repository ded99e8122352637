// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/dataplane/socket"
)

const (
	// readBuffer is the first size of a client connection's read buffer; it
	// grows up to the limit of a request's head.
	readBuffer = 4 << 10
	// bodyBuffer is the size of the buffer that bodies are read through,
	// largeBodyBuffer that of one for clients that fill it.
	bodyBuffer      = 16 << 10
	largeBodyBuffer = 64 << 10
	// headBatch is how much of an answer is written together with its head where
	// that needs a copy.
	headBatch = 4 << 10
)

// conn is a client connection. While it speaks HTTP/1 it is the downstream of
// one exchange after another, and one goroutine serves it. What others touch is
// marked.
type conn struct {
	handle // any goroutine
	clientFacts
	spec   *ListenSpec
	socket *socket.Conn          // any goroutine may close it
	arrive func(fd uintptr) bool // take, bound once
	taken  error                 // of take
	first  [1]byte               // of a request over TLS
	nc     net.Conn              // socket, or TLS over it
	limits *http1.Limits
	// plain is set when a client speaks plain HTTP to a TLS listener.
	plain bool

	// work is nil while nothing of a request is there.
	*work
	filled int // bytes of work's buf that were read

	requests      int
	started       time.Time // first byte of the request
	ended         time.Time // end of the last request, if there was one
	keep          bool
	last          bool          // the last answer was sent
	parsed        parsedHead    // of the request under way, before it is served
	bodyWaited    time.Duration // for the request's body, so far
	readDeadline  time.Time
	writeDeadline time.Time

	// Below is what other goroutines touch.

	// waiting is the number of the request for which nothing is read from the
	// client, or after which the next one is waited for (idleMark), 0 otherwise;
	// watched is the watcher's own note of it.
	waiting atomic.Uint64
	watched uint64
	// streams is set once the connection speaks HTTP/2.
	streams atomic.Pointer[http2Conn]
	// stopped is set while an upload that reads the client is to end.
	stopped atomic.Bool

	idleMu sync.Mutex
	idle   bool // waits for a request's first byte
	// heading says that a part of a request's head is here, or of a handshake;
	// lingering that nothing is left but to discard what is still sent behind
	// the last answer; since is when idle, heading or lingering began, leaving
	// that the connection is ended for another one.
	heading   bool
	lingering bool
	since     time.Time
	leaving   bool
	proven    bool // has sent a request
}

func newConn(e *Engine, spec *ListenSpec, tcp *net.TCPConn) (*conn, error) {
	sock, err := socket.New(tcp)
	if err != nil {
		return nil, err
	}
	c := &conn{
		spec:   spec,
		socket: sock,
		nc:     sock,
		limits: &e.limits,
		// It may be ended for another one before it is served at all.
		idle: true, since: time.Now(),
	}
	c.engine, c.life = e, pipeline.NewLifetime(e.context)
	c.clientFacts = clientFacts{peer: addrPort(tcp.RemoteAddr()), local: addrPort(tcp.LocalAddr())}
	c.trusted = e.settings.trusted(c.peer.Addr())
	c.arrive = c.take
	switch {
	case c.trusted:
		c.limits = &e.trustedLimits
	case toldBySidecar(spec, c.peer.Addr(), c.local.Addr()):
		c.limits = &e.sidecarLimits
	}
	return c, nil
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

// serve reads and answers requests until the connection ends.
func (c *conn) serve() {
	defer c.finish()
	if c.spec.ProxyProtocol && !c.introduced() {
		return
	}
	if c.spec.TLS && !c.secure() {
		return
	}
	if is, ok := c.speaksHTTP2(); !ok {
		return
	} else if is {
		c.serveHTTP2()
		return
	}
	for c.next() {
	}
}

// finish closes the connection and gives back what it holds. An own mistake
// costs the connection, not the process.
func (c *conn) finish() {
	if v := recover(); v != nil {
		c.engine.log.Error("connection failed", "peer", c.peer, "error", fmt.Sprint(v), "stack", string(debug.Stack()))
		if c.work != nil {
			c.ex.crash()
			c.work = nil
		}
	}
	if c.work != nil {
		c.ex.uploading.stop()
	}
	_ = c.nc.Close()
	c.drop()
	c.rest()
	c.engine.dismiss(c)
}

// next serves one request at least. It returns false when the connection is
// over.
func (c *conn) next() bool {
	if c.filled == 0 && !c.awaitFirst() {
		return false
	}
	if !c.last {
		headLength, failure := c.readHead()
		if errors.Is(failure, errGone) {
			return false
		}
		c.last = !c.exchange(headLength, failure)
	}
	if c.last {
		c.linger()
	}
	return !c.last
}

// exchange answers the request whose head was read, and returns whether the
// connection goes on.
func (c *conn) exchange(headLength int, failure error) bool {
	c.requests++
	if failure == nil {
		c.pending = c.buf[headLength:c.filled]
		s := c.engine.settings
		c.keep = c.ex.req.KeepAlive && s.KeepaliveTimeout > 0 && c.requests < s.KeepaliveRequests && !c.engine.draining.Load()
	} else {
		c.pending, c.keep = nil, false
	}
	c.sentBytes = 0
	c.decoder.ResetRequest(&c.ex.req, c.limits)
	c.ex.begin(c.started, int64(c.filled-len(c.pending)))
	switch {
	case failure != nil:
		c.ex.refuse(failure)
	case c.plain:
		c.keep = false
		c.ex.refuse(errPlainHTTP)
	default:
		c.ex.run()
	}
	c.ended = c.ex.end()
	c.waiting.Store(0)
	if !c.ex.readDone {
		c.keep = false
	}
	if c.keep {
		c.carryOver()
	}
	return c.keep
}

// errGone ends a connection on which no answer is due.
var errGone = errors.New("engine: client connection is over")

// errPlainHTTP answers plain HTTP on a TLS listener (nginx's 497).
var errPlainHTTP = &http1.Error{Status: 400, Message: "The plain HTTP request was sent to HTTPS port", Reason: "plain HTTP on a TLS listener"}

// readHead reads until a request's head is complete. The whole head has one
// deadline: bytes that trickle in do not extend it.
func (c *conn) readHead() (n int, err error) {
	if n, err = c.parseHead(); errors.Is(err, http1.ErrNeedMore) {
		return c.readRestOfHead()
	}
	return n, err
}

// parseHead parses what there is of a request, unless that was done.
func (c *conn) parseHead() (n int, err error) {
	if p := c.parsed; p.done {
		c.parsed = parsedHead{}
		return p.length, p.err
	}
	c.started, c.bodyWaited = time.Now(), 0
	c.ex.req.Reset()
	return http1.ParseRequest(c.buf[:c.filled], c.limits, &c.ex.req)
}

// parsedHead is a result of http1.ParseRequest.
type parsedHead struct {
	length int
	err    error
	done   bool
}

// readRestOfHead goes on with a head that did not come at once.
func (c *conn) readRestOfHead() (n int, err error) {
	c.armRead(c.started, c.engine.settings.ClientHeaderTimeout)
	c.beginHead(c.started)
	defer func() { c.endHead(!errors.Is(err, errGone)) }()
	for {
		if c.filled == len(c.buf) {
			c.grow(c.limits.HeadBytes + c.limits.RequestLine)
		}
		m, failed := c.nc.Read(c.buf[c.filled:])
		c.filled += m
		if m == 0 && failed != nil {
			return 0, errGone
		}
		if n, err = http1.ParseRequest(c.buf[:c.filled], c.limits, &c.ex.req); !errors.Is(err, http1.ErrNeedMore) {
			return n, err
		}
	}
}

func (c *conn) grow(limit int) {
	grown := make([]byte, min(2*len(c.buf), max(limit, len(c.buf)+1)))
	copy(grown, c.buf[:c.filled])
	c.buf = grown
}

// carryOver moves the bytes of the next, pipelined request to the start of the
// read buffer, and shrinks what the last request made large.
func (c *conn) carryOver() {
	size := readBuffer
	for size < len(c.pending) {
		size *= 2
	}
	if len(c.buf) == size {
		c.filled = copy(c.buf, c.pending)
	} else {
		fresh := make([]byte, size)
		c.filled = copy(fresh, c.pending)
		c.buf = fresh
	}
	poison(c.buf[c.filled:])
	c.pending = nil
	c.dropBodyBuffer()
	c.bodyRead = 0
	keep(&c.out, keptPiece)
	c.ex.arena.Reset()
}
