// SPDX-License-Identifier: Apache-2.0

package http2

import "github.com/kong/kong-istio-gateway/internal/dataplane/http1"

// Usable reports whether a client can open another stream now: the server takes it, and takes what it was sent before.
func (c *Conn) Usable() bool {
	return c.Lasting() && len(c.streams) < c.Capacity() && len(c.out) <= openBacklog
}

// Lasting reports whether a client can open further streams, now or when others are Done.
func (c *Conn) Lasting() bool { return c.failed == nil && !c.peerGone && c.nextID < maxID-1 }

// Capacity returns how many streams the server takes at once.
func (c *Conn) Capacity() int { return int(min(c.peer.maxStreams, 1<<20)) }

// Open opens a client's stream with a header block; end says that no body follows. It must be Usable.
func (c *Conn) Open(method http1.Method, header []byte, end bool) *Stream {
	s := c.stream(c.nextID)
	c.nextID += 2
	s.method = method
	c.streams[s.ID] = s
	c.SendHead(s, header, end)
	return s
}

// SendHead puts a header block into the output: a head, or trailers, which end the stream. What was queued must have been
// sent.
func (c *Conn) SendHead(s *Stream, header []byte, end bool) {
	if s.reset || s.sendEnded || c.failed != nil {
		return
	}
	before := len(c.out)
	var update []byte
	if c.peer.shrunk {
		// Our table is empty, and stays so.
		c.peer.shrunk = false
		update = tableUpdate
	}
	flags := uint8(0)
	if end {
		flags, s.sendEnded = flagEndStream, true
	}
	first := min(len(header), maxFrame-len(update))
	if first == len(header) {
		flags |= flagEndHeaders
	}
	c.out = appendHeader(c.out, len(update)+first, frameHeaders, flags, s.ID)
	c.out = append(append(c.out, update...), header[:first]...)
	for header = header[first:]; len(header) > 0; {
		n := min(len(header), maxFrame)
		flags = 0
		if n == len(header) {
			flags = flagEndHeaders
		}
		c.out = append(appendHeader(c.out, n, frameContinuation, flags, s.ID), header[:n]...)
		header = header[n:]
	}
	c.carried += len(c.out) - before
}

// tableUpdate sets the size of our dynamic table to 0.
var tableUpdate = []byte{0x20}

// Queue makes data what the stream sends next; end says that nothing follows. What was queued before must have been sent. data is
// kept until Sent.
func (c *Conn) Queue(s *Stream, data []byte, end bool) {
	if s.reset || s.sendEnded || c.failed != nil {
		return
	}
	s.queue, s.queueEnd = data, end
	c.enqueue(s)
}

// Unqueue takes back what was not sent yet, so that its memory can be used for something else.
func (c *Conn) Unqueue(s *Stream) { c.dropQueue(s) }

// enqueue lets a stream take part in the turns if it can send.
func (c *Conn) enqueue(s *Stream) {
	if s.ready() {
		c.ring.push(s)
	}
}

// ready reports whether the stream can send but for the connection's window.
func (s *Stream) ready() bool {
	return len(s.queue) > 0 && s.sendWindow > 0 || len(s.queue) == 0 && s.queueEnd
}

// Schedule moves what is queued into the output, a frame of each stream in turn, as far as windows allow and until the output
// has limit bytes. sent is called for each stream whose queue became empty.
func (c *Conn) Schedule(limit int, sent func(*Stream)) {
	if c.failed != nil {
		return
	}
	for waiting := (*Stream)(nil); len(c.out) < limit && c.ring.first != nil && c.ring.first != waiting; {
		s := c.ring.pop()
		if !s.ready() {
			continue
		}
		if len(s.queue) > 0 && c.sendWindow <= 0 {
			// Others may still have an end to send.
			c.ring.push(s)
			if waiting == nil {
				waiting = s
			}
			continue
		}
		c.sendData(s)
		if s.Sent() {
			sent(s)
		} else {
			c.enqueue(s)
		}
	}
}

// sendData puts one DATA frame into the output.
func (c *Conn) sendData(s *Stream) {
	n := int(min(int64(len(s.queue)), maxFrame, s.sendWindow, c.sendWindow))
	n = max(n, 0)
	flags := uint8(0)
	if n == len(s.queue) && s.queueEnd {
		flags, s.sendEnded, s.queueEnd = flagEndStream, true, false
	}
	c.out = append(appendHeader(c.out, n, frameData, flags, s.ID), s.queue[:n]...)
	c.carried += frameHeader + n
	s.sendWindow -= int64(n)
	c.sendWindow -= int64(n)
	if s.queue = s.queue[n:]; len(s.queue) == 0 {
		s.queue = nil
	}
	if n >= usefulData {
		c.budget.gain(gainData)
	}
}

// Take hands over what of the body has arrived. spare becomes the memory for what comes next; what was taken before must have
// been Consumed.
func (c *Conn) Take(s *Stream, spare []byte) []byte {
	data := s.body
	s.body = spare[:0]
	s.held += len(data)
	return data
}

// Consumed gives the peer window for everything that was taken.
func (c *Conn) Consumed(s *Stream) {
	if s.held > 0 {
		n := int64(s.held)
		s.held = 0
		c.consumed(s, n)
	}
}

// consumed announces window when half of it can be given back. s is nil for a stream that takes no more.
func (c *Conn) consumed(s *Stream, n int64) {
	if n == 0 || c.failed != nil {
		return
	}
	if c.credit += n; c.credit >= c.config.ConnWindow/2 {
		c.out = appendWindowUpdate(c.out, 0, c.credit)
		c.recvWindow += c.credit
		c.credit = 0
	}
	if s == nil || s.recvEnded || s.reset {
		return
	}
	if s.credit += n; s.credit >= c.config.StreamWindow/2 {
		c.out = appendWindowUpdate(c.out, s.ID, s.credit)
		s.recvWindow += s.credit
		s.credit = 0
	}
}
