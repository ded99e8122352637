// SPDX-License-Identifier: Apache-2.0

package loop

import (
	"errors"
	"net/http"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/test/bench/drivers/internal/site"
)

// backend is a connection to the backend.
type backend struct {
	end
	client *client // nil while it is idle
	buf    []byte
	r, w   int
	used   bool // served a request before
	heard  bool // something was read for this request
	since  time.Time
}

// take returns an idle connection or opens one.
func (l *loop) take(c *client) (*backend, error) {
	if n := len(l.idle); n > 0 {
		b := l.idle[n-1]
		l.idle = l.idle[:n-1]
		l.use(b, c)
		return b, nil
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	to := l.site.Backend
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		_ = unix.Close(fd)
		return nil, err
	}
	b := &backend{end: end{fd: fd}}
	b.backend = b
	if err := l.add(&b.end); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	l.use(b, c)
	return b, nil
}

func (l *loop) use(b *backend, c *client) {
	b.client, b.heard = c, false
	if n := len(l.answers); n > 0 {
		b.buf, l.answers = l.answers[n-1], l.answers[:n-1]
	} else {
		b.buf = make([]byte, answerBuffer)
	}
	b.r, b.w = 0, 0
}

// free takes the buffer back.
func (l *loop) free(b *backend) {
	if b.buf != nil {
		l.answers = append(l.answers, b.buf)
	}
	b.buf, b.client = nil, nil
}

// keep makes a connection idle.
func (l *loop) keep(b *backend) {
	l.free(b)
	b.used, b.since = true, l.now
	if len(l.idle) >= site.UpstreamPool || b.hungUp {
		l.close(&b.end)
		return
	}
	l.idle = append(l.idle, b)
}

// drop closes a connection.
func (l *loop) drop(b *backend) {
	if b.client == nil {
		for i, other := range l.idle {
			if other == b {
				l.idle = append(l.idle[:i], l.idle[i+1:]...)
				break
			}
		}
	}
	l.free(b)
	l.close(&b.end)
}

// exchange passes request and answer on as far as the sockets allow. It
// reports whether the exchange is over.
func (c *client) exchange() bool {
	if err := c.pushRequest(); err != nil {
		return c.failed()
	}
	if c.gone {
		return false
	}
	if err := c.pullAnswer(); err != nil {
		return c.failed()
	}
	if !c.flush() || !c.answered || len(c.out) > 0 || c.gone {
		return false
	}
	return c.finish()
}

// failed decides what follows a failure of the backend.
func (c *client) failed() bool {
	b := c.backend
	stale := b.used && !b.heard && !c.bodyMoved && c.ex.Request.MethodID != http1.MethodPost && string(c.ex.Request.Method) != http.MethodPatch
	if stale {
		c.loop.drop(b)
		c.backend = nil
		c.connect()
		return true
	}
	c.fail(502)
	return true
}

// pushRequest writes the request and reads more of its body.
func (c *client) pushRequest() error {
	for {
		for c.upSent < len(c.up) {
			if !c.backend.writable {
				return nil
			}
			n, err := c.backend.write(c.up[c.upSent:])
			if err != nil {
				return err
			}
			if c.upSent += n; c.upSent == len(c.up) && c.bodyDone {
				c.deadline = c.loop.now.Add(site.ReadTimeout)
			}
		}
		if c.bodyDone {
			return nil
		}
		if len(c.pending) == 0 && !c.fillBody() {
			return nil
		}
		data, n, done, err := c.ex.Body.Decode(c.pending)
		if err != nil {
			return err
		}
		c.pending, c.bodyDone, c.bodyMoved = c.pending[n:], done, true
		c.up, c.upSent = c.up[:0], 0
		if c.ex.Request.Framing == http1.BodyChunked {
			c.up = http1.AppendChunk(c.up, data)
			if done {
				c.up = http1.AppendLastChunk(c.up, c.ex.Body.Trailers())
			}
		} else {
			c.up = append(c.up, data...)
		}
	}
}

