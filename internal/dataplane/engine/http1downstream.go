// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"net"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
)

// conn implements downstream for HTTP/1.

var continueLine = []byte("HTTP/1.1 100 Continue\r\n\r\n")

// readBody implements downstream.
func (c *conn) readBody() (data []byte, last bool, err error) {
	for {
		data, last, ok, err := c.arrivedBody()
		if ok || err != nil {
			return data, last, err
		}
		if err := c.sendContinue(); err != nil {
			return nil, false, err
		}
		if err := c.fillBody(); err != nil {
			return nil, false, err
		}
	}
}

// arrivedBody implements downstream.
func (c *conn) arrivedBody() (data []byte, last, ok bool, err error) {
	for {
		data, n, done, err := c.decoder.Decode(c.pending)
		c.pending = c.pending[n:]
		switch {
		case err != nil:
			return nil, false, false, err
		case len(data) > 0 || done:
			return data, done, true, nil
		case n == 0:
			return nil, false, false, nil
		}
	}
}

// fillBody reads more body bytes into pending.
func (c *conn) fillBody() error {
	c.takeBodyBuffer()
	now := time.Now()
	c.armBody(now)
	if c.stopped.Load() {
		return errStopped
	}
	n, err := c.nc.Read(c.bodyBuf)
	c.bodyWaited += time.Since(now)
	c.pending, c.bodyRead = c.bodyBuf[:n], n
	if n > 0 {
		return nil
	}
	return err
}

// takeBodyBuffer takes a buffer to read the next piece of a body into: a large
// one while the client sends faster than small ones take.
func (c *conn) takeBodyBuffer() {
	size := bodyBuffer
	if c.bodyRead >= bodyBuffer {
		size = largeBodyBuffer
	}
	if len(c.bodyBuf) != size {
		c.dropBodyBuffer()
		c.bodyBuf = getBodyBuffer(size)
	}
}

// requestTrailers implements downstream.
func (c *conn) requestTrailers() *http1.Header { return c.decoder.Trailers() }

// stopReading implements downstream. Who arms a deadline afterwards looks at
// stopped before it waits.
func (c *conn) stopReading() {
	c.stopped.Store(true)
	_ = c.nc.SetReadDeadline(time.Unix(1, 0))
}

// resumeReading implements downstream.
func (c *conn) resumeReading() {
	c.stopped.Store(false)
	c.readDeadline = time.Time{}
}

// sendContinue implements downstream.
func (c *conn) sendContinue() error {
	if !c.ex.req.ExpectContinue {
		return nil
	}
	c.ex.req.ExpectContinue = false
	c.out = append(c.out, continueLine...)
	return c.flush()
}

// sendInterim implements downstream. HTTP/1.0 knows no interim answers.
func (c *conn) sendInterim(head *http1.ResponseHead) error {
	if c.ex.req.Minor == 0 {
		return nil
	}
	// The only error is that of a status out of range.
	c.out, _ = http1.AppendResponseHead(c.out, head)
	return c.flush()
}

// sendHead implements downstream.
func (c *conn) sendHead(head *http1.ResponseHead, bodyRead bool) {
	if head.Framing == http1.BodyChunked && c.ex.req.Minor == 0 {
		// HTTP/1.0 knows no chunks.
		head.Framing = http1.BodyUntilClose
		c.keep = false
	}
	head.Connection = http1.ConnectionKeepAlive
	if !c.keep || !bodyRead || c.engine.draining.Load() {
		head.Connection = http1.ConnectionClose
		c.keep = false
	}
	if head.Status == 426 && head.Header.HasID(http1.HeaderUpgrade) {
		// RFC 9110 §15.5.22: the answer names what to upgrade to.
		head.Connection = http1.ConnectionUpgrade
		if !c.keep {
			head.Connection = http1.ConnectionCloseUpgrade
		}
	}
	c.framing = head.Framing
	// The only error is that of a status out of range.
	c.out, _ = http1.AppendResponseHead(c.out, head)
}

// sendBody implements downstream.
func (c *conn) sendBody(data []byte, last, more bool, trailers *http1.Header) error {
	switch c.framing {
	case http1.BodyNone:
	case http1.BodyChunked:
		c.out = http1.AppendChunk(c.out, data)
		if last {
			c.out = http1.AppendLastChunk(c.out, trailers)
		}
	default:
		if len(data) >= writeBatch/2 {
			return c.writeBehind(data)
		}
		c.out = append(c.out, data...)
	}
	if more && !last && len(c.out) < writeBatch {
		return nil
	}
	return c.flush()
}

// flush implements downstream.
func (c *conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	err := c.write(c.out)
	c.out = c.out[:0]
	return err
}

// writeBehind sends what was held back and data behind it.
func (c *conn) writeBehind(data []byte) error {
	if c.nc != net.Conn(c.socket) {
		// Over TLS both are copied into records in any case.
		n := min(max(0, headBatch-len(c.out)), len(data))
		c.out = append(c.out, data[:n]...)
		if err := c.flush(); err != nil {
			return err
		}
		return c.write(data[n:])
	}
	piece := data[:min(len(data), writePiece)]
	c.armWrite(c.ex.now(), c.engine.settings.SendTimeout)
	n, err := c.socket.WriteBoth(c.out, piece)
	c.out = c.out[:0]
	if err := c.wrote(n, err); err != nil {
		return err
	}
	return c.write(data[len(piece):])
}

// writePiece is how much of an answer a client must take within send_timeout.
const writePiece = 64 << 10

func (c *conn) write(b []byte) error {
	for len(b) > 0 {
		piece := b[:min(len(b), writePiece)]
		c.armWrite(c.ex.now(), c.engine.settings.SendTimeout)
		n, err := c.nc.Write(piece)
		if err := c.wrote(n, err); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// wrote notes what became of a write.
func (c *conn) wrote(n int, err error) error {
	c.ex.clock = time.Time{} // it may have waited
	c.sentBytes += int64(n)
	if err != nil {
		c.departed.Store(true)
	}
	return err
}

// sent implements downstream.
func (c *conn) sent() int64 { return c.sentBytes }

// closeAfter implements downstream.
func (c *conn) closeAfter() { c.keep = false }

// awaitDeparture implements downstream.
func (c *conn) awaitDeparture() { c.waiting.Store(uint64(c.requests)) }

// takeOver implements takenOver.
func (c *conn) takeOver() (nc net.Conn, behind []byte) {
	c.waiting.Store(0)
	behind, c.pending = c.pending, nil
	return c.nc, behind
}
