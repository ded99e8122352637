// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// drainGrace is how long an idle connection is read once more before it is
	// closed: a request may already be under way on it. A connection without
	// a request so far gets longer, because it was opened to send one.
	drainGrace      = 100 * time.Millisecond
	drainGraceFresh = time.Second
	// lastLook bounds reading what arrived just before an idle connection was
	// to be closed.
	lastLook = 5 * time.Second
)

// awaitFirst waits for the first bytes of a request. On plaintext connections
// it holds no memory for them while it waits.
func (c *conn) awaitFirst() bool {
	c.beginIdle()
	err := c.readFirst()
	c.endIdle()
	if c.filled == 0 && isTimeout(err) && c.hasInput() {
		// It came while the wait was ending.
		c.armRead(time.Now(), lastLook)
		err = c.readFirst()
	}
	return c.filled > 0 || err == nil
}

// readFirst reads what comes first.
func (c *conn) readFirst() (err error) {
	if c.nc != net.Conn(c.socket) {
		c.begin()
		c.filled, err = c.nc.Read(c.buf)
		return err
	}
	c.taken = nil
	if err = c.raw.Read(c.arrive); err == nil {
		err = c.taken
	}
	return err
}

// take reads from the socket if anything is there, and reports whether the wait
// is over. Without anything to read the connection rests.
func (c *conn) take(fd uintptr) bool {
	c.begin()
	for {
		n, err := unix.Read(int(fd), c.buf)
		switch {
		case n > 0:
			c.filled = n
		case errors.Is(err, unix.EAGAIN):
			c.rest()
			return false
		case errors.Is(err, unix.EINTR):
			continue
		case err == nil:
			c.taken = io.EOF
		default:
			c.taken = err
		}
		return true
	}
}

func (c *conn) beginIdle() {
	c.idleMu.Lock()
	defer c.idleMu.Unlock()
	c.idle = true
	switch {
	case c.engine.draining.Load():
		c.limitIdle()
	case c.fresh:
		c.armRead(time.Now(), c.engine.settings.ClientHeaderTimeout)
	default:
		c.armRead(time.Now(), c.engine.settings.KeepaliveTimeout)
	}
}

func (c *conn) endIdle() {
	c.idleMu.Lock()
	defer c.idleMu.Unlock()
	c.idle, c.fresh = false, false
	if c.engine.draining.Load() {
		// The drain may have set a deadline that armRead knows nothing of.
		c.readDeadline = time.Time{}
	}
}

// limitIdle lets a connection that waits for a request read once more and end.
// The caller holds idleMu.
func (c *conn) limitIdle() {
	grace := drainGrace
	if c.fresh {
		grace = drainGraceFresh
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(grace))
}

// closeSoon ends the connection if it waits for a request. Any goroutine may
// call it.
func (c *conn) closeSoon() {
	c.idleMu.Lock()
	defer c.idleMu.Unlock()
	if c.idle {
		c.limitIdle()
	}
}

// peekFirst waits for the first byte of the connection and leaves it there.
func (c *conn) peekFirst() (first byte, ok bool) {
	var b [1]byte
	err := c.raw.Read(func(fd uintptr) bool {
		n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		ok = n == 1
		return !errors.Is(err, unix.EAGAIN)
	})
	return b[0], ok && err == nil
}

// hasInput reports whether bytes wait in the socket.
func (c *conn) hasInput() (has bool) {
	var b [1]byte
	err := c.raw.Control(func(fd uintptr) {
		n, _, _ := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		has = n == 1
	})
	return has && err == nil
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}