// fillBody reads more of the request's body; false means to wait.
func (c *client) fillBody() bool {
	if !c.readable {
		return false
	}
	if c.body == nil {
		c.body = make([]byte, bodyBuffer)
	}
	n, err := c.read(c.body)
	if errors.Is(err, unix.EAGAIN) {
		return false
	}
	if err != nil || n == 0 {
		c.close()
		return false
	}
	c.pending, c.deadline = c.body[:n], c.loop.now.Add(site.BodyTimeout)
	return true
}

var errEnded = errors.New("loop: the backend closed the connection")

// pullAnswer reads the answer while the client takes it.
func (c *client) pullAnswer() error {
	b := c.backend
	for !c.answered && len(c.out)-c.outSent < writeAhead {
		if b.r == b.w || !c.answering {
			if !b.readable {
				return nil
			}
			if b.r == b.w {
				b.r, b.w = 0, 0
			}
			if b.w == len(b.buf) {
				return errEnded
			}
			n, err := b.read(b.buf[b.w:])
			switch {
			case errors.Is(err, unix.EAGAIN):
				return nil
			case err != nil:
				return err
			case n == 0:
				return c.endOfBackend()
			}
			b.w += n
			b.heard = true
			c.deadline = c.loop.now.Add(site.ReadTimeout)
		}
		if !c.answering {
			if more, err := c.answerHead(); more || err != nil {
				if err != nil {
					return err
				}
				continue
			}
		}
		if err := c.answerBody(); err != nil {
			return err
		}
		if !c.flush() {
			return nil
		}
	}
	return nil
}

// endOfBackend is how an answer without a length ends.
func (c *client) endOfBackend() error {
	if c.answering && c.ex.Response.Framing == http1.BodyUntilClose {
		c.answered, c.keep = true, false
		return nil
	}
	return errEnded
}

// answerHead parses the answer's head; more says that it is not complete.
func (c *client) answerHead() (more bool, err error) {
	b := c.backend
	n, err := c.ex.ParseResponse(b.buf[b.r:b.w])
	if errors.Is(err, http1.ErrNeedMore) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	b.r += n
	if c.ex.Response.Interim() {
		c.ex.Response.Reset()
		return b.r == b.w, nil
	}
	c.answering = true
	c.keep = c.keep && c.ex.Response.Framing != http1.BodyUntilClose
	c.out, err = c.ex.AppendAnswer(c.out, c.loop.now, c.keep)
	return false, err
}

// answerBody passes on what was read of the answer's body.
func (c *client) answerBody() error {
	b := c.backend
	for {
		data, n, done, err := c.ex.Answer.Decode(b.buf[b.r:b.w])
		if err != nil {
			return err
		}
		b.r += n
		if c.ex.Response.Framing == http1.BodyChunked {
			c.out = http1.AppendChunk(c.out, data)
			if done {
				c.out = http1.AppendLastChunk(c.out, c.ex.Answer.Trailers())
			}
		} else {
			c.out = append(c.out, data...)
		}
		if done {
			c.answered = true
			return nil
		}
		if n == 0 || b.r == b.w {
			return nil
		}
	}
}

// finish makes ready for the next request.
func (c *client) finish() bool {
	b := c.backend
	c.backend = nil
	if c.bodyDone && c.ex.Response.KeepAlive && b.r == b.w {
		c.loop.keep(b)
	} else {
		c.loop.drop(b)
	}
	c.ex.End(c.loop.now)
	if !c.keep || !c.bodyDone {
		c.close()
		return false
	}
	c.filled = copy(c.in, c.pending)
	c.pending = nil
	c.state, c.deadline = waiting, c.loop.now.Add(site.KeepaliveTimeout)
	if c.filled == 0 && !c.readable {
		c.rest()
	}
	return true
}
