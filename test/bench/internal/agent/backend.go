// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	// sampleEvery is one in how many messages is kept for the check, and
	// sampleLimit how many at most.
	sampleEvery = 499
	sampleLimit = 64
	// headLimit is the longest head that is understood.
	headLimit = 32 << 10
)

var headEnd = []byte("\r\n\r\n")

// backend answers every request with the same bytes and counts them. It lives
// in the loop.
type backend struct {
	loop     *loop
	listener int
	Address  string
	answer   []byte

	arrived, bytes int64
	samples        []string
	failure        string
	conns          map[*backendConn]struct{}
}

func newBackend(l *loop) (*backend, error) {
	b := &backend{loop: l, conns: map[*backendConn]struct{}{}}
	var err error
	if b.listener, b.Address, err = listen(); err != nil {
		return nil, err
	}
	b.reset(3)
	return b, l.add(b.listener, b)
}

// reset forgets what was counted and sets the length of the answers.
func (b *backend) reset(length int) {
	b.arrived, b.bytes, b.samples, b.failure = 0, 0, nil, ""
	b.answer = fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nServer: backend\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"+
		"Content-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n%s", length, bytes.Repeat([]byte("x"), length))
}

func (b *backend) fail(err error) {
	if b.failure == "" {
		b.failure = "at the backend: " + err.Error()
	}
}

// ready accepts what waits.
func (b *backend) ready(uint32) {
	for {
		fd, _, err := unix.Accept4(b.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		c := &backendConn{backend: b, fd: fd}
		if err := errors.Join(noDelay(fd), b.loop.add(fd, c)); err != nil {
			b.fail(err)
		}
		b.conns[c] = struct{}{}
	}
}

type backendConn struct {
	backend *backend
	fd      int
	partial []byte // of a head that is not complete
	body    int64  // bytes that are still to come
	owed    bool   // an answer is due after the body
	out     []byte
}

func (c *backendConn) ready(events uint32) {
	if events&unix.EPOLLOUT != 0 && len(c.out) > 0 {
		c.send(c.out)
	}
	data, err := c.backend.loop.read(c.fd)
	if err != nil {
		c.close(err)
		return
	}
	for len(data) > 0 {
		if data, err = c.take(data); err != nil {
			c.backend.fail(err)
			c.close(err)
			return
		}
	}
}

// take uses up the start of data: a piece of a body, or a head.
func (c *backendConn) take(data []byte) ([]byte, error) {
	if c.body > 0 {
		n := min(c.body, int64(len(data)))
		c.body -= n
		c.backend.bytes += n
		data = data[n:]
	} else {
		head, rest, err := splitHead(&c.partial, data)
		if head == nil || err != nil {
			return nil, err
		}
		if c.body, err = requestBody(head); err != nil {
			return nil, err
		}
		c.owed = true
		c.backend.note(head)
		c.partial = c.partial[:0]
		data = rest
	}
	if c.body == 0 && c.owed {
		c.owed = false
		c.send(c.backend.answer)
	}
	return data, nil
}

func (b *backend) note(head []byte) {
	if b.arrived%sampleEvery == 0 && len(b.samples) < sampleLimit {
		b.samples = append(b.samples, string(head))
	}
	b.arrived++
}

func (c *backendConn) send(b []byte) {
	left, err := write(c.fd, b)
	if err != nil {
		c.close(err)
		return
	}
	waiting := len(c.out) > 0
	c.out = left
	if waiting != (len(left) > 0) {
		if err := c.backend.loop.writable(c.fd, !waiting); err != nil {
			c.backend.fail(err)
		}
	}
}

func (c *backendConn) close(err error) {
	if (c.body > 0 || len(c.partial) > 0 || c.owed) && !errors.Is(err, errEnd) {
		c.backend.fail(fmt.Errorf("a request was cut off: %w", err))
	}
	delete(c.backend.conns, c)
	c.backend.loop.close(c.fd)
}

// splitHead returns a complete head and what follows it. An incomplete one is
// kept in partial, and nothing is returned.
func splitHead(partial *[]byte, data []byte) (head, rest []byte, err error) {
	if len(*partial) == 0 {
		if i := bytes.Index(data, headEnd); i >= 0 {
			return data[:i+len(headEnd)], data[i+len(headEnd):], nil
		}
		*partial = append(*partial, data...)
	} else {
		before := len(*partial)
		*partial = append(*partial, data...)
		from := max(0, before-len(headEnd)+1)
		if i := bytes.Index((*partial)[from:], headEnd); i >= 0 {
			end := from + i + len(headEnd)
			return (*partial)[:end], data[end-before:], nil
		}
	}
	if len(*partial) > headLimit {
		return nil, nil, fmt.Errorf("a head has no end within %d bytes", headLimit)
	}
	return nil, nil, nil
}

var (
	contentLength    = []byte("ontent-")
	transferEncoding = []byte("ransfer-")
)

// requestBody returns the length of a request's body. What is chunked is
// refused: the client sends lengths, and a proxy that cannot keep them does
// other work than the rest.
func requestBody(head []byte) (int64, error) {
	if bytes.Index(head, transferEncoding) > 0 {
		return 0, errors.New("a request arrived with Transfer-Encoding, although it was sent with Content-Length")
	}
	n, ok := lengthOf(head)
	if !ok {
		return 0, nil
	}
	return n, nil
}

// lengthOf finds Content-Length, whatever case it is in.
func lengthOf(head []byte) (int64, bool) {
	const name = "Content-Length: "
	for from := 0; ; {
		i := bytes.Index(head[from:], contentLength)
		if i < 1 {
			return 0, false
		}
		at := from + i - 1
		from += i + len(contentLength)
		if len(head) < at+len(name) || !bytes.EqualFold(head[at:at+len(name)], []byte(name)) {
			continue
		}
		digits, _, _ := bytes.Cut(head[at+len(name):], []byte("\r"))
		n, err := strconv.ParseInt(string(bytes.TrimSpace(digits)), 10, 64)
		return n, err == nil
	}
}
