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
)

// Conn is a connection to an upstream. It is used by one goroutine at a time.
type Conn struct {
	net.Conn
	// Buf is the read buffer: Buf[R:W] was read and not yet consumed.
	Buf  []byte
	R, W int
	// Remote is the address that was dialled.
	Remote netip.AddrPort

	raw        syscall.RawConn
	overTLS    bool
	opened     time.Time
	idleSince  time.Time
	generation uint64
	requests   int
	pool       *Pool

	probe     func(fd uintptr) bool
	probeSeen int
	probeErr  error
}

func newConn(c net.Conn, raw syscall.RawConn, remote netip.AddrPort, p *Pool, now time.Time) *Conn {
	conn := &Conn{Conn: c, raw: raw, Remote: remote, pool: p, opened: now, generation: p.generation.Load()}
	_, conn.overTLS = c.(*tls.Conn)
	conn.probe = conn.peek
	return conn
}

// Fill reads more bytes behind Buf[R:W], making room first. It returns io.EOF
// as the underlying connection does.
func (c *Conn) Fill() error {
	if c.R == c.W {
		c.R, c.W = 0, 0
	}
	if c.W == len(c.Buf) {
		if c.R > 0 {
			copy(c.Buf, c.Buf[c.R:c.W])
			c.R, c.W = 0, c.W-c.R
		} else {
			return errFull
		}
	}
	n, err := c.Read(c.Buf[c.W:])
	c.W += n
	if n > 0 {
		return nil
	}
	return err
}

var errFull = errors.New("upstream: the answer's head does not fit the buffer")

// Buffered returns the bytes that were read and not consumed.
func (c *Conn) Buffered() []byte { return c.Buf[c.R:c.W] }

// Consume marks n buffered bytes as used.
func (c *Conn) Consume(n int) { c.R += n }

// Reused reports whether the connection served a request before.
func (c *Conn) Reused() bool { return c.requests > 0 }

// peek looks at the socket without waiting and without taking bytes.
func (c *Conn) peek(fd uintptr) bool {
	var b [1]byte
	n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	c.probeSeen, c.probeErr = n, err
	return true
}

// alive reports whether an idle connection can carry a request: the peer has
// neither closed it nor sent anything unasked.
func (c *Conn) alive() bool {
	if c.R != c.W {
		return false
	}
	c.probeSeen, c.probeErr = 0, nil
	if err := c.raw.Read(c.probe); err != nil {
		return false
	}
	if c.probeErr != nil {
		return errors.Is(c.probeErr, unix.EAGAIN)
	}
	// Over TLS, session tickets may wait unread; over plaintext bytes that
	// nobody asked for belong to no answer.
	return c.overTLS && c.probeSeen > 0
}
