// SPDX-License-Identifier: Apache-2.0

package session

import (
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
)

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
