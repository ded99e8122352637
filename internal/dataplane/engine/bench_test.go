// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"bufio"
	"bytes"
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
)

const benchAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nServer: up\r\n\r\nabc"

var benchRequest = []byte("GET /bench HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")

// quickUpstream answers every head with the same bytes and allocates nothing.
func quickUpstream(t testing.TB) string {
	return script(t, func(_ int, c net.Conn, in *bufio.Reader) {
		_ = c.SetDeadline(time.Time{})
		answer := []byte(benchAnswer)
		for {
			line, err := in.ReadSlice('\n')
			if err != nil {
				return
			}
			if len(line) == 2 {
				if _, err := c.Write(answer); err != nil {
					return
				}
			}
		}
	}).url
}

// quickClient sends requests on one connection and allocates nothing.
type quickClient struct {
	net.Conn
	buf []byte
}

func newQuickClient(t testing.TB, address string) *quickClient {
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &quickClient{c, make([]byte, 4096)}
}

// body ends every answer of quickUpstream.
var benchBody = []byte("\r\n\r\nabc")

func (c *quickClient) roundTrip(t testing.TB) {
	if _, err := c.Write(benchRequest); err != nil {
		t.Fatal(err)
	}
	for n := 0; ; {
		m, err := c.Read(c.buf[n:])
		if err != nil {
			t.Fatal(err)
		}
		if n += m; bytes.HasSuffix(c.buf[:n], benchBody) {
			return
		}
	}
}

const benchClients = 16

// through times n requests over several connections.
func through(b *testing.B, clients []*quickClient, n int) time.Duration {
	var all sync.WaitGroup
	began := time.Now()
	for _, c := range clients {
		all.Add(1)
		go func() {
			defer all.Done()
			for range n / len(clients) {
				c.roundTrip(b)
			}
		}()
	}
	all.Wait()
	return time.Since(began)
}

func clientsOf(b *testing.B, address string) []*quickClient {
	clients := make([]*quickClient, benchClients)
	for i := range clients {
		clients[i] = newQuickClient(b, address)
		clients[i].roundTrip(b)
	}
	return clients
}

// BenchmarkProxy measures the way of a small request through the gateway, with
// client and upstream in the same process.
func BenchmarkProxy(b *testing.B) {
	r := startRig(b, service(quickUpstream(b), ""), rigOptions{})
	clients := clientsOf(b, r.plain)
	b.ReportAllocs()
	b.ResetTimer()
	through(b, clients, max(b.N, benchClients))
}

// BenchmarkAgainstReverseProxy sends the same requests through the gateway and
// through net/http/httputil.ReverseProxy by turns, and reports how many times
// as long the latter takes. Client and upstream, which are the same for both,
// make up a part of both times.
func BenchmarkAgainstReverseProxy(b *testing.B) {
	up := quickUpstream(b)
	target, err := url.Parse(up)
	if err != nil {
		b.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 2 * benchClients}
	other := &httputil.ReverseProxy{
		Rewrite:   func(p *httputil.ProxyRequest) { p.SetURL(target); p.SetXForwarded() },
		Transport: transport,
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	s := httptest.NewServer(other)
	b.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
		transport.CloseIdleConnections()
	})
	r := startRig(b, service(up, ""), rigOptions{})
	ours, theirs := clientsOf(b, r.plain), clientsOf(b, s.Listener.Addr().String())
	var oursTook, theirsTook time.Duration
	b.ResetTimer()
	for left := b.N; left > 0; left -= 1000 {
		n := max(min(left, 1000), benchClients)
		oursTook += through(b, ours, n)
		theirsTook += through(b, theirs, n)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(theirsTook)/float64(oursTook), "reverseproxy/ours")
}

// A proxied request allocates nothing once its connections are warm.
func TestAllocations(t *testing.T) {
	if raceEnabled || poisoned {
		t.Skip("the race detector and the poison tag allocate")
	}
	r := startRig(t, service(quickUpstream(t), ""), rigOptions{})
	c := newQuickClient(t, r.plain)
	for range 100 {
		c.roundTrip(t)
	}
	if n := testing.AllocsPerRun(2000, func() { c.roundTrip(t) }); n > 0 {
		t.Errorf("%v allocations per request", n)
	}
}
