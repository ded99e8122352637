// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
)

const (
	// readBuffer is the first size of a client connection's read buffer; it
	// grows up to the limit of a request's head.
	readBuffer = 4 << 10
	// bodyBuffer is the size of the buffer that bodies are read through.
	bodyBuffer = 16 << 10
	// deadlineSlack is how stale a connection's deadline may be: setting one
	// for every read would cost more than the parse.
	deadlineSlack = time.Second
)

// conn is a client connection that speaks HTTP/1. One goroutine serves it.
type conn struct {
	engine *Engine
	spec   *ListenSpec
	nc     net.Conn
	tls    *tls.ConnectionState
	peer   netip.AddrPort
	local  netip.AddrPort

	buf     []byte // read buffer; the current request's head is at its start
	filled  int    // bytes of buf that were read
	pending []byte // bytes behind the head that were not consumed yet
	bodyBuf []byte // where bodies are read into once pending is used up

	out    []byte // answer bytes not yet written
	req    http1.Request
	arena  http1.Arena
	header headerView
	x      *pipeline.Exchange
	ex     exchange

	requests      int
	keep          bool
	readDeadline  time.Time
	writeDeadline time.Time

	// using is the snapshot of the exchange under way, nil between exchanges.
	using atomic.Pointer[snapshot]
	// idle is set while the connection waits for a request's first byte.
	idle atomic.Bool
}

func newConn(e *Engine, spec *ListenSpec, nc net.Conn) *conn {
	c := &conn{
		engine: e,
		spec:   spec,
		nc:     nc,
		peer:   addrPort(nc.RemoteAddr()),
		local:  addrPort(nc.LocalAddr()),
		x:      pipeline.NewExchange(e.context),
	}
	c.header = headerView{list: &c.req.Header, arena: &c.arena}
	c.x.RequestHeader = &c.header
	c.ex.conn = c
	c.ex.answerHeader = headerView{arena: &c.arena}
	return c
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
	if !c.handshake() {
		return
	}
	c.buf = make([]byte, readBuffer)
	for c.next() {
	}
}

func (c *conn) handshake() bool {
	secured, ok := c.nc.(*tls.Conn)
	if !ok {
		return true
	}
	c.armRead(c.engine.settings.ClientHeaderTimeout)
	if err := secured.HandshakeContext(c.engine.context); err != nil {
		return false
	}
	state := secured.ConnectionState()
	c.tls = &state
	return true
}

func (c *conn) finish() {
	_ = c.nc.Close()
	c.using.Store(nil)
	c.engine.conns.remove(c)
}

// next serves one request. It returns false when the connection is over.
func (c *conn) next() bool {
	c.req.Reset()
	headLength, failure := c.readHead()
	switch {
	case errors.Is(failure, errGone):
		return false
	case failure != nil:
		c.keep = false
		c.ex.begin(time.Now())
		c.ex.refuse(failure)
	default:
		c.requests++
		c.pending = c.buf[headLength:c.filled]
		c.keep = c.req.KeepAlive && c.requests < c.engine.settings.KeepaliveRequests && !c.engine.draining.Load()
		c.ex.begin(time.Now())
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

// readHead reads until a request's head is complete.
func (c *conn) readHead() (n int, err error) {
	limits := &c.engine.limits
	if c.filled == 0 {
		if !c.awaitFirst() {
			return 0, errGone
		}
	}
	for {
		n, err = http1.ParseRequest(c.buf[:c.filled], limits, &c.req)
		if !errors.Is(err, http1.ErrNeedMore) {
			return n, err
		}
		if c.filled == len(c.buf) {
			c.grow(limits.HeadBytes + limits.RequestLine)
		}
		c.armRead(c.engine.settings.ClientHeaderTimeout)
		m, err := c.nc.Read(c.buf[c.filled:])
		c.filled += m
		if m == 0 && err != nil {
			return 0, errGone
		}
	}
}

// awaitFirst waits for the first bytes of a request.
func (c *conn) awaitFirst() bool {
	wait := c.engine.settings.KeepaliveTimeout
	if c.requests == 0 {
		wait = c.engine.settings.ClientHeaderTimeout
	}
	c.armRead(wait)
	c.idle.Store(true)
	if c.engine.draining.Load() && c.requests > 0 {
		// The drain may have looked at this connection before it became idle.
		_ = c.nc.SetReadDeadline(time.Now().Add(drainGrace))
		c.readDeadline = time.Time{}
	}
	n, err := c.nc.Read(c.buf)
	c.idle.Store(false)
	c.filled = n
	return n > 0 || err == nil
}

func (c *conn) grow(limit int) {
	grown := make([]byte, min(2*len(c.buf), max(limit, len(c.buf)+1)))
	copy(grown, c.buf[:c.filled])
	c.buf = grown
}

// carryOver moves the bytes of the next, pipelined request to the start of the
// read buffer.
func (c *conn) carryOver() {
	if len(c.pending) > len(c.buf) {
		c.buf = make([]byte, len(c.pending))
	}
	c.filled = copy(c.buf, c.pending)
	c.pending = nil
	if c.bodyBuf != nil {
		putBodyBuffer(c.bodyBuf)
		c.bodyBuf = nil
	}
	c.arena.Reset()
}

// fillBody reads more body bytes into pending.
func (c *conn) fillBody() error {
	if c.bodyBuf == nil {
		c.bodyBuf = getBodyBuffer()
	}
	c.armRead(c.engine.settings.ClientBodyTimeout)
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
	c.armWrite(c.engine.settings.SendTimeout)
	n, err := c.nc.Write(c.out)
	c.x.Answer.Size += int64(n)
	c.out = c.out[:0]
	return err
}

func (c *conn) armRead(d time.Duration) {
	deadline := time.Now().Add(d)
	if gap := deadline.Sub(c.readDeadline); gap > deadlineSlack || gap < -deadlineSlack {
		c.readDeadline = deadline
		_ = c.nc.SetReadDeadline(deadline)
	}
}

func (c *conn) armWrite(d time.Duration) {
	deadline := time.Now().Add(d)
	if gap := deadline.Sub(c.writeDeadline); gap > deadlineSlack || gap < -deadlineSlack {
		c.writeDeadline = deadline
		_ = c.nc.SetWriteDeadline(deadline)
	}
}

const (
	lingerTotal = 30 * time.Second
	lingerIdle  = 5 * time.Second
)

// linger closes the connection so that the client can read the answer: bytes
// that it is still sending are discarded for a while, because a reset would
// make its kernel forget what it has not read (nginx's lingering_close).
func (c *conn) linger() {
	if c.ex.broken || c.ex.bodyDone() && len(c.pending) == 0 {
		return
	}
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	end := time.Now().Add(lingerTotal)
	if c.bodyBuf == nil {
		c.bodyBuf = getBodyBuffer()
	}
	for now := time.Now(); now.Before(end); now = time.Now() {
		_ = c.nc.SetReadDeadline(now.Add(min(lingerIdle, end.Sub(now))))
		if _, err := c.nc.Read(c.bodyBuf); err != nil {
			break
		}
	}
	putBodyBuffer(c.bodyBuf)
	c.bodyBuf = nil
}
