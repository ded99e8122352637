// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/dataplane/upstream"
)

const (
	// readBuffer is the first size of a client connection's read buffer; it
	// grows up to the limit of a request's head.
	readBuffer = 4 << 10
	// bodyBuffer is the size of the buffer that bodies are read through.
	bodyBuffer = 16 << 10
	// writeKeep is the largest write buffer that a waiting connection keeps.
	writeKeep = 4 << 10
)

// conn is a client connection that speaks HTTP/1. One goroutine serves it;
// what others touch is marked.
type conn struct {
	engine *Engine
	spec   *ListenSpec
	socket *net.TCPConn          // any goroutine may close it
	raw    syscall.RawConn       // of socket
	arrive func(fd uintptr) bool // take, bound once
	taken  error                 // of take
	nc     net.Conn              // socket, or TLS over it
	tls    *tls.ConnectionState
	sni    string
	peer   netip.AddrPort
	local  netip.AddrPort
	limits *http1.Limits
	// plain is set when a client speaks plain HTTP to a TLS listener.
	plain bool
	// stream says that this is one stream of an HTTP/2 connection: there is no
	// socket, and one request.
	stream bool

	// work is nil while nothing of a request is there.
	*work
	filled int // bytes of work's buf that were read

	requests      int
	started       time.Time // first byte of the request
	keep          bool
	readDeadline  time.Time
	writeDeadline time.Time

	// Below is what other goroutines touch.

	life *pipeline.Lifetime
	// using is the snapshot of the exchange under way, nil between exchanges;
	// tunnelling the instances whose log phase a tunnel still owes.
	using      atomic.Pointer[snapshot]
	tunnelling atomic.Pointer[[]*pipeline.Instance]
	// up is the upstream connection in use. Who ends the exchange from outside
	// takes it out and closes it; the exchange takes it out before it gives the
	// connection back.
	up atomic.Pointer[upstream.Conn]
	// waiting is the number of the request for which nothing is read from the
	// client, 0 otherwise; watched is the watcher's own note of it.
	waiting  atomic.Uint64
	watched  uint64
	departed atomic.Bool

	idleMu sync.Mutex
	idle   bool // waits for a request's first byte
	fresh  bool // for the first one
}

func newConn(e *Engine, spec *ListenSpec, socket *net.TCPConn) (*conn, error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &conn{
		engine: e,
		spec:   spec,
		socket: socket,
		raw:    raw,
		nc:     socket,
		peer:   addrPort(socket.RemoteAddr()),
		local:  addrPort(socket.LocalAddr()),
		limits: &e.limits,
		life:   pipeline.NewLifetime(e.context),
		fresh:  true,
	}
	c.arrive = c.take
	if spec.Mesh || e.settings.trusted(c.peer.Addr()) {
		c.limits = &e.trustedLimits
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
			// Nobody knows what of it is still in use.
			c.ex.uploading.stop()
			c.work = nil
		}
	}
	if up := c.up.Swap(nil); up != nil {
		up.Abort()
	}
	if c.work != nil {
		c.ex.uploading.stop()
	}
	_ = c.nc.Close()
	c.life.End()
	c.tunnelling.Store(nil)
	if s := c.using.Load(); s != nil {
		c.let(s)
	}
	c.rest()
	c.engine.conns.remove(c)
}

// next serves one request. It returns false when the connection is over.
func (c *conn) next() bool {
	headLength, failure := c.readHead()
	if errors.Is(failure, errGone) {
		return false
	}
	c.requests++
	if failure == nil {
		c.pending = c.buf[headLength:c.filled]
		c.keep = c.req.KeepAlive && c.requests < c.engine.settings.KeepaliveRequests && !c.engine.draining.Load()
	} else {
		c.pending, c.keep = nil, false
	}
	c.ex.begin(c.started)
	switch {
	case failure != nil:
		c.ex.refuse(failure)
	case c.plain:
		c.keep = false
		c.ex.refuse(errPlainHTTP)
	default:
		c.ex.run()
	}
	c.ex.end()
	if !c.keep {
		c.linger()
		return false
	}
	c.carryOver()
	return true
}

// errGone ends a connection on which no answer is due.
var errGone = errors.New("engine: client connection is over")

// errPlainHTTP answers plain HTTP on a TLS listener (nginx's 497).
var errPlainHTTP = &http1.Error{Status: 400, Message: "The plain HTTP request was sent to HTTPS port", Reason: "plain HTTP on a TLS listener"}

// readHead reads until a request's head is complete. The whole head has one
// deadline: bytes that trickle in do not extend it.
func (c *conn) readHead() (n int, err error) {
	if c.filled == 0 && !c.awaitFirst() {
		return 0, errGone
	}
	c.started = time.Now()
	c.req.Reset()
	for armed := false; ; {
		n, err = http1.ParseRequest(c.buf[:c.filled], c.limits, &c.req)
		if !errors.Is(err, http1.ErrNeedMore) {
			return n, err
		}
		if c.filled == len(c.buf) {
			c.grow(c.limits.HeadBytes + c.limits.RequestLine)
		}
		if !armed {
			c.armRead(c.started, c.engine.settings.ClientHeaderTimeout)
			armed = true
		}
		m, err := c.nc.Read(c.buf[c.filled:])
		c.filled += m
		if m == 0 && err != nil {
			return 0, errGone
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
	if cap(c.out) > writeKeep {
		c.out = nil
	}
	c.arena.Reset()
}

func (c *conn) dropBodyBuffer() {
	if c.bodyBuf != nil {
		putBodyBuffer(c.bodyBuf)
		c.bodyBuf = nil
	}
}

// fillBody reads more body bytes into pending.
func (c *conn) fillBody() error {
	if c.bodyBuf == nil {
		c.bodyBuf = getBodyBuffer()
	}
	c.armRead(time.Now(), c.engine.settings.ClientBodyTimeout)
	if u := c.ex.uploading; u != nil && u.stopping.Load() {
		return errStopped
	}
	n, err := c.nc.Read(c.bodyBuf)
	c.pending = c.bodyBuf[:n]
	if n > 0 {
		return nil
	}
	return err
}

// flush writes what was appended to out.
func (c *conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	err := c.write(c.out)
	c.out = c.out[:0]
	return err
}

func (c *conn) write(b []byte) error {
	c.armWrite(time.Now(), c.engine.settings.SendTimeout)
	n, err := c.nc.Write(b)
	c.x.Answer.Size += int64(n)
	if err != nil {
		c.departed.Store(true)
	}
	return err
}
