// SPDX-License-Identifier: Apache-2.0

// Package upstream keeps connections to the targets of services: opened
// through the guarded dialer, reused while they are healthy, retired when the
// mesh scope of their address changes.
package upstream

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kong/kong-istio-gateway/internal/dataplane/socket"
)

// ErrFull is returned by Fill when the buffer has no room: the head of the
// answer is larger than it may be.
var ErrFull = errors.New("upstream: the answer's head does not fit the buffer")

// deadlineSlack is how much later than asked a deadline may strike. Setting one
// for every read costs more than the parse.
const deadlineSlack = time.Second

// Conn is a connection to an upstream. One goroutine reads it, and one writes
// it; Close may be called by any.
type Conn struct {
	net.Conn
	// Buf is the read buffer: Buf[R:W] was read and not yet consumed.
	Buf  []byte
	R, W int
	// Remote is the address that was dialled.
	Remote netip.AddrPort

	raw        syscall.RawConn
	opened     time.Time
	idleSince  time.Time
	generation uint64
	requests   int
	pool       *Pool
	// kept is where the part of Buf ends that Fill must not move or overwrite.
	kept int

	readDeadline  time.Time // of the goroutine that reads
	writeDeadline time.Time // of the goroutine that writes

	aborter Aborter

	probe  func(fd uintptr)
	probed [1]byte
	quiet  bool

	asking question
}

func newConn(c net.Conn, raw syscall.RawConn, remote netip.AddrPort, p *Pool, generation uint64) *Conn {
	conn := &Conn{Conn: c, raw: raw, Remote: remote, pool: p, generation: generation}
	conn.probe = conn.look
	conn.aborter.abort = conn.Abort
	conn.asking.step = conn.ask
	return conn
}

// Use gives the connection a buffer to read into.
func (c *Conn) Use(buf []byte) { c.Buf, c.R, c.W, c.kept = buf, 0, 0, 0 }

// Keep makes what was consumed so far stay where it is until the next Use:
// views of it stay valid while more is read.
func (c *Conn) Keep() { c.kept = c.R }

// Fill reads more bytes behind Buf[R:W], making room first. It returns io.EOF
// as the underlying connection does, and ErrFull without room.
func (c *Conn) Fill() error {
	if !c.makeRoom() {
		return ErrFull
	}
	n, err := c.Read(c.Buf[c.W:])
	c.W += n
	if n > 0 {
		return nil
	}
	return err
}

// makeRoom makes room behind Buf[R:W]; false says that there is none.
func (c *Conn) makeRoom() bool {
	if c.R == c.W {
		c.R, c.W = c.kept, c.kept
	}
	if c.W < len(c.Buf) {
		return true
	}
	if c.R == c.kept {
		return false
	}
	n := copy(c.Buf[c.kept:], c.Buf[c.R:c.W])
	c.R, c.W = c.kept, c.kept+n
	return true
}

// Buffered returns the bytes that were read and not consumed.
func (c *Conn) Buffered() []byte { return c.Buf[c.R:c.W] }

// Consume marks n buffered bytes as used.
func (c *Conn) Consume(n int) { c.R += n }

// Received reports whether anything was read since Use.
func (c *Conn) Received() bool { return c.W > 0 }

// Reused reports whether the connection served a request before.
func (c *Conn) Reused() bool { return c.requests > 0 }

// ArmRead bounds the reads that follow by d from now, or a little more.
func (c *Conn) ArmRead(now time.Time, d time.Duration) {
	if !stands(c.readDeadline, now, d) {
		c.readDeadline = now.Add(d + slackOf(d))
		_ = c.SetReadDeadline(c.readDeadline)
	}
}

// ArmWrite bounds the writes that follow by d from now, or a little more.
func (c *Conn) ArmWrite(now time.Time, d time.Duration) {
	if !stands(c.writeDeadline, now, d) {
		c.writeDeadline = now.Add(d + slackOf(d))
		_ = c.SetWriteDeadline(c.writeDeadline)
	}
}

func slackOf(d time.Duration) time.Duration { return min(deadlineSlack, d/8) }

// stands reports whether a deadline need not be moved to bound what follows by
// d from now.
func stands(deadline, now time.Time, d time.Duration) bool {
	late := deadline.Sub(now.Add(d))
	return late >= 0 && late <= slackOf(d)
}

// look asks the kernel, without waiting, whether the socket has anything to read
// or has ended.
func (c *Conn) look(fd uintptr) {
	_, err := socket.Peek(fd, c.probed[:])
	c.quiet = errors.Is(err, unix.EAGAIN)
}

// alive reports whether an idle connection can carry a request: the peer has
// neither closed it nor sent anything. What may come unasked over TLS once the
// first answer was read is an alert, which is the end as well.
func (c *Conn) alive() bool {
	c.quiet = false
	return c.R == c.W && c.raw.Control(c.probe) == nil && c.quiet
}

// Abort closes the connection under the feet of who uses it. Unlike Close it
// never waits for the peer.
func (c *Conn) Abort() {
	if t, ok := c.Conn.(*tls.Conn); ok {
		_ = t.NetConn().Close()
		return
	}
	_ = c.Close()
}

// Aborter ends one connection, or one stream of a connection, from any goroutine.
type Aborter struct{ abort func() }

// NewAborter returns an Aborter that calls abort, which must not wait and may be
// called when all is over.
func NewAborter(abort func()) *Aborter { return &Aborter{abort} }

// Abort ends what the Aborter is of. Waiting calls return an error.
func (a *Aborter) Abort() { a.abort() }

// Aborter returns what ends the connection. It is the same at every call.
func (c *Conn) Aborter() *Aborter { return &c.aborter }
