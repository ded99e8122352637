// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"bytes"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
)

// FuzzConn feeds a side any frames, while a holder takes, sends and gives back at random, and checks that what is
// promised of a Conn holds: input decides, not where it was split; windows are never overdrawn; memory is bounded.
func FuzzConn(f *testing.F) {
	frame := func(kind, flags, id byte, payload string) string {
		return string([]byte{0, byte(len(payload) >> 8), byte(len(payload)), kind, flags, 0, 0, 0, id}) + payload
	}
	head := "\x82\x86\x84\x41\x01a"
	for _, frames := range []string{
		frame(1, 5, 1, head) + frame(8, 0, 0, "\x00\x00\x10\x00") + frame(3, 0, 1, "\x00\x00\x00\x08"),
		frame(1, 4, 1, head) + frame(0, 0, 1, "hello") + frame(0, 9, 1, "\x02xx00") + frame(1, 5, 3, head),
		frame(1, 0, 1, "\x82\x86") + frame(9, 4, 1, "\x84\x41\x01a") + frame(1, 5, 1, "\x40\x01x\x01y"),
		frame(4, 0, 0, "\x00\x04\x00\x00\x00\x05\x00\x01\x00\x00\x00\x00") + frame(6, 0, 0, "12345678") + frame(7, 0, 0, "\x00\x00\x00\x00\x00\x00\x00\x00"),
		frame(1, 4, 1, "\x88") + frame(0, 1, 1, "abc") + frame(1, 5, 3, "\x8d") + frame(2, 0, 3, "\x00\x00\x00\x00\x01"),
	} {
		f.Add([]byte(frames), []byte{1, 2, 3, 4, 5, 6, 7}, false)
		f.Add([]byte(frames), []byte{9, 8, 0, 3, 3, 3}, true)
	}
	f.Fuzz(func(t *testing.T, frames, moves []byte, client bool) {
		in := append([]byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00"), frames...)
		config := serverConfig()
		if client {
			config = clientConfig()
		} else {
			in = append([]byte(Preface), in...)
		}
		run := &fuzzRun{t: t, c: NewConn(config), moves: moves}
		if client {
			run.opened()
		}
		run.feed(in)
		// The outcome of the same bytes without any moves does not depend on where they are split.
		whole, pieces := &fuzzRun{t: t, c: NewConn(config)}, &fuzzRun{t: t, c: NewConn(config), split: true}
		if client {
			whole.opened()
			pieces.opened()
		}
		whole.feed(in)
		pieces.feed(in)
		if !bytes.Equal(whole.out, pieces.out) || (whole.err == nil) != (pieces.err == nil) {
			t.Errorf("split input: %x %v, whole %x %v", pieces.out, pieces.err, whole.out, whole.err)
		}
	})
}

type fuzzRun struct {
	t     *testing.T
	c     *Conn
	moves []byte
	split bool
	open  []*Stream
	out   []byte
	err   error
}

func (r *fuzzRun) opened() {
	for range 3 {
		r.open = append(r.open, r.c.Open(http1.MethodGet, []byte{0x82, 0x86, 0x84}, false))
	}
}

func (r *fuzzRun) feed(in []byte) {
	now := time.Unix(0, 0)
	for len(in) > 0 && r.err == nil {
		n := 0
		var ev Event
		if r.split {
			for end := 0; end <= len(in) && n == 0 && r.err == nil; end++ {
				n, ev, r.err = r.c.Receive(in[:end])
			}
		} else {
			n, ev, r.err = r.c.Receive(in)
		}
		if n == 0 {
			return
		}
		in = in[n:]
		if ev.Kind == EventRequest {
			r.open = append(r.open, ev.Stream)
		}
		r.move()
		r.check()
		now = now.Add(time.Millisecond)
		r.c.Advance(now)
		r.out = append(r.out, r.c.TakeOutput(nil)...)
	}
}

// move lets the holder of a stream do something.
func (r *fuzzRun) move() {
	if len(r.moves) == 0 || len(r.open) == 0 {
		return
	}
	m := r.moves[0]
	r.moves = r.moves[1:]
	i := int(m>>4) % len(r.open)
	s := r.open[i]
	switch m & 7 {
	case 0:
		r.c.Consumed(s)
		r.c.Take(s, nil)
	case 1:
		r.c.SendHead(s, []byte{0x88}, m&8 != 0)
	case 2:
		if s.Sent() {
			r.c.Queue(s, make([]byte, int(m)*100), m&8 != 0)
		}
	case 3:
		r.c.Schedule(int(m)*200, func(*Stream) {})
	case 4:
		r.c.Reset(s, CodeCancel)
	case 5:
		r.c.Done(s)
		r.open = append(r.open[:i], r.open[i+1:]...)
	case 6:
		r.c.Drain()
	case 7:
		r.c.Unqueue(s)
	}
}

func (r *fuzzRun) check() {
	c := r.c
	held, counted := 0, 0
	for _, s := range c.streams {
		held += len(s.body) + s.held
		if s.counted {
			counted++
		}
		if int64(len(s.body)+s.held) > c.config.StreamWindow || !s.reset && s.sendWindow > maxWindow {
			r.t.Fatalf("stream %d holds %d bytes, may send %d", s.ID, len(s.body)+s.held, s.sendWindow)
		}
		if s.headDone && s.Refusal == nil && !c.config.Client && len(s.Request.Host) == 0 {
			r.t.Fatal("a request without a host")
		}
	}
	if int64(held) > c.config.ConnWindow || counted != c.handlers || c.handlers > 16 || c.recvWindow+c.credit+int64(held) != c.config.ConnWindow && r.err == nil {
		r.t.Fatalf("%d bytes held, window %d, credit %d, %d of %d handlers", held, c.recvWindow, c.credit, counted, c.handlers)
	}
	if len(c.block.bytes) > c.maxBlock() {
		r.t.Fatalf("a block of %d bytes", len(c.block.bytes))
	}
}
