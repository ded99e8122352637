// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/dataplane/socket"
)

const (
	// relayBuffer is nginx's proxy_buffer_size for streams, and what one TLS
	// record holds.
	relayBuffer = 16 << 10
	// waitBuffer is what a direction that has to bring a buffer in order to wait
	// (crypto/tls does not say when there is something to read) waits with.
	waitBuffer = 2 << 10
	// bulkReads full buffers in a row make a direction a bulk transfer, which the
	// kernel does alone, in pieces of spliceSize, until nothing came for
	// spliceWait and the piece stayed below spliceLow.
	bulkReads  = 4
	spliceSize = 64 << 20
	spliceLow  = 256 << 10
	spliceWait = 100 * time.Millisecond
	// deadlineSlack is how much later than asked a write deadline may strike:
	// setting one for every write costs too much.
	deadlineSlack = time.Second
)

var relayBuffers = sync.Pool{New: func() any { return new([relayBuffer]byte) }}

// side is one of a session's two connections.
type side struct {
	tcp *net.TCPConn
	tls *tls.Conn // nil: bytes are read and written as they are
	// out is tcp as it is written to without TLS.
	out *socket.Conn
}

// plainSide returns the side of a connection without TLS.
func plainSide(tcp *net.TCPConn) (side, error) {
	out, err := socket.New(tcp)
	return side{tcp: tcp, out: out}, err
}

func (s side) Write(b []byte) (int, error) {
	if s.tls != nil {
		return s.tls.Write(b)
	}
	return s.out.Write(b)
}

func (s side) closeWrite() error {
	if s.tls == nil {
		return s.tcp.CloseWrite()
	}
	if err := s.tls.CloseWrite(); err != nil {
		return err
	}
	return s.tcp.CloseWrite()
}

// proxied is a session that was connected.
type proxied struct {
	client, upstream   side
	idle, writeTimeout time.Duration
	balancer           *balancer.Balancer
	peer               *balancer.Peer

	// moved is when a byte last went either way, in nanoseconds.
	moved atomic.Int64
	// ended says that one of the two directions is over.
	ended atomic.Bool
}

// relay copies both ways until both sides are done, one fails, or nothing moved
// for the idle time. A side that ends is told to the other by a half-close.
func (p *proxied) relay(c *conn) {
	x := c.x
	p.moved.Store(time.Now().UnixNano())
	up := &direction{session: p, src: p.client, dst: p.upstream}
	down := &direction{session: p, src: p.upstream, dst: p.client}
	if len(c.ahead) > 0 {
		if up.write(time.Now(), c.ahead) != nil {
			c.abort()
		}
	}
	c.releaseAhead()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if up.run() != nil {
			c.abort()
		}
	}()
	if down.run() != nil {
		c.abort()
	}
	<-done
	c.abort()
	x.FromClient += up.read
	x.ToUpstream, x.FromUpstream, x.ToClient = up.written, down.read, down.written
	x.EndStatus = http.StatusOK
	last := x.Attempts[len(x.Attempts)-1]
	p.balancer.Done(p.peer, x.Times.Sent.Sub(last.Started))
	p.balancer.ReportStatus(p.peer, http.StatusOK)
}

// direction is one of a session's two.
type direction struct {
	session       *proxied
	src, dst      side
	read, written int64

	writeDeadline time.Time
	full          int    // buffers in a row that were read full
	waiting       []byte // what a read over TLS waits with

	// Of the read under way.
	buf *[relayBuffer]byte
	n   int
	err error
}

// errEnd is the end of what a side sends.
var errEnd = io.EOF

// run copies until the source ends, which is told to the destination.
func (d *direction) run() error {
	move := d.secured
	if d.src.tls == nil {
		raw, err := d.src.tcp.SyscallConn()
		if err != nil {
			return err
		}
		ready := d.tryRead
		move = func() error { return d.plain(raw, ready) }
	}
	_ = d.src.tcp.SetReadDeadline(time.Now().Add(d.session.idle))
	for {
		err := move()
		switch {
		case err == nil:
		case errors.Is(err, errEnd):
			if d.session.ended.Swap(true) && d.dst.tls == nil {
				return nil // both are: the socket is closed as a whole
			}
			return d.dst.closeWrite()
		case errors.As(err, new(writeError)) || !isTimeout(err) || !d.rearm():
			return err
		}
	}
}

