// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/internal/dataplane/socket"
)

// lastLook bounds reading what arrived just before an idle connection was to be
// closed.
const lastLook = 5 * time.Second

// awaitFirst waits for the first bytes of a request. It holds no memory for
// them while it waits.
func (c *conn) awaitFirst() bool {
	c.beginIdle()
	err := c.readFirst()
	c.endIdle(c.filled > 0)
	if c.filled == 0 && isTimeout(err) && c.hasInput() {
		// It came while the wait was ending.
		c.armRead(time.Now(), lastLook)
		err = c.readFirst()
		c.stay()
	}
	return c.filled > 0 || err == nil
}

// readFirst reads what comes first.
func (c *conn) readFirst() (err error) {
	if c.nc != net.Conn(c.socket) {
		return c.readFirstSecured()
	}
	c.taken = nil
	if err = c.socket.Raw().Read(c.arrive); err == nil {
		err = c.taken
	}
	return err
}

// readFirstSecured waits for a single byte: crypto/tls does not tell whether it
// holds any, so that the socket cannot be asked. What came with it is read at
// once; if nothing did, the deadline of the wait holds for the second byte too.
func (c *conn) readFirstSecured() error {
	c.rest()
	if n, err := c.nc.Read(c.first[:]); n == 0 {
		return err
	}
	c.begin()
	c.buf[0] = c.first[0]
	n, err := c.nc.Read(c.buf[1:])
	c.filled = 1 + n
	return err
}

// take reads from the socket if anything is there, and reports whether the wait
// is over. Without anything to read the connection rests. It is called while
// nobody else may read the socket.
func (c *conn) take(fd uintptr) bool {
	c.begin()
	n, err := socket.Read(fd, c.buf)
	switch {
	case n > 0:
		c.filled = n
		return !c.serveInPlace()
	case errors.Is(err, unix.EAGAIN):
		c.rest()
		return false
	case err == nil:
		c.taken = io.EOF
	default:
		c.taken = err
	}
	return true
}

// serveInPlace serves the request that was read, if that needs no further byte
// of the client, and reports whether the wait for the next one goes on. In that
// case the socket need not be read again just to learn that nothing is there:
// all of it was read, so that the poller tells what comes later.
//
// There is one thing that it told before: the end of what the client sends, if
// that came together with the request. For it idleMark is left to the watcher.
func (c *conn) serveInPlace() (waits bool) {
	if c.requests == 0 || c.filled == len(c.buf) {
		// Which protocol it speaks is not known, or there may be more.
		return false
	}
	c.endIdle(true)
	length, err := c.parseHead()
	if err != nil || c.ex.req.Framing != http1.BodyNone || c.ex.req.WebSocket {
		c.parsed = parsedHead{length, err, true}
		return false
	}
	c.last = !c.exchange(length, nil)
	if c.last || c.filled > 0 {
		return false
	}
	c.rest()
	c.beginIdle()
	c.waiting.Store(idleMark | uint64(c.requests)) // #nosec G115 -- a count
	return true
}

func (c *conn) beginIdle() {
	now := c.ended
	if now.IsZero() {
		now = time.Now()
	}
	c.idleMu.Lock()
	defer c.idleMu.Unlock()
	c.idle, c.since, c.proven = true, now, c.requests > 0
	switch {
	case c.leaving:
		// Its deadline has passed.
	case c.engine.ending.Load():
		c.limitIdle()
	case !c.proven:
		// Also where a handshake came before.
		c.armRead(c.since, c.engine.settings.ClientHeaderTimeout)
	default:
		c.armRead(c.since, c.engine.settings.KeepaliveTimeout)
	}
}

// endIdle ends the wait; arrived says that a request has.
func (c *conn) endIdle(arrived bool) {
	c.idleMu.Lock()
	defer c.idleMu.Unlock()
	c.idle = false
	if c.waiting.Load() != 0 {
		c.waiting.Store(0)
	}
	if c.leaving || c.engine.ending.Load() {
		// Somebody may have set a deadline that armRead knows nothing of.
		c.readDeadline = time.Time{}
	}
	if arrived {
		c.stayLocked()
	}
}

// beginHead notes that a part of a request's head is here, or of a handshake.
func (c *conn) beginHead(now time.Time) {
	c.idleMu.Lock()
	defer c.idleMu.Unlock()
	c.heading, c.since = true, now
}

// endHead ends beginHead; complete says that it came to its end.
func (c *conn) endHead(complete bool) {
	c.idleMu.Lock()
	defer c.idleMu.Unlock()
	c.heading = false
	if complete {
		c.stayLocked()
	}
}

// waits reports whether the connection waits for a request. Any goroutine may
// call it.
func (c *conn) waits() bool {
	c.idleMu.Lock()
	defer c.idleMu.Unlock()
	return c.idle
}

// peekFirst waits for the first byte of the connection and leaves it there.
func (c *conn) peekFirst() (first byte, ok bool) {
	first, err := c.peek()
	if isTimeout(err) && c.hasInput() {
		// It came while the wait was ending.
		_ = c.socket.SetReadDeadline(time.Now().Add(lastLook))
		first, err = c.peek()
	}
	return first, err == nil
}

func (c *conn) peek() (byte, error) {
	var b [1]byte
	_, err := c.peekInto(b[:])
	return b[0], err
}

// peekInto waits for bytes and leaves them in the socket.
func (c *conn) peekInto(b []byte) (n int, err error) {
	var failed error
	err = c.socket.Raw().Read(func(fd uintptr) bool {
		n, failed = socket.Peek(fd, b)
		return !errors.Is(failed, unix.EAGAIN)
	})
	switch {
	case err != nil:
		return 0, err
	case failed != nil:
		return 0, failed
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// hasInput reports whether bytes wait in the socket.
func (c *conn) hasInput() (has bool) {
	var b [1]byte
	err := c.socket.Raw().Control(func(fd uintptr) {
		n, _ := socket.Peek(fd, b[:])
		has = n == 1
	})
	return has && err == nil
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}
