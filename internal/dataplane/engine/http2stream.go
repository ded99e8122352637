// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
)

// http2Stream is the client's side of one HTTP/2 stream, in the form that an
// exchange knows: a connection on which the body of one HTTP/1.1 request is
// read and its answer is written. One goroutine may read while another writes.
type http2Stream struct {
	h        *http2Conn
	answer   http.ResponseWriter
	control  *http.ResponseController
	request  *http.Request
	exchange *conn

	// of the goroutine that reads
	chunked bool   // the body is read in chunks
	ended   bool   // the body was read to its end
	tail    []byte // what is left of the last chunk
	reading expiry

	// of the goroutine that writes
	held     []byte // the beginning of a head that is not complete
	resp     http1.Response
	decoder  http1.Decoder
	began    bool // the head of the answer was passed on
	complete bool // the answer was passed on to its end
	writing  expiry
}

// ownLimits are for heads that the exchange itself wrote.
var ownLimits = http1.Limits{RequestLine: 1 << 20, HeaderLine: 1 << 20, HeadBytes: 1 << 20, Fields: 1 << 14, TrailerBytes: 1 << 20}

func newHTTP2Stream(h *http2Conn, w http.ResponseWriter, r *http.Request) *http2Stream {
	s := &http2Stream{h: h, answer: w, control: http.NewResponseController(w), request: r}
	s.reading.expire, s.writing.expire = s.control.SetReadDeadline, s.control.SetWriteDeadline
	client := h.conn
	s.exchange = &conn{clientFacts: client.clientFacts, spec: client.spec, nc: s, stream: true, limits: client.limits}
	s.exchange.handle.engine, s.exchange.handle.life = client.engine, pipeline.NewLifetime(client.engine.context)
	s.exchange.begin()
	s.exchange.ex.http2 = true
	return s
}

// serve takes the request to its answer.
func (s *http2Stream) serve() {
	c := s.exchange
	c.engine.streams.add(c)
	defer c.engine.streams.remove(c)
	defer s.writing.end()
	defer s.reading.end()
	defer c.finish()
	leaving := context.AfterFunc(s.request.Context(), c.leave)
	defer leaving()
	c.started = time.Now()
	c.ex.req.Reset()
	c.buf, s.chunked = appendHTTP2Head(c.buf[:0], s.request)
	c.filled, c.keep = len(c.buf), true
	_, failure := http1.ParseRequest(c.buf, c.limits, &c.ex.req)
	if failure == nil {
		failure = checkHTTP2(s.request)
	}
	c.sentBytes = 0
	c.decoder.ResetRequest(&c.ex.req, c.limits)
	c.ex.begin(c.started, int64(c.filled))
	if failure != nil {
		c.keep = false
		c.ex.refuse(failure)
	} else {
		c.ex.run()
	}
	c.ex.end()
}

// Read implements net.Conn: it reads the request's body in the framing of its
// head.
func (s *http2Stream) Read(p []byte) (int, error) {
	if len(s.tail) > 0 {
		n := copy(p, s.tail)
		s.tail = s.tail[n:]
		return n, nil
	}
	if s.ended {
		return 0, io.EOF
	}
	s.reading.begin()
	defer s.reading.pause()
	if !s.chunked {
		return s.request.Body.Read(p)
	}
	if len(p) <= chunkRoom {
		return 0, io.ErrShortBuffer
	}
	n, err := s.request.Body.Read(p[chunkLine : len(p)-2])
	if errors.Is(err, io.EOF) {
		s.ended, s.tail = true, lastChunk(s.request.Trailer)
		err = nil
	}
	switch {
	case n > 0:
		return closeChunk(p, n), err
	case s.ended:
		n = copy(p, s.tail)
		s.tail = s.tail[n:]
	}
	return n, err
}