// rearm moves the read deadline to when the session will have been idle for too
// long, and reports false when it has been.
func (d *direction) rearm() bool {
	deadline := time.Unix(0, d.session.moved.Load()).Add(d.session.idle)
	if !deadline.After(time.Now()) {
		return false
	}
	_ = d.src.tcp.SetReadDeadline(deadline)
	return true
}

// plain moves what comes next from a socket. While nothing comes it holds no
// buffer.
func (d *direction) plain(raw syscall.RawConn, ready func(uintptr) bool) error {
	if d.full >= bulkReads && d.dst.tls == nil {
		return d.splice()
	}
	if err := raw.Read(ready); err != nil {
		return err
	}
	defer d.putBuffer()
	switch {
	case d.err != nil:
		return d.err
	case d.n == 0:
		return errEnd
	}
	return d.forward(d.buf[:d.n], d.n == relayBuffer)
}

// tryRead reads from the socket if it can without waiting.
func (d *direction) tryRead(fd uintptr) bool {
	d.buf = relayBuffers.Get().(*[relayBuffer]byte)
	d.n, d.err = socket.Read(fd, d.buf[:])
	if errors.Is(d.err, unix.EAGAIN) {
		d.putBuffer()
		return false
	}
	return true
}

func (d *direction) putBuffer() {
	if d.buf != nil {
		relayBuffers.Put(d.buf)
		d.buf = nil
	}
}

// secured moves what comes next over TLS.
func (d *direction) secured() error {
	if d.waiting == nil {
		d.waiting = make([]byte, waitBuffer)
	}
	buf := d.waiting
	if d.full > 0 {
		d.buf = relayBuffers.Get().(*[relayBuffer]byte)
		defer d.putBuffer()
		buf = d.buf[:]
	}
	n, err := d.src.tls.Read(buf)
	if n > 0 {
		err = d.forward(buf[:n], n == len(buf))
	}
	return err
}

// forward sends on what was read.
func (d *direction) forward(b []byte, full bool) error {
	if full {
		d.full++
	} else {
		d.full = 0
	}
	now := time.Now()
	d.session.moved.Store(now.UnixNano())
	d.read += int64(len(b))
	return d.write(now, b)
}

// writeError is a failure of the destination.
type writeError struct{ error }

func (e writeError) Unwrap() error { return e.error }

func (d *direction) write(now time.Time, b []byte) error {
	d.armWrite(now, d.session.writeTimeout)
	n, err := d.dst.Write(b)
	d.written += int64(n)
	if err != nil {
		return writeError{err}
	}
	return nil
}

// armWrite bounds the writes that follow by t from now, or a little more.
func (d *direction) armWrite(now time.Time, t time.Duration) {
	if d.writeDeadline.Sub(now) < t {
		d.writeDeadline = now.Add(t + min(deadlineSlack, t))
		_ = d.dst.tcp.SetWriteDeadline(d.writeDeadline)
	}
}

// splice has the kernel move bytes from socket to socket.
func (d *direction) splice() error {
	now := time.Now()
	wait := min(spliceWait, d.session.idle)
	d.armWrite(now, d.session.writeTimeout+wait)
	_ = d.src.tcp.SetReadDeadline(now.Add(wait))
	n, err := d.dst.tcp.ReadFrom(&io.LimitedReader{R: d.src.tcp, N: spliceSize})
	now = time.Now()
	d.read += n
	d.written += n
	if n > 0 {
		d.session.moved.Store(now.UnixNano())
	}
	switch {
	case err == nil && n < spliceSize:
		return errEnd
	case err != nil && (!isTimeout(err) || !now.Before(d.writeDeadline)):
		return writeError{err} // of either side: what is on its way is lost
	case n < spliceLow:
		d.full = 0
		if !d.rearm() {
			return err
		}
	}
	return nil
}
