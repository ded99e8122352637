// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"errors"
	"strings"
	"testing"

	xhttp2 "golang.org/x/net/http2"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
)

// TestUnread: a peer that makes us speak and reads nothing is left, whatever it pays its budget with, before much waits for it.
func TestUnread(t *testing.T) {
	server := func() *peer { return newPeer(t, serverConfig()) }
	for name, c := range map[string]struct {
		peer  func() *peer
		again func(p *peer, n int)
	}{
		"PINGs among data": {server, func(p *peer, n int) {
			if n == 0 {
				p.head(1, false, get()...)
			}
			p.data(1, false, strings.Repeat("x", usefulData))
			p.c.Take(p.c.streams[1], nil)
			p.c.Consumed(p.c.streams[1])
			_ = p.w.WritePing(false, [8]byte{})
			p.push()
		}},
		"an upstream's PINGs among data": {func() *peer {
			p := barePeer(t, clientConfig())
			p.settings()
			return p
		}, func(p *peer, n int) {
			if n == 0 {
				p.c.Open(http1.MethodGet, nil, true)
				p.head(1, false, ":status", "200")
			}
			p.data(1, false, strings.Repeat("x", usefulData))
			p.c.Take(p.c.streams[1], nil)
			p.c.Consumed(p.c.streams[1])
			_ = p.w.WritePing(false, [8]byte{})
			p.push()
		}},
		"requests": {server, func(p *peer, n int) {
			p.head(uint32(2*n+1), true, get()...)
			if p.err == nil {
				s := p.stream(EventRequest)
				p.c.SendHead(s, respond(t, 200), true)
				p.c.Done(s)
			}
		}},
		"requests whose bodies nobody reads": {server, func(p *peer, n int) {
			p.head(uint32(2*n+1), false, get()...)
			if p.err == nil {
				s := p.stream(EventRequest)
				p.c.SendHead(s, respond(t, 200), true)
				p.c.Done(s)
			}
		}},
	} {
		p := c.peer()
		for n := 0; n < 20_000 && p.err == nil; n++ {
			c.again(p, n)
		}
		var failed *ConnError
		if !errors.As(p.err, &failed) || failed.Code != CodeEnhanceYourCalm {
			t.Errorf("%s: %v", name, p.err)
		}
		if n := p.c.Output(); n > controlBacklog+1<<10 {
			t.Errorf("%s: %d bytes wait", name, n)
		}
	}
	// Who reads may go on.
	p := server()
	for n := range 5000 {
		p.head(uint32(2*n+1), true, get()...)
		s := p.stream(EventRequest)
		p.c.SendHead(s, respond(t, 200), true)
		p.c.Done(s)
		p.drop()
	}
	if p.err != nil {
		t.Errorf("a client that reads: %v", p.err)
	}
	// No further request waits for a server that does not take those before.
	p = barePeer(t, clientConfig())
	p.settings()
	for n := 0; p.c.Usable() && n < 100; n++ {
		p.c.Open(http1.MethodGet, make([]byte, 64<<10), true)
	}
	if n := p.c.Output(); n < openBacklog || n > openBacklog+128<<10 {
		t.Errorf("%d bytes of requests wait", n)
	}
	p.c.TakeOutput(nil)
	if !p.c.Usable() {
		t.Error("the connection takes no requests although nothing waits")
	}
}

func TestReceiveWindow(t *testing.T) {
	p := newPeer(t, serverConfig())
	p.head(1, false, get()...)
	s := p.stream(EventRequest)
	piece := strings.Repeat("x", 16<<10)
	for range 4 {
		p.data(1, false, piece)
	}
	// Nothing was consumed: nothing more may come.
	p.want("")
	taken := p.c.Take(s, nil)
	p.c.Consumed(s)
	if len(taken) != 64<<10 {
		t.Errorf("%d bytes", len(taken))
	}
	p.want("0:window(65536) 1:window(65536)")
	for range 4 {
		p.data(1, false, piece)
	}
	p.want("")
	p.data(1, false, "x")
	p.want("1:FLOW_CONTROL_ERROR")
	// The bytes of the connection are given back with the stream.
	p.c.Done(s)
	p.want("0:window(65537)")
	// And the connection's own window.
	p = newPeer(t, serverConfig())
	for id := uint32(1); id <= 5; id += 2 {
		p.head(id, false, get()...)
		for range 4 {
			p.data(id, false, piece)
		}
	}
	if p.want("goaway(5,FLOW_CONTROL_ERROR)"); p.err == nil {
		t.Error("more than the connection's window is taken")
	}
}

func TestSendingWindowsAndTurns(t *testing.T) {
	p := newPeer(t, serverConfig())
	p.settings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 40000})
	var streams []*Stream
	for _, id := range []uint32{1, 3, 5} {
		p.head(id, true, get()...)
		streams = append(streams, p.stream(EventRequest))
	}
	p.drop()
	large, small := make([]byte, 100000), make([]byte, 10)
	p.c.Queue(streams[0], large, true)
	p.c.Queue(streams[1], large, true)
	p.c.Queue(streams[2], small, true)
	var done []uint32
	note := func(s *Stream) { done = append(done, s.ID) }
	p.c.Schedule(1, note)
	p.want("1:data(16384)")
	p.c.Schedule(1, note)
	p.want("3:data(16384)")
	// The small one is not kept waiting by the large ones; then the connection's window is used up.
	p.c.Schedule(1<<20, note)
	p.want("5:data(10). 1:data(16384) 3:data(16373)")
	if len(done) != 1 || done[0] != 5 {
		t.Errorf("sent %v", done)
	}
	// An end without data needs no window.
	p.head(7, true, get()...)
	p.c.Queue(p.stream(EventRequest), nil, true)
	p.c.Schedule(1<<20, note)
	p.want("7:data(0).")
	_ = p.w.WriteWindowUpdate(0, 1<<20)
	p.push()
	p.c.Schedule(1<<20, note)
	p.want("1:data(7232) 3:data(7243)")
	_ = p.w.WriteWindowUpdate(3, 1<<20)
	p.push()
	p.c.Schedule(1<<20, note)
	p.want("3:data(16384) 3:data(16384) 3:data(16384) 3:data(10848).")
	// A smaller window may make what is left negative; it must be made up for.
	p.settings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 100})
	p.sent()
	_ = p.w.WriteWindowUpdate(1, 39900)
	p.push()
	p.c.Schedule(1<<20, note)
	p.want("")
	_ = p.w.WriteWindowUpdate(1, 5)
	p.push()
	p.c.Schedule(1<<20, note)
	p.want("1:data(5)")
	_ = p.w.WriteRSTStream(1, xhttp2.ErrCodeCancel)
	p.push()
	if p.stream(EventReset); !streams[0].Sent() {
		t.Error("a reset stream goes on waiting for its window")
	}
}
