// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"encoding/binary"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"
)

// quickHTTP2 sends requests in HTTP/2 on one connection and allocates nothing.
type quickHTTP2 struct {
	net.Conn
	streams     int // at once
	id          uint32
	out, in     []byte
	have, ended int
}

// quickBlock is the head of benchRequest in HPACK.
const quickBlock = "\x82\x86\x04\x06/bench\x01\x0abench.test\x0f\x2b\x05bench\x0f\x04\x03*/*"

func newQuickHTTP2(t testing.TB, address string, streams int) *quickHTTP2 {
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	const hello = xhttp2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + // SETTINGS
		"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x40\x00\x00\x00" // WINDOW_UPDATE
	if _, err := io.WriteString(c, hello); err != nil {
		t.Fatal(err)
	}
	return &quickHTTP2{Conn: c, streams: streams, id: 1, in: make([]byte, 64<<10)}
}

// roundTrip sends as many requests as there are to be at once, and waits for all
// answers.
func (c *quickHTTP2) roundTrip(t testing.TB) {
	c.out = c.out[:0]
	for range c.streams {
		c.out = append(c.out, 0, 0, byte(len(quickBlock)), 1, 5)
		c.out = binary.BigEndian.AppendUint32(c.out, c.id)
		c.out = append(c.out, quickBlock...)
		c.id += 2
	}
	if _, err := c.Write(c.out); err != nil {
		t.Fatal(err)
	}
	for c.ended = 0; c.ended < c.streams; {
		n, err := c.Read(c.in[c.have:])
		if err != nil {
			t.Fatal(err)
		}
		c.have += n
		at := 0
		for c.have-at >= 9 {
			b := c.in[at:c.have]
			length := 9 + (int(b[0])<<16 | int(b[1])<<8 | int(b[2]))
			if len(b) < length {
				break
			}
			switch kind := b[3]; {
			case kind == 3 || kind == 7:
				t.Fatalf("frame % x", b[:length])
			case kind <= 1 && b[4]&1 != 0:
				c.ended++
			}
			at += length
		}
		c.have = copy(c.in, c.in[at:c.have])
	}
}

// roundTripper sends requests and waits for their answers.
type roundTripper interface{ roundTrip(t testing.TB) }

// timed takes the time of n round trips over several connections.
func timed(b *testing.B, clients []roundTripper, n int) time.Duration {
	var all sync.WaitGroup
	began := time.Now()
	for _, c := range clients {
		all.Add(1)
		go func() {
			defer all.Done()
			for range max(1, n/len(clients)) {
				c.roundTrip(b)
			}
		}()
	}
	all.Wait()
	return time.Since(began)
}

func roundTrippers(b *testing.B, open func() roundTripper) []roundTripper {
	clients := []roundTripper{}
	for range benchClients {
		c := open()
		c.roundTrip(b)
		clients = append(clients, c)
	}
	return clients
}

// BenchmarkHTTP2 sends the same requests by turns: in HTTP/2 and in HTTP/1
// through the gateway, and in HTTP/2 through net/http's server, which is x/net's,
// with httputil.ReverseProxy. It reports how many times as long the others take
// as HTTP/2 through the gateway does. Clients and upstream, which are the same,
// make up a part of all times.
func BenchmarkHTTP2(b *testing.B) {
	for name, streams := range map[string]int{"1stream": 1, "10streams": 10} {
		b.Run(name, func(b *testing.B) { benchmarkHTTP2(b, streams) })
	}
}

func benchmarkHTTP2(b *testing.B, streams int) {
	up := quickUpstream(b)
	target, err := url.Parse(up)
	if err != nil {
		b.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 20 * benchClients}
	s := httptest.NewUnstartedServer(&httputil.ReverseProxy{
		Rewrite:   func(p *httputil.ProxyRequest) { p.SetURL(target); p.SetXForwarded() },
		Transport: transport,
		ErrorLog:  log.New(io.Discard, "", 0),
	})
	s.Config.Protocols = &http.Protocols{}
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	b.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
		transport.CloseIdleConnections()
	})
	r := startRig(b, service(up, ""), rigOptions{})
	ours := roundTrippers(b, func() roundTripper { return newQuickHTTP2(b, r.plain, streams) })
	plain := roundTrippers(b, func() roundTripper { return newQuickClient(b, r.plain) })
	theirs := roundTrippers(b, func() roundTripper { return newQuickHTTP2(b, s.Listener.Addr().String(), streams) })
	var took [3]time.Duration
	b.ResetTimer()
	for left := b.N; left > 0; left -= 1000 {
		n := max(min(left, 1000), benchClients*streams)
		took[0] += timed(b, ours, n/streams)
		took[1] += timed(b, plain, n)
		took[2] += timed(b, theirs, n/streams)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(took[1])/float64(took[0]), "http1/http2")
	b.ReportMetric(float64(took[2])/float64(took[0]), "xnet/http2")
}

// A request in HTTP/2 allocates nothing once its connections are warm.
func TestHTTP2Allocations(t *testing.T) {
	if raceEnabled || poisoned {
		t.Skip("the race detector and the poison tag allocate")
	}
	r := startRig(t, service(quickUpstream(t), ""), rigOptions{})
	c := newQuickHTTP2(t, r.plain, 1)
	for range 100 {
		c.roundTrip(t)
	}
	if n := testing.AllocsPerRun(2000, func() { c.roundTrip(t) }); n > 0 {
		t.Errorf("%v allocations per request", n)
	}
}
