// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
)

func TestBrokenAnswers(t *testing.T) {
	cases := []struct {
		name, answer string
		status       int
		tries        int
	}{
		{"no HTTP", "hello\r\n\r\n", 502, 1},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", 502, 1},
		{"head too large", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 40<<10) + "\r\n\r\n", 502, 1},
		{"closed without an answer", "", 502, 3},
		{"cut in its head", "HTTP/1.1 200 OK\r\nA: b", 502, 3},
		{"101 that nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", 502, 1},
		{"endless interim answers", strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 100), 502, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			up := script(t, func(_ int, conn net.Conn, in *bufio.Reader) {
				readHead(in)
				_, _ = io.WriteString(conn, c.answer)
			})
			r := startRig(t, service(up.url, ""), rigOptions{})
			w := dialRig(t, r.plain).send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			a, _ := w.answer("GET")
			for a.StatusCode == 102 {
				a, _ = w.answer("GET")
			}
			if a.StatusCode != c.status || up.connections() != c.tries {
				t.Errorf("got %d after %d tries, want %d after %d", a.StatusCode, up.connections(), c.status, c.tries)
			}
			// The client's connection is none the worse for it.
			if a, _ := w.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").answer("GET"); a.StatusCode/100 == 4 {
				t.Errorf("the next request got %d", a.StatusCode)
			}
		})
	}
}

// An answer that breaks off must not look complete.
func TestCutAnswers(t *testing.T) {
	for name, answer := range map[string]string{
		"length":     "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
		"chunked":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
		"bad chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			up := script(t, func(_ int, conn net.Conn, in *bufio.Reader) {
				readHead(in)
				_, _ = io.WriteString(conn, answer)
			})
			r := startRig(t, service(up.url, ""), rigOptions{})
			w := dialRig(t, r.plain).send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			a, err := http.ReadResponse(w.in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(a.Body); err == nil {
				t.Errorf("the answer looks complete: %q", body)
			}
		})
	}
}

func TestSlowClients(t *testing.T) {
	up := serve(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	r := startRig(t, service(up.URL, ""), rigOptions{settings: func(s *engine.Settings) {
		s.ClientHeaderTimeout, s.ClientBodyTimeout, s.KeepaliveTimeout = 200*time.Millisecond, 200*time.Millisecond, 200*time.Millisecond
	}})
	t.Run("a head that trickles in has one deadline", func(t *testing.T) {
		w := dialRig(t, r.plain)
		began := time.Now()
		go func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for range tick.C {
				if _, err := io.WriteString(w, "G"); err != nil || time.Since(began) > patience {
					return
				}
			}
		}()
		_, _ = io.Copy(io.Discard, w.in)
		if took := time.Since(began); took > patience/2 {
			t.Errorf("the connection lived for %v", took)
		}
	})
	t.Run("nothing at all", func(t *testing.T) { dialRig(t, r.plain).ended() })
	t.Run("idle after a request", func(t *testing.T) {
		w := dialRig(t, r.plain).send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		w.answer("GET")
		w.ended()
	})
	for name, head := range map[string]string{
		"body that fits the buffer": "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nx",
		"body that is streamed":     "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 50000),
	} {
		t.Run(name, func(t *testing.T) {
			w := dialRig(t, r.plain).send(head)
			if a, _ := w.answer("POST"); a.StatusCode != 408 || !a.Close {
				t.Errorf("got %d, close %t", a.StatusCode, a.Close)
			}
			w.ended()
		})
	}
}

func TestPlainHTTPOnTheTLSPort(t *testing.T) {
	up := serve(t, func(http.ResponseWriter, *http.Request) {})
	r := startRig(t, service(up.URL, ""), rigOptions{})
	w := dialRig(t, r.secure).send("GET / HTTP/1.1\r\nHost: h\r\nAccept: text/plain\r\n\r\n")
	if a, body := w.answer("GET"); a.StatusCode != 400 || !strings.Contains(body, "plain HTTP") {
		t.Errorf("got %d %q", a.StatusCode, body)
	}
	w.ended()
}
