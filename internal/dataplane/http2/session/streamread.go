// SPDX-License-Identifier: Apache-2.0

package session

import (
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
)

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