// Write implements net.Conn: it takes the answer apart and passes it on. What
// was written is on its way to the client when it returns.
func (s *http2Stream) Write(p []byte) (int, error) {
	s.writing.begin()
	defer s.writing.pause()
	in := p
	if len(s.held) > 0 {
		s.held = append(s.held, p...)
		in = s.held
	}
	for !s.began {
		n, err := s.passHead(in)
		if errors.Is(err, http1.ErrNeedMore) {
			s.held = append(s.held[:0], in...)
			return len(p), nil
		}
		if err != nil {
			return 0, err
		}
		in = in[n:]
	}
	s.held = nil
	if err := s.passBody(in); err != nil {
		return 0, err
	}
	if !s.complete {
		if err := s.control.Flush(); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// passHead passes the head at the start of in on, which may be an interim one.
func (s *http2Stream) passHead(in []byte) (int, error) {
	s.resp.Reset()
	n, err := http1.ParseResponse(in, &ownLimits, s.exchange.ex.req.MethodID, &s.resp)
	if err != nil {
		return 0, err
	}
	header := s.answer.Header()
	s.resp.Header.Each(func(name, value []byte) bool {
		answerField(header, name, value)
		return true
	})
	if s.resp.Interim() {
		// The frame layer sends a 100 itself, when the body is first read.
		if s.resp.Status != http.StatusContinue {
			s.answer.WriteHeader(s.resp.Status)
		}
		clear(header)
		return n, nil
	}
	if s.resp.ContentLength >= 0 {
		header["Content-Length"] = []string{strconv.FormatInt(s.resp.ContentLength, 10)}
	}
	if _, ok := header["Content-Type"]; !ok {
		// Otherwise the frame layer would guess one.
		header["Content-Type"] = nil
	}
	if s.h.last() {
		header["Connection"] = []string{"close"} // becomes a GOAWAY
	}
	s.answer.WriteHeader(s.resp.Status)
	s.decoder.ResetResponse(&s.resp, &ownLimits)
	s.began = true
	return n, nil
}

// passBody passes a piece of the body on.
func (s *http2Stream) passBody(in []byte) error {
	for !s.complete {
		data, n, done, err := s.decoder.Decode(in)
		if err != nil {
			return err
		}
		if len(data) > 0 {
			if _, err := s.answer.Write(data); err != nil {
				return err
			}
		}
		in = in[n:]
		if done {
			s.complete = true
			header := s.answer.Header()
			s.decoder.Trailers().Each(func(name, value []byte) bool {
				key := http.TrailerPrefix + http.CanonicalHeaderKey(string(name))
				header[key] = append(header[key], string(value))
				return true
			})
		} else if n == 0 {
			return nil
		}
	}
	return nil
}

// Close implements net.Conn. The stream ends with its handler.
func (s *http2Stream) Close() error { return nil }

// LocalAddr implements net.Conn.
func (s *http2Stream) LocalAddr() net.Addr { return s.h.conn.nc.LocalAddr() }

// RemoteAddr implements net.Conn.
func (s *http2Stream) RemoteAddr() net.Addr { return s.h.conn.nc.RemoteAddr() }

// SetDeadline implements net.Conn.
func (s *http2Stream) SetDeadline(t time.Time) error {
	s.reading.set(t)
	s.writing.set(t)
	return nil
}

// SetReadDeadline implements net.Conn. A deadline that passes while the body is
// read ends the body for good.
func (s *http2Stream) SetReadDeadline(t time.Time) error { s.reading.set(t); return nil }

// SetWriteDeadline implements net.Conn. A deadline that passes during a write
// resets the stream.
func (s *http2Stream) SetWriteDeadline(t time.Time) error { s.writing.set(t); return nil }

// expiry makes a deadline count only while something is under way, as on a
// socket: the frame layer's own deadlines strike between two reads, too.
type expiry struct {
	// expire ends what is under way, given a time that has passed.
	expire func(time.Time) error

	mu       sync.Mutex
	deadline time.Time
	timer    *time.Timer
	active   bool
	over     bool
}

func (x *expiry) begin() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.active = true
	x.arm()
}

func (x *expiry) pause() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.active = false
	if x.timer != nil {
		x.timer.Stop()
	}
}

func (x *expiry) set(t time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.deadline = t
	if x.active {
		x.arm()
	}
}

func (x *expiry) arm() {
	switch {
	case x.deadline.IsZero():
		if x.timer != nil {
			x.timer.Stop()
		}
	case x.timer == nil:
		x.timer = time.AfterFunc(time.Until(x.deadline), x.strike)
	default:
		x.timer.Reset(time.Until(x.deadline))
	}
}

func (x *expiry) strike() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.active && !x.over && !x.deadline.IsZero() && !time.Now().Before(x.deadline) {
		_ = x.expire(time.Now().Add(-time.Second))
	}
}

// end makes the expiry harmless: what it would end is gone.
func (x *expiry) end() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.over = true
	if x.timer != nil {
		x.timer.Stop()
	}
}
