// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Conn is a TCP connection. Other than of a net.Conn, one goroutine at a time
// may read it, and one write; the rest may be called by any.
type Conn struct {
	*net.TCPConn
	raw     syscall.RawConn
	in, out transfer
}

// transfer is a Read or Write under way.
type transfer struct {
	step   func(fd uintptr) (over bool) // bound once
	buf    []byte
	behind []byte // what follows buf in WriteBoth
	done   int
	failed error
}

// New returns c as a Conn. The error is that of a connection that was closed.
func New(c *net.TCPConn) (*Conn, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &Conn{TCPConn: c, raw: raw}
	s.in.step, s.out.step = s.in.read, s.out.write
	return s, nil
}

// Raw returns the connection's descriptor for calls like those of this package.
// It is the same at every call.
func (c *Conn) Raw() syscall.RawConn { return c.raw }

// Cut ends the connection under the feet of who uses it. Unlike Close it never
// waits for them, and leaves closing to them.
func (c *Conn) Cut() {
	_ = c.raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
}

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	c.in.buf, c.in.done, c.in.failed = b, 0, nil
	err := c.raw.Read(c.in.step)
	return c.in.end(c, "read", err)
}

// Write implements net.Conn.
func (c *Conn) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	c.out.buf, c.out.done, c.out.failed = b, 0, nil
	err := c.raw.Write(c.out.step)
	return c.out.end(c, "write", err)
}

// WriteBoth writes first and then second, in one call to the kernel where it
// has room. The count is that of both.
func (c *Conn) WriteBoth(first, second []byte) (int, error) {
	if len(first) == 0 || len(second) == 0 {
		n, err := c.Write(first)
		if err != nil {
			return n, err
		}
		m, err := c.Write(second)
		return n + m, err
	}
	c.out.buf, c.out.behind, c.out.done, c.out.failed = first, second, 0, nil
	err := c.raw.Write(c.out.step)
	c.out.behind = nil
	return c.out.end(c, "write", err)
}

// read is called until it says that it is over, with a wait for the descriptor
// in between.
func (t *transfer) read(fd uintptr) (over bool) {
	n, err := Read(fd, t.buf)
	switch {
	case n > 0:
		t.done = n
	case err == nil:
		t.failed = io.EOF
	case err == unix.EAGAIN: //nolint:errorlint // what Read returns
		return false
	default:
		t.failed = err
	}
	return true
}

// write is read's other half.
func (t *transfer) write(fd uintptr) (over bool) {
	for t.done < len(t.buf)+len(t.behind) {
		n, err := t.writeRest(fd)
		if t.done += n; err != nil {
			t.failed = err
			break
		}
	}
	if t.failed == unix.EAGAIN { //nolint:errorlint // what Write returns
		t.failed = nil
		return false
	}
	return true
}

func (t *transfer) writeRest(fd uintptr) (int, error) {
	switch {
	case t.behind == nil:
		return Write(fd, t.buf[t.done:])
	case t.done < len(t.buf):
		return WriteBoth(fd, t.buf[t.done:], t.behind)
	}
	return Write(fd, t.behind[t.done-len(t.buf):])
}

// end returns what became of a transfer. waiting is the failure of the wait:
// the deadline, or the connection's end.
func (t *transfer) end(c *Conn, op string, waiting error) (int, error) {
	t.buf = nil
	switch {
	case waiting != nil:
		return t.done, waiting
	case t.failed == nil || t.failed == io.EOF: //nolint:errorlint // set above
		return t.done, t.failed
	}
	return t.done, &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(op, t.failed)}
}
