// SPDX-License-Identifier: Apache-2.0

package http2

import "github.com/kong/kong-istio-gateway/internal/dataplane/http1"

// bodyKeep is the largest body buffer that a stream which waits to be used again keeps.
const bodyKeep = 4 << 10

// Stream is one exchange on a connection. Its head is the holder's once an Event showed it; everything else is changed by
// the Conn only. It may be used until Done.
type Stream struct {
	// ID is the stream identifier.
	ID uint32
	// Request is the head that a server received. Refusal, an *http1.Error, is set when the request must be answered with
	// an error, and the head is as a parser would have left it.
	Request http1.Request
	Refusal error
	// HeadSize is how many bytes the head had on the wire.
	HeadSize int
	// Response is the final head that a client received; Interim are the heads before it, without 100.
	Response http1.Response
	Interim  []http1.Response
	// Trailer is complete when the body has ended.
	Trailer http1.Header
	// Owner is for the holder to find its own state by. It stays when the stream is used again.
	Owner any

	arena http1.Arena
	// method is what a client asked with.
	method http1.Method
	// headDone says that the (final) head was received.
	headDone bool
	// counted is set between the head and Done: the stream counts as one that has a handler.
	counted bool

	recvEnded, sendEnded bool
	reset                bool
	code                 ErrCode
	byPeer               bool
	unprocessed          bool

	// body is what arrived and was not taken; held is how much was taken and not consumed.
	body       []byte
	held       int
	recvWindow int64
	credit     int64 // consumed, not announced
	// expected is the length of the body by its head, -1 without; received what came of it.
	expected, received int64

	sendWindow int64
	queue      []byte // a view of the holder's
	queueEnd   bool
	queued     bool // in the ring
	next       *Stream
}

// Ended reports whether the peer has ended its side and everything was taken.
func (s *Stream) Ended() bool { return s.recvEnded && len(s.body) == 0 }

// Complete reports whether the peer has ended its side, taken or not.
func (s *Stream) Complete() bool { return s.recvEnded }

// Waiting returns how many bytes of the body arrived and were not taken.
func (s *Stream) Waiting() int { return len(s.body) }

// Failed reports whether the stream was reset, by whom and why.
func (s *Stream) Failed() (code ErrCode, byPeer, failed bool) { return s.code, s.byPeer, s.reset }

// Unprocessed reports whether the peer is known not to have acted on the request, so that it may be sent again whatever its
// method (RFC 9113 §8.7).
func (s *Stream) Unprocessed() bool {
	return s.unprocessed || s.reset && s.byPeer && s.code == CodeRefusedStream
}

// Sent reports whether everything that was queued is in the output, or never will be.
func (s *Stream) Sent() bool { return len(s.queue) == 0 && !s.queueEnd }

// SendEnded reports whether our side of the stream has ended.
func (s *Stream) SendEnded() bool { return s.sendEnded }

// recycle makes the stream ready for another exchange.
func (s *Stream) recycle() {
	request, response, trailer, arena, body := s.Request, s.Response, s.Trailer, s.arena, s.body
	request.Reset()
	response.Reset()
	trailer.Reset()
	arena.Reset()
	if cap(body) > bodyKeep {
		body = nil
	}
	*s = Stream{Request: request, Response: response, Trailer: trailer, arena: arena, body: body[:0], Owner: s.Owner, expected: -1}
}

// ring is the queue of the streams that have something to send.
type ring struct{ first, last *Stream }

func (r *ring) push(s *Stream) {
	if s.queued {
		return
	}
	s.queued, s.next = true, nil
	if r.last == nil {
		r.first = s
	} else {
		r.last.next = s
	}
	r.last = s
}

func (r *ring) pop() *Stream {
	s := r.first
	if s == nil {
		return nil
	}
	if r.first = s.next; r.first == nil {
		r.last = nil
	}
	s.queued, s.next = false, nil
	return s
}

func (r *ring) remove(s *Stream) {
	if !s.queued {
		return
	}
	var before *Stream
	for at := r.first; at != nil; before, at = at, at.next {
		if at != s {
			continue
		}
		if before == nil {
			r.first = s.next
		} else {
			before.next = s.next
		}
		if r.last == s {
			r.last = before
		}
		break
	}
	s.queued, s.next = false, nil
}

// HasHead reports whether the head was received, a final one for a client.
func (s *Stream) HasHead() bool { return s.headDone }

// Overwrite hands the memory that the heads refer to to with.
func (s *Stream) Overwrite(with func([]byte)) { s.arena.Overwrite(with) }
