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

// StopReading makes a Read that waits, and those that follow, return ErrStopped. Any goroutine may call it.
func (s *Stream) StopReading() {
	x := s.session
	x.mu.Lock()
	defer x.mu.Unlock()
	s.stopped = true
	s.readable.wake()
}

// ResumeReading undoes StopReading.
func (s *Stream) ResumeReading() {
	x := s.session
	x.mu.Lock()
	defer x.mu.Unlock()
	s.stopped = false
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

// Read returns the next piece of the body, a view that the next call invalidates, and whether it is the last one, waiting for it
// for so long. A stream that failed returns what had arrived before.
func (s *Stream) Read(timeout time.Duration) (data []byte, last bool, err error) {
	x := s.session
	x.mu.Lock()
	x.conn.Consumed(s.state)
	for {
		if s.state.Waiting() > 0 || s.state.Complete() {
			data = x.conn.Take(s.state, s.spare)
			s.spare = data
			last = s.state.Complete()
			break
		}
		if err = s.fault(); err == nil && s.stopped {
			err = ErrStopped
		}
		if err != nil {
			break
		}
		write := x.claim()
		x.mu.Unlock()
		if write {
			x.flush()
		}
		if !s.readable.wait(timeout) {
			x.doubt(timeout)
			return nil, false, ErrTimeout
		}
		x.mu.Lock()
	}
	write := x.claim()
	x.mu.Unlock()
	if write {
		x.flush()
	}
	return data, last, err
}

// claim reports whether the caller should flush. The caller holds mu.
func (x *Session) claim() bool { return !x.writing && x.conn.Output() > 0 }

// Arrived returns what of the body is already here, without waiting.
func (s *Stream) Arrived() (data []byte, last bool) {
	x := s.session
	x.mu.Lock()
	defer x.mu.Unlock()
	x.conn.Consumed(s.state)
	data = x.conn.Take(s.state, s.spare)
	s.spare = data
	return data, s.state.Complete()
}

// NextHead waits for the next head of a server's answer: interim ones first, the final one in the end. It is swapped into head,
// whose memory the stream uses again.
func (s *Stream) NextHead(head *http1.Response, timeout time.Duration) error {
	x := s.session
	for {
		x.mu.Lock()
		done := true
		switch {
		case s.interim < len(s.state.Interim):
			*head, s.state.Interim[s.interim] = s.state.Interim[s.interim], *head
			s.interim++
		case s.state.HasHead():
			*head, s.state.Response = s.state.Response, *head
		default:
			done = false
		}
		var err error
		if !done {
			err = s.fault()
		}
		x.mu.Unlock()
		if done || err != nil {
			return err
		}
		if !s.readable.wait(timeout) {
			x.doubt(timeout)
			return ErrTimeout
		}
	}
}

// Ready reports whether Read has something to say without a wait.
func (s *Stream) Ready() bool {
	s.session.mu.Lock()
	defer s.session.mu.Unlock()
	return s.state.Waiting() > 0 || s.state.Complete() || s.fault() != nil
}

// WriteHead encodes the head of an answer. It goes out with what is sent next, or by Flush.
func (s *Stream) WriteHead(h *http1.ResponseHead) (err error) {
	if s.hasHead {
		// An interim head has not gone out yet.
		if err := s.send(nil, false, 0); err != nil {
			return err
		}
	}
	s.head, err = s.encoder.AppendResponse(s.head[:0], h)
	s.hasHead = err == nil
	return err
}

// Write sends a piece of the body and returns when it is on its way; last ends our side of the stream. It waits for so long for the
// peer to take more.
func (s *Stream) Write(data []byte, last bool, timeout time.Duration) error {
	return s.send(data, last, timeout)
}

// Flush sends a head that waits.
func (s *Stream) Flush() error { return s.send(nil, false, 0) }

// WriteTrailers ends our side of the stream with trailers, behind a last piece of the body.
func (s *Stream) WriteTrailers(data []byte, trailers *http1.Header, timeout time.Duration) error {
	s.trailer = s.encoder.AppendTrailers(s.trailer[:0], trailers)
	if len(s.trailer) == 0 {
		return s.send(data, true, timeout)
	}
	if len(data) > 0 {
		if err := s.queue(data, false, timeout, false); err != nil {
			return err
		}
	}
	x := s.session
	x.mu.Lock()
	if err := s.fault(); err != nil {
		x.mu.Unlock()
		return err
	}
	s.putHead(false)
	x.conn.SendHead(s.state, s.trailer, true)
	s.written += int64(len(s.trailer))
	return s.release()
}

// putHead puts a head that waits into the output. The caller holds mu.
func (s *Stream) putHead(end bool) {
	if s.hasHead {
		s.session.conn.SendHead(s.state, s.head, end)
		s.written += int64(len(s.head))
		s.hasHead = false
	}
}

// release lets go of mu and writes, unless someone else does.
func (s *Stream) release() error {
	x := s.session
	if x.writing || x.conn.Output() == 0 {
		x.mu.Unlock()
		return nil
	}
	x.writing = true
	x.writeOut()
	return nil
}

func (s *Stream) send(data []byte, last bool, timeout time.Duration) error {
	return s.queue(data, last, timeout, true)
}

// queue hands data over. With write set it goes out at once.
func (s *Stream) queue(data []byte, last bool, timeout time.Duration, write bool) error {
	x := s.session
	x.mu.Lock()
	if s.state.SendEnded() && !s.hasHead {
		// The peer wants no more of it.
		x.mu.Unlock()
		return nil
	}
	if err := s.fault(); err != nil {
		x.mu.Unlock()
		return err
	}
	if end := last && len(data) == 0; s.hasHead {
		s.putHead(end)
	}
	if len(data) > 0 || last {
		x.conn.Queue(s.state, data, last)
		s.written += int64(len(data))
		x.conn.Schedule(writeBatch, x.sent)
	}
	if sent := s.state.Sent(); sent && !write {
		x.mu.Unlock()
		return nil
	} else if _ = s.release(); sent {
		return nil
	}
	return s.awaitSent(timeout)
}

// awaitSent waits until what is queued was taken.
func (s *Stream) awaitSent(timeout time.Duration) error {
	x := s.session
	for {
		x.mu.Lock()
		sent, err := s.state.Sent(), s.fault()
		if !sent && err != nil {
			x.conn.Unqueue(s.state)
		}
		s.blocked = !sent && err == nil
		x.mu.Unlock()
		if sent || err != nil {
			return err
		}
		if s.writable.wait(timeout) {
			continue
		}
		x.mu.Lock()
		x.conn.Unqueue(s.state)
		s.blocked = false
		x.mu.Unlock()
		x.doubt(timeout)
		return ErrTimeout
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

// waiter lets one goroutine wait for another. Waking is remembered.
type waiter struct {
	ch    chan struct{}
	timer *time.Timer
}

func newWaiter() waiter { return waiter{ch: make(chan struct{}, 1)} }

func (w *waiter) wake() {
	select {
	case w.ch <- struct{}{}:
	default:
	}
}

func (w *waiter) clear() {
	select {
	case <-w.ch:
	default:
	}
}

// wait returns false when nobody woke it for so long.
func (w *waiter) wait(d time.Duration) bool {
	select {
	case <-w.ch:
		return true
	default:
	}
	if w.timer == nil {
		w.timer = time.NewTimer(d)
	} else {
		w.timer.Reset(d)
	}
	select {
	case <-w.ch:
		w.timer.Stop()
		return true
	case <-w.timer.C:
		return false
	}
}
