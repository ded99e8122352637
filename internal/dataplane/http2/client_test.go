// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"testing"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
)

// joined passes what each side sends to the other.
func joined(t *testing.T, a, b *Conn, see func(*Conn, Event)) {
	t.Helper()
	for a.Output()+b.Output() > 0 {
		for _, way := range [][2]*Conn{{a, b}, {b, a}} {
			for in := way[0].TakeOutput(nil); len(in) > 0; {
				n, ev, err := way[1].Receive(in)
				if err != nil || n == 0 {
					t.Fatalf("%d bytes of %d: %v", n, len(in), err)
				}
				in = in[n:]
				if ev.Kind != EventNone {
					see(way[1], ev)
				}
			}
		}
	}
}

func TestClient(t *testing.T) {
	client, server := NewConn(clientConfig()), NewConn(serverConfig())
	var served, answered []*Stream
	var kinds []EventKind
	exchange := func() {
		joined(t, client, server, func(c *Conn, ev Event) {
			if c == client && ev.Stream != nil {
				kinds = append(kinds, ev.Kind)
				answered = append(answered, ev.Stream)
			} else if ev.Kind == EventRequest {
				served = append(served, ev.Stream)
			}
		})
	}
	var e Encoder
	ask := func(method, path string) *Stream {
		block, err := e.AppendRequest(nil, &http1.RequestHead{Method: []byte(method), Path: []byte(path), Host: []byte("a")}, "http")
		if err != nil {
			t.Fatal(err)
		}
		return client.Open(http1.LookupMethod([]byte(method)), block, true)
	}
	exchange()
	if !client.Usable() || client.Capacity() != 8 {
		t.Fatalf("usable %v, capacity %d", client.Usable(), client.Capacity())
	}
	head, get := ask("HEAD", "/a"), ask("GET", "/b?c")
	exchange()
	if len(served) != 2 || string(served[1].Request.Target) != "/b?c" || served[1].Request.Framing != http1.BodyNone {
		t.Fatalf("served %v", served)
	}
	respond := func(s *Stream, status int, length int64, end bool) {
		block, _ := e.AppendResponse(nil, &http1.ResponseHead{Status: status, Framing: http1.BodyLength, ContentLength: length})
		server.SendHead(s, block, end)
	}
	respond(served[0], 200, 5, true)
	respond(served[1], 103, -1, false)
	respond(served[1], 200, 3, false)
	server.Queue(served[1], []byte("abc"), true)
	server.Schedule(1<<20, func(*Stream) {})
	exchange()
	if len(answered) != 4 || head.Response.ContentLength != 5 || head.Response.Framing != http1.BodyNone || !head.Ended() ||
		len(get.Interim) != 1 || get.Interim[0].Status != 103 || get.Response.Status != 200 || get.Response.Framing != http1.BodyLength || string(client.Take(get, nil)) != "abc" {
		t.Errorf("%v: %+v %+v", kinds, head.Response, get.Response)
	}
	client.Done(head)
	client.Done(get)
	server.Done(served[0])
	server.Done(served[1])

	// What a server that goes away did not look at may be asked again.
	low, high := ask("POST", "/"), ask("POST", "/")
	server.out = appendGoAway(server.out, low.ID, CodeNo)
	client.TakeOutput(nil)
	exchange()
	if low.Unprocessed() || !high.Unprocessed() || client.Lasting() {
		t.Errorf("unprocessed %v %v, lasting %v", low.Unprocessed(), high.Unprocessed(), client.Lasting())
	}
	server.out = appendRSTStream(server.out, low.ID, CodeRefusedStream)
	exchange()
	if !low.Unprocessed() {
		t.Error("a refused stream counts as processed")
	}
}

func TestMalformedResponses(t *testing.T) {
	for name, c := range map[string]struct {
		fields []string
		end    bool
		data   string
	}{
		"no status":          {[]string{"a", "b"}, true, ""},
		"status 99":          {[]string{":status", "099"}, true, ""},
		"101":                {[]string{":status", "101"}, false, ""},
		"interim end":        {[]string{":status", "103"}, true, ""},
		"request pseudo":     {[]string{":status", "200", ":path", "/"}, true, ""},
		"connection":         {[]string{":status", "200", "connection", "close"}, true, ""},
		"two lengths":        {[]string{":status", "200", "content-length", "1", "content-length", "1"}, true, ""},
		"body too short":     {[]string{":status", "200", "content-length", "4"}, false, "abc"},
		"body too long":      {[]string{":status", "200", "content-length", "2"}, false, "abc"},
		"body of 204":        {[]string{":status", "204"}, false, "abc"},
		"length without any": {[]string{":status", "200", "content-length", "4"}, true, ""},
	} {
		p := barePeer(t, clientConfig())
		p.settings()
		p.sentPreface()
		var e Encoder
		block, _ := e.AppendRequest(nil, &http1.RequestHead{Method: []byte("GET"), Path: []byte("/"), Host: []byte("a")}, "http")
		s := p.c.Open(http1.MethodGet, block, true)
		p.sent()
		p.head(s.ID, c.end, c.fields...)
		if c.data != "" {
			p.data(s.ID, true, c.data)
		}
		if code, byPeer, failed := s.Failed(); !failed || byPeer || code != CodeProtocol || p.err != nil {
			t.Errorf("%s: %v %v %v; %v", name, code, byPeer, failed, p.err)
		}
	}
}
