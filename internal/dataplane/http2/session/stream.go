// SPDX-License-Identifier: Apache-2.0

package session

import (
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/internal/dataplane/http2"
)

// Stream is one exchange. One goroutine may read while another writes; what any may call says so.
type Stream struct {
	session *Session
	state   *http2.Stream
	// Owner is for the handler to keep what it needs again for the next exchange.
	Owner any

	readable, writable waiter
	encoder            http2.Encoder
	// head is an encoded head that goes out with what follows it.
	head    []byte
	hasHead bool
	spare   []byte // memory of what was read before
	trailer []byte
	written int64
	interim int // heads that NextHead has returned

	// Below is guarded by the session's mu.

	// onFail is called once when the stream fails from outside.
	onFail           func()
	stopped, aborted bool
	// done says that the stream was given back.
	done bool
	// blocked says that a writer waits for its data to be taken.
	blocked bool
}

func (s *Stream) begin(x *Session, state *http2.Stream) {
	s.session, s.state = x, state
	s.hasHead, s.head, s.written, s.interim = false, s.head[:0], 0, 0
	s.onFail, s.stopped, s.aborted, s.done, s.blocked = nil, false, false, false, false
	s.readable.clear()
	s.writable.clear()
}

// Session returns the connection of the stream.
func (s *Stream) Session() *Session { return s.session }

// ID returns the stream identifier.
func (s *Stream) ID() uint32 { return s.state.ID }

// Request returns the request of a client, and why it is to be refused, if it is.
func (s *Stream) Request() (*http1.Request, error) { return &s.state.Request, s.state.Refusal }

// Trailers returns what followed the body, once Read has returned its end.
func (s *Stream) Trailers() *http1.Header { return &s.state.Trailer }

// fail wakes who waits. The caller holds the session's mu.
func (s *Stream) fail() {
	s.readable.wake()
	s.writable.wake()
	if f := s.onFail; f != nil {
		s.onFail = nil
		f()
	}
}

// OnFail has f called when the peer resets the stream or the connection ends, at once if that has happened. f must not
// wait, nor call the stream. After OnFail(nil) nothing is called any more.
func (s *Stream) OnFail(f func()) {
	x := s.session
	x.mu.Lock()
	defer x.mu.Unlock()
	if f != nil && s.fault() != nil {
		f()
		return
	}
	s.onFail = f
}

// HeadSize returns how many bytes the peer's head had on the wire, compressed.
func (s *Stream) HeadSize() int { return s.state.HeadSize }

// Written returns how many bytes of heads, body and trailers were sent. It is for the goroutine that writes.
func (s *Stream) Written() int64 { return s.written }

// Overwrite hands the memory of what the peer's heads refer to, and of the body that was read last, to with, once
// nobody looks at it any more. with must not wait.
func (s *Stream) Overwrite(with func([]byte)) {
	s.session.mu.Lock()
	defer s.session.mu.Unlock()
	s.state.Overwrite(with)
	with(s.spare[:cap(s.spare)])
}

// fault returns why the stream cannot go on. The caller holds the session's mu.
func (s *Stream) fault() error {
	code, byPeer, failed := s.state.Failed()
	unprocessed := s.state.Unprocessed()
	switch {
	case failed || unprocessed:
		return &StreamError{code, byPeer || unprocessed, unprocessed}
	case s.session.broken != nil:
		return s.session.broken
	case s.aborted:
		return ErrClosed
	}
	return nil
}

// Abort ends the stream if it is still the one with that ID: waiting calls return an error. Any goroutine may call it, at any time.
func (s *Stream) Abort(x *Session, id uint32) {
	x.mu.Lock()
	if s.session != x || s.state.ID != id || s.done {
		x.mu.Unlock()
		return
	}
	x.conn.Reset(s.state, http2.CodeCancel)
	s.aborted = true
	s.readable.wake()
	s.writable.wake()
	write := x.claim()
	x.mu.Unlock()
	if write {
		go x.flush()
	}
}

// Reset ends the stream without completing it.
func (s *Stream) Reset(code http2.ErrCode) {
	x := s.session
	x.mu.Lock()
	x.conn.Reset(s.state, code)
	write := x.claim()
	x.mu.Unlock()
	if write {
		x.flush()
	}
}

// Done gives the stream back. What was not ended is reset.
func (s *Stream) Done() {
	x := s.session
	x.mu.Lock()
	s.onFail, s.done = nil, true
	if cap(s.spare) > smallBuffer {
		s.spare = nil
	}
	if cap(s.head) > smallBuffer {
		s.head = nil
	}
	x.conn.Done(s.state)
	if x.streams.Add(-1); x.conn.Streams() == 0 {
		x.idle = time.Now()
	}
	write, over := x.claim(), x.conn.Over()
	retired := x.retired && x.conn.Streams() == 0
	x.mu.Unlock()
	switch {
	case retired:
		x.Close()
	case write:
		x.flush()
	case over:
		x.finish()
	}
}
