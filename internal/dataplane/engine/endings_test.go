// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// Whatever plugins make of status and method, a kept connection knows where the
// answer ends: the next one is read from it.
func TestAnswersWithoutBodyEnd(t *testing.T) {
	up := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/204":
			w.WriteHeader(204)
		case "/304":
			w.Header().Set("Content-Length", "40")
			w.WriteHeader(304)
		default:
			_, _ = io.WriteString(w, "hello")
		}
	})
	phases := func() *plugin.Phases {
		return &plugin.Phases{
			Access: func(x plugin.Exchange) {
				if m := x.Header().Get("X-Method"); m != "" {
					x.Upstream().Method = m
				}
			},
			HeaderFilter: func(x plugin.Exchange) {
				if x.Header().Has("X-Ok") {
					x.Response().Status = 200
				}
			},
		}
	}
	buffered := func() *plugin.Phases {
		p := phases()
		p.Response = func(plugin.Exchange) {}
		return p
	}
	for _, kind := range []struct {
		name   string
		phases func() *plugin.Phases
	}{{"streamed", phases}, {"buffered", buffered}} {
		r := startRig(t, service(up.URL, "plugins: [{name: probe-1}]\n"), rigOptions{plugins: probes{"probe-1": kind.phases}})
		for _, c := range []struct {
			name, method, path, header string
			status                     int
			body                       string
		}{
			{"204", "GET", "/204", "", 204, ""},
			{"204 becomes 200", "GET", "/204", "X-Ok: 1\r\n", 200, ""},
			{"304 becomes 200", "GET", "/304", "X-Ok: 1\r\n", 200, ""},
			{"HEAD of a 204 that becomes 200", "HEAD", "/204", "X-Ok: 1\r\n", 200, ""},
			{"HEAD", "HEAD", "/", "", 200, ""},
			{"GET asked as HEAD", "GET", "/", "X-Method: HEAD\r\n", 200, ""},
			{"HEAD asked as GET", "HEAD", "/", "X-Method: GET\r\n", 200, ""},
			{"GET", "GET", "/", "", 200, "hello"},
		} {
			t.Run(kind.name+"/"+c.name, func(t *testing.T) {
				w := dialRig(t, r.plain)
				for n := range 2 {
					a, body := w.send(c.method + " " + c.path + " HTTP/1.1\r\nHost: h\r\n" + c.header + "\r\n").answer(c.method)
					if a.StatusCode != c.status || body != c.body || a.Close {
						t.Errorf("answer %d: %d %q, close %v", n, a.StatusCode, body, a.Close)
					}
				}
			})
		}
	}
}

// An answer that a body filter failed on is cut off, or was not begun.
func TestFailedBodyFilter(t *testing.T) {
	up := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 3 {
			_, _ = io.WriteString(w, strings.Repeat("piece", 10_000))
			_ = http.NewResponseController(w).Flush()
		}
	})
	broken := func() *plugin.Phases {
		seen := false
		return &plugin.Phases{BodyFilter: func(_ plugin.Exchange, chunk []byte, _ bool) []byte {
			if seen {
				panic("the second piece")
			}
			seen = true
			return chunk
		}}
	}
	r := startRig(t, service(up.URL, "plugins: [{name: probe-1}]\n"), rigOptions{plugins: probes{"probe-1": broken}})
	a, err := http.Get("http://" + r.plain + "/")
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, a.Body)
	_ = a.Body.Close()
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the answer looks complete: %v", err)
	}

	whole := func() *plugin.Phases {
		return &plugin.Phases{
			Response:   func(plugin.Exchange) {},
			BodyFilter: func(plugin.Exchange, []byte, bool) []byte { panic("at once") },
		}
	}
	r = startRig(t, service(up.URL, "plugins: [{name: probe-1}]\n"), rigOptions{plugins: probes{"probe-1": whole}})
	if a, _ := dialRig(t, r.plain).send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").answer("GET"); a.StatusCode != 500 {
		t.Errorf("got %d, want 500", a.StatusCode)
	}
}

// A kept connection that ends after an interim answer is no stale one: the
// request was seen.
func TestEndAfterInterim(t *testing.T) {
	up := script(t, func(n int, c net.Conn, in *bufio.Reader) {
		for asked := 1; readHead(in) != ""; asked++ {
			if n == 1 && asked == 2 {
				_, _ = io.WriteString(c, "HTTP/1.1 103 Early Hints\r\n\r\n")
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	r := startRig(t, strings.Replace(service(up.url, ""), "retries: 2", "retries: 0", 1), rigOptions{})
	w := dialRig(t, r.plain)
	if a, _ := w.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").answer("GET"); a.StatusCode != 200 {
		t.Fatalf("got %d", a.StatusCode)
	}
	w.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if a, _ := w.answer("GET"); a.StatusCode != 103 {
		t.Errorf("got %d, want the interim answer", a.StatusCode)
	}
	if a, _ := w.answer("GET"); a.StatusCode != 502 {
		t.Errorf("got %d, want 502", a.StatusCode)
	}
}
