// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/plugin"
)

const postOf = "POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"

const okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// A backend may close a connection, or say something unasked, at any time after
// its answer. Once that has arrived here no request is sent into the connection.
func TestNoPostIntoAClosedConnection(t *testing.T) {
	for name, end := range map[string]func(c *net.TCPConn){
		"closed":      func(*net.TCPConn) {},
		"half closed": func(c *net.TCPConn) { _ = c.CloseWrite() },
		"reset":       func(c *net.TCPConn) { _ = c.SetLinger(0) },
		"408 and closed": func(c *net.TCPConn) {
			_, _ = io.WriteString(c, "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n")
		},
		"a byte, not close": func(c *net.TCPConn) { _, _ = io.WriteString(c, "\n") },
	} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan struct{})
			stay := make(chan struct{})
			up := script(t, func(_ int, c net.Conn, in *bufio.Reader) {
				if readHead(in) == "" {
					return
				}
				_, _ = in.Discard(1)
				_, _ = io.WriteString(c, okAnswer)
				// The gateway has the answer, and has put the connection aside.
				<-ended
				end(c.(*net.TCPConn))
				if name == "half closed" || name == "a byte, not close" {
					ended <- struct{}{}
					<-stay
					return
				}
				_ = c.Close()
				ended <- struct{}{}
			})
			defer close(stay)
			r := startRig(t, service(up.url, ""), rigOptions{})
			w := dialRig(t, r.plain)
			for i := range 20 {
				if a, body := w.send(fmt.Sprintf(postOf, i)).answer("POST"); a.StatusCode != 200 || body != "ok" {
					t.Fatalf("request %d got %d", i, a.StatusCode)
				}
				ended <- struct{}{}
				<-ended
			}
			if n := up.connections(); n != 20 {
				t.Errorf("%d connections for 20 requests", n)
			}
		})
	}
}

// However the end of a connection and the next request meet, a POST is never
// done twice, and its client gets an answer.
func TestPostIsSentOnce(t *testing.T) {
	var mu sync.Mutex
	done := map[string]int{}
	up := script(t, func(n int, c net.Conn, in *bufio.Reader) {
		for range n%3 + 1 {
			line, _, _ := strings.Cut(readHead(in), "\r\n")
			if line == "" {
				return
			}
			if _, err := in.Discard(1); err != nil {
				return
			}
			mu.Lock()
			done[line]++
			mu.Unlock()
			_, _ = io.WriteString(c, okAnswer)
		}
		// It closes at once, without a word, while the next request may be on its way.
		if n%2 == 0 {
			_ = c.(*net.TCPConn).SetLinger(0)
		}
	})
	r := startRig(t, service(up.url, ""), rigOptions{})
	var clients sync.WaitGroup
	for client := range 4 {
		clients.Go(func() {
			w := dialRig(t, r.plain)
			for i := range 300 {
				a, _ := w.send(fmt.Sprintf(postOf, client*1000+i)).answer("POST")
				mu.Lock()
				times := done[fmt.Sprintf("POST /%d HTTP/1.1", client*1000+i)]
				mu.Unlock()
				if times > 1 || a.StatusCode == 200 && times != 1 || a.StatusCode != 200 && a.StatusCode != 502 {
					t.Errorf("request %d got %d and was done %d times", i, a.StatusCode, times)
				}
			}
		})
	}
	clients.Wait()
}

// Kong's rules for another try: what was not sent may be sent again, whatever it
// is; what was sent only if it may be done twice and is still at hand.
func TestRetries(t *testing.T) {
	up := script(t, func(_ int, _ net.Conn, in *bufio.Reader) { readHead(in) })
	for _, c := range []struct {
		request string
		tries   int
	}{
		{"GET / HTTP/1.1\r\nHost: h\r\n\r\n", 3},
		{"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx", 3},
		{"DELETE / HTTP/1.1\r\nHost: h\r\n\r\n", 3},
		{"POST / HTTP/1.1\r\nHost: h\r\n\r\n", 1},
		{"PATCH / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx", 1},
		{"LOCK / HTTP/1.1\r\nHost: h\r\n\r\n", 1},
		// Larger than what is held: streamed, and gone once it was sent.
		{"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n" + strings.Repeat("x", 200000), 1},
	} {
		r := startRig(t, service(up.url, ""), rigOptions{})
		before := up.connections()
		a, _ := dialRig(t, r.plain).send(c.request).answer("GET")
		if n := up.connections() - before; a.StatusCode != 502 || n != c.tries {
			t.Errorf("%.20q: got %d after %d tries, want %d", c.request, a.StatusCode, n, c.tries)
		}
	}
	// Nothing was sent where nobody listens.
	for _, method := range []string{"GET", "POST"} {
		d := &diary{}
		note := func() *plugin.Phases {
			return &plugin.Phases{Log: func(x plugin.Exchange) { d.add("%d", len(x.Tries())) }}
		}
		r := startRig(t, service("http://127.0.0.1:1", enabled("log-1")), rigOptions{plugins: probes{"log-1": note}})
		a, _ := dialRig(t, r.plain).send(method + " / HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n" + strings.Repeat("x", 200000)).answer("GET")
		var tries []string
		until(t, "the log phase", func() bool { tries = d.take(); return len(tries) > 0 })
		if a.StatusCode != 502 || tries[0] != "3" {
			t.Errorf("%s: got %d after %s tries", method, a.StatusCode, tries[0])
		}
	}
}
