// SPDX-License-Identifier: Apache-2.0

package session

import (
	"sync"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http2"
)

// fill reads more behind what was not taken yet.
func (x *Session) fill() error {
	if x.read > 0 {
		x.write = copy(x.buf, x.buf[x.read:x.write])
		x.read = 0
	}
	if x.write == len(x.buf) || len(x.buf) == 0 {
		x.grow()
	} else if x.write == 0 && len(x.buf) > smallBuffer && x.streams.Load() == 0 {
		putBuffer(x.buf)
		x.buf = make([]byte, smallBuffer)
	}
	n, err := x.nc.Read(x.buf[x.write:])
	x.write += n
	if n > 0 {
		x.fresh = true
		return nil
	}
	return err
}

func (x *Session) grow() {
	size := smallBuffer
	if len(x.buf) > 0 {
		size = largeBuffer
	}
	var grown []byte
	if size == largeBuffer {
		grown = getBuffer()
	} else {
		grown = make([]byte, size)
	}
	copy(grown, x.buf[:x.write])
	x.buf = grown
}

// receive takes all complete frames.
func (x *Session) receive(now time.Time) error {
	x.mu.Lock()
	started := x.conn.Started()
	x.conn.Advance(now)
	if x.fresh {
		x.heard, x.fresh = now, false
	}
	var err error
	for err == nil && x.read < x.write {
		n, ev, failed := x.conn.Receive(x.buf[x.read:x.write])
		if n == 0 && failed == nil {
			break
		}
		x.read += n
		err = failed
		x.act(ev)
	}
	if !started && x.conn.Started() {
		_ = x.nc.SetReadDeadline(now.Add(x.options.IdleTimeout))
	}
	x.conn.Schedule(writeBatch, x.sent)
	// A refusal is written by end.
	flush := err == nil && x.conn.Output() > 0 && !x.writing
	over := x.conn.Over()
	x.mu.Unlock()
	if flush {
		// The reader never waits for a peer that may wait for it to read.
		go x.flush()
	} else if over {
		x.finish()
	}
	return err
}

// act does what an event asks for. The caller holds mu.
func (x *Session) act(ev http2.Event) {
	switch ev.Kind {
	case http2.EventRequest:
		s := x.adopt(ev.Stream)
		x.serving.Add(1)
		workers.run(s)
	case http2.EventResponse, http2.EventData:
		ev.Stream.Owner.(*Stream).readable.wake()
	case http2.EventReset:
		ev.Stream.Owner.(*Stream).fail()
	case http2.EventGoAway:
		x.conn.Each(func(s *http2.Stream) {
			if s.Unprocessed() {
				s.Owner.(*Stream).fail()
			}
		})
	}
}

// adopt makes a stream of the protocol one of the session. The caller holds mu.
func (x *Session) adopt(state *http2.Stream) *Stream {
	s, ok := state.Owner.(*Stream)
	if !ok {
		s = &Stream{readable: newWaiter(), writable: newWaiter()}
		state.Owner = s
	}
	s.begin(x, state)
	x.opened++
	x.streams.Add(1)
	return s
}

var buffers = sync.Pool{New: func() any { b := make([]byte, largeBuffer); return &b }}

func getBuffer() []byte { return *buffers.Get().(*[]byte) }

func putBuffer(b []byte) {
	if len(b) == largeBuffer {
		buffers.Put(&b)
	}
}
