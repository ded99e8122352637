// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"io"
	"net"
	"runtime"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/internal/dataplane/upstream"
)

// http1Upstream implements upstreamStream on a connection that speaks HTTP/1.
// An exchange has one of them for all of its tries.
type http1Upstream struct {
	conn         *upstream.Conn
	alone        bool // as the engine's
	limits       *http1.Limits
	readTimeout  time.Duration
	writeTimeout time.Duration
	// buf is conn's buffer; the header of the answer lives in it. There is none
	// before the answer comes: what waits for one must not cost more than its
	// request.
	buf        []byte
	takeBuffer func() []byte // getBuffer, bound once

	headBytes []byte // the request's head with the first bytes of the body
	frame     []byte // a chunk of the body; of the goroutine that sends it
	chunked   bool   // the request's body is sent in chunks
	written   bool   // something of the request was sent
	spoke     bool   // an interim answer came
	asks      bool   // headBytes are sent when the answer is waited for

	// of the answer
	came      time.Time // when the bytes came that were read last
	decoder   http1.Decoder
	framing   http1.Framing
	keepAlive bool
	ended     bool // the body was read to its end
	stuck     bool // what is buffered says nothing without more
}

// use begins a try on a connection.
func (u *http1Upstream) use(conn *upstream.Conn, limits *http1.Limits, t *target) {
	if u.takeBuffer == nil {
		u.takeBuffer = u.getBuffer
	}
	conn.Use(u.buf)
	u.conn, u.limits, u.readTimeout, u.writeTimeout = conn, limits, t.readTimeout, t.writeTimeout
	u.alone = t.engine.alone
	u.written, u.asks, u.spoke = false, false, false
}

// sendHead implements upstreamStream. What fits goes out in one write.
func (u *http1Upstream) sendHead(head *http1.RequestHead, first []byte, more bool, now time.Time) (err error) {
	if u.headBytes, err = http1.AppendRequestHead(u.headBytes[:0], head); err != nil {
		return err
	}
	u.chunked = head.Framing == http1.BodyChunked
	switch {
	case u.chunked:
		u.headBytes = http1.AppendChunk(u.headBytes, first)
		first = nil
		if !more {
			u.headBytes = http1.AppendLastChunk(u.headBytes, nil)
		}
	case len(first) <= bodyBuffer/2:
		u.headBytes = append(u.headBytes, first...)
		first = nil
	}
	u.conn.ArmWrite(now, u.writeTimeout)
	if u.asks = !more && len(first) == 0; u.asks {
		// All that there is goes out when the answer is waited for.
		return nil
	}
	return u.writeBoth(u.headBytes, first)
}

// sendBody implements upstreamStream.
func (u *http1Upstream) sendBody(data []byte, last bool, trailers *http1.Header) error {
	u.conn.ArmWrite(time.Now(), u.writeTimeout)
	if !u.chunked {
		return u.writeBoth(data, nil)
	}
	u.frame = u.frame[:0]
	if len(data) > bodyBuffer {
		// More than is worth a copy.
		if err := u.writeBoth(http1.AppendChunkLine(u.frame, int64(len(data))), data); err != nil {
			return err
		}
		u.frame = append(u.frame, "\r\n"...)
	} else {
		u.frame = http1.AppendChunk(u.frame, data)
	}
	if last {
		u.frame = http1.AppendLastChunk(u.frame, trailers)
	}
	return u.writeBoth(u.frame, nil)
}

// writeBoth writes b and then what is behind it.
func (u *http1Upstream) writeBoth(b, behind []byte) error {
	n, err := u.conn.WriteBoth(b, behind)
	u.written = u.written || n > 0
	return err
}

// readHead implements upstreamStream.
func (u *http1Upstream) readHead(method http1.Method, resp *http1.Response, now time.Time) error {
	for {
		n, err := http1.ParseResponse(u.conn.Buffered(), u.limits, method, resp)
		switch {
		case err == nil && resp.Interim():
			u.conn.Consume(n)
			u.spoke = true
			return nil
		case err == nil:
			u.conn.Consume(n)
			u.conn.Keep()
			u.decoder.ResetResponse(resp, u.limits)
			u.framing, u.keepAlive = resp.Framing, resp.KeepAlive
			u.stuck, u.ended = false, false
			return nil
		case !errors.Is(err, http1.ErrNeedMore):
			return err
		}
		u.conn.ArmRead(now, u.readTimeout)
		if err := u.fill(); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		now = time.Now()
		u.came = now
	}
}

// fill reads more of the answer's head, after the request was sent.
func (u *http1Upstream) fill() error {
	if u.asks {
		u.asks = false
		if u.alone {
			// Requests that came together are sent together: who receives them is
			// woken once, and none waits for the work on all of the others. Where
			// other threads run goroutines, they would be woken to take this one.
			runtime.Gosched()
		}
		n, err := u.conn.Ask(u.headBytes, u.takeBuffer)
		u.written = n > 0
		return err
	}
	if u.buf == nil {
		u.conn.Use(u.getBuffer())
	}
	return u.conn.Fill()
}

// getBuffer takes the buffer for the answer.
func (u *http1Upstream) getBuffer() []byte {
	if u.buf == nil {
		u.buf = getUpstreamBuffer()
	}
	return u.buf
}

// ready implements upstreamStream.
func (u *http1Upstream) ready() bool {
	if len(u.conn.Buffered()) > 0 && !u.stuck {
		return true
	}
	return u.framing != http1.BodyUntilClose && u.decoder.Ended()
}

// readBody implements upstreamStream.
func (u *http1Upstream) readBody() (data []byte, last bool, err error) {
	if !u.ready() {
		u.conn.ArmRead(time.Now(), u.readTimeout)
		if err := u.conn.Fill(); err != nil {
			if errors.Is(err, io.EOF) && u.framing == http1.BodyUntilClose {
				u.ended = true
				return nil, true, nil
			}
			return nil, false, err
		}
		u.came = time.Now()
	}
	data, n, done, err := u.decoder.Decode(u.conn.Buffered())
	u.conn.Consume(n)
	u.stuck, u.ended = n == 0, done
	return data, done, err
}

// heard implements upstreamStream.
func (u *http1Upstream) heard() time.Time { return u.came }

// trailers implements upstreamStream.
func (u *http1Upstream) trailers() *http1.Header { return u.decoder.Trailers() }

// reused implements upstreamStream.
func (u *http1Upstream) reused() bool { return u.conn.Reused() }

// received implements upstreamStream.
func (u *http1Upstream) received() bool { return u.spoke || u.conn.Received() }

// untouched implements upstreamStream.
func (u *http1Upstream) untouched() bool { return !u.written }

// aborter implements upstreamStream.
func (u *http1Upstream) aborter() *upstream.Aborter { return u.conn.Aborter() }

// release implements upstreamStream.
func (u *http1Upstream) release(now time.Time) {
	if !u.ended || !u.keepAlive || u.framing == http1.BodyUntilClose {
		u.close()
		return
	}
	u.conn.Put(now)
}

// close implements upstreamStream.
func (u *http1Upstream) close() { _ = u.conn.Close() }

// recycle implements upstreamStream.
func (u *http1Upstream) recycle() {
	u.conn = nil
	if u.buf != nil {
		putUpstreamBuffer(u.buf)
		u.buf = nil
	}
}

// takeOver implements takenOver.
func (u *http1Upstream) takeOver() (nc net.Conn, behind []byte) {
	return u.conn.Conn, u.conn.Buffered()
}
