// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/kong/kong-istio-gateway/internal/dataplane/socket"
)

// question is a request whose answer is waited for.
type question struct {
	step    func(fd uintptr) (over bool)
	buffer  func() []byte
	rest    []byte // what was not written yet
	waiting bool   // all of it was written
	failure error
}

// Ask writes b, after which the peer is to answer, and reads the first bytes
// that come back as Fill does. written is how much of b was written. ArmRead and
// ArmWrite bound it. A connection without a buffer is given one by buffer, on a
// plaintext socket only when the answer has come.
//
// There it begins to wait before it writes, because a read right after the write
// would only find out that there is nothing yet. Nothing may have been there
// before, which Reuse makes sure of; a peer that closes the connection between
// that look and the write is noticed by the reset that it answers with.
func (c *Conn) Ask(b []byte, buffer func() []byte) (written int, err error) {
	q := &c.asking
	q.buffer = buffer
	if _, plain := c.Conn.(*socket.Conn); !plain {
		return c.writeAndFill(b)
	}
	q.rest, q.waiting, q.failure = b, false, nil
	err = c.raw.Read(q.step)
	rest, full := q.rest, !q.waiting
	q.rest = nil
	written = len(b) - len(rest)
	if err == nil {
		err = q.failure
	}
	if err == nil && full {
		n, err := c.writeAndFill(rest)
		return written + n, err
	}
	return written, err
}

// WriteBoth writes first and then second; each may be empty. Over a plaintext
// socket they leave together.
func (c *Conn) WriteBoth(first, second []byte) (int, error) {
	if s, plain := c.Conn.(*socket.Conn); plain {
		return s.WriteBoth(first, second)
	}
	n, err := c.Write(first)
	if err != nil || len(second) == 0 {
		return n, err
	}
	m, err := c.Write(second)
	return n + m, err
}

func (c *Conn) writeAndFill(b []byte) (written int, err error) {
	if written, err = c.Write(b); err == nil {
		c.needBuffer()
		err = c.Fill()
	}
	return written, err
}

func (c *Conn) needBuffer() {
	if c.Buf == nil {
		c.Use(c.asking.buffer())
	}
}

// ask writes when it is called first, and reads when the socket is ready.
func (c *Conn) ask(fd uintptr) (over bool) {
	q := &c.asking
	if !q.waiting {
		return c.askFirst(fd)
	}
	c.needBuffer()
	if !c.makeRoom() {
		q.failure = ErrFull
		return true
	}
	n, err := socket.Read(fd, c.Buf[c.W:])
	switch {
	case n > 0:
		c.W += n
	case err == nil:
		q.failure = io.EOF
	case errors.Is(err, unix.EAGAIN):
		return false
	default:
		q.failure = os.NewSyscallError("read", err)
	}
	return true
}

// askFirst writes what there is room for. What is left is not waited for here.
func (c *Conn) askFirst(fd uintptr) (over bool) {
	q := &c.asking
	n, err := socket.Write(fd, q.rest)
	switch {
	case err == nil:
		q.rest = q.rest[n:]
		q.waiting = len(q.rest) == 0
	case !errors.Is(err, unix.EAGAIN):
		q.failure = os.NewSyscallError("write", err)
	}
	return !q.waiting
}
