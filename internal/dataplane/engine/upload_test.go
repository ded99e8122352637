// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func streaming(url string) string {
	return fmt.Sprintf("services:\n- name: s\n  url: %q\n  routes:\n  - {name: b, paths: [/b], strip_path: false}\n  - {name: u, paths: [/u], strip_path: false, request_buffering: false}\n", url)
}

// Bodies of every kind and size arrive as they were sent, on both kinds of
// routes, and leave both connections usable.
func TestUploads(t *testing.T) {
	up := serve(t, func(w http.ResponseWriter, r *http.Request) {
		sum := 0
		n, err := io.Copy(writerFunc(func(p []byte) (int, error) {
			for _, b := range p {
				sum += int(b)
			}
			return len(p), nil
		}), r.Body)
		_, _ = fmt.Fprintf(w, "%d bytes, sum %d, %v", n, sum, err)
	})
	r := startRig(t, streaming(up.URL), rigOptions{})
	w := dialRig(t, r.plain)
	for _, path := range []string{"/b", "/u"} {
		for _, size := range []int{0, 1, 8<<10 - 1, 8 << 10, 8<<10 + 1, 16 << 10, 100 << 10, 3 << 20} {
			body := strings.Repeat("abcdefg", size/7+1)[:size]
			sum := 0
			for _, b := range []byte(body) {
				sum += int(b)
			}
			want := fmt.Sprintf("%d bytes, sum %d, <nil>", size, sum)
			t.Log(path, size)
			go w.sendQuietly(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", path, size, body))
			if a, got := w.answer("POST"); a.StatusCode != 200 || got != want {
				t.Fatalf("%s length %d: got %d %q, want %q", path, size, a.StatusCode, got, want)
			}
			var chunks strings.Builder
			for rest := body; rest != ""; {
				n := min(len(rest), 5000)
				_, _ = fmt.Fprintf(&chunks, "%x\r\n%s\r\n", n, rest[:n])
				rest = rest[n:]
			}
			go w.sendQuietly(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n%s0\r\n\r\n", path, chunks.String()))
			if a, got := w.answer("POST"); a.StatusCode != 200 || got != want {
				t.Fatalf("%s chunks %d: got %d %q, want %q", path, size, a.StatusCode, got, want)
			}
		}
	}
	// A trailer behind a body that is streamed.
	w.send("POST /u HTTP/1.1\r\nHost: h\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
	w.send("0\r\nX-T: seen\r\n\r\n")
	if _, got := w.answer("POST"); !strings.HasPrefix(got, "1 bytes, sum 120, <nil>") {
		t.Errorf("got %q", got)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func (w *wire) sendQuietly(text string) { _, _ = io.WriteString(w, text) }

func TestContinue(t *testing.T) {
	up := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	})
	r := startRig(t, streaming(up.URL), rigOptions{})
	for _, path := range []string{"/b", "/u"} {
		w := dialRig(t, r.plain).send("POST " + path + " HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
		if head := readHead(w.in); head != "HTTP/1.1 100 Continue\r\n\r\n" {
			t.Fatalf("%s: got %q", path, head)
		}
		if a, body := w.send("body").answer("POST"); a.StatusCode != 200 || body != "body" {
			t.Errorf("%s: got %d %q", path, a.StatusCode, body)
		}
	}
	// Nobody asks for a body that is not going to be read.
	w := dialRig(t, r.plain).send("POST /nowhere HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	if a, _ := w.answer("POST"); a.StatusCode != 404 || !a.Close {
		t.Errorf("got %d, close %t", a.StatusCode, a.Close)
	}
}

// An upstream may answer before it has read everything; the client gets that
// answer although it still sends.
func TestEarlyAnswer(t *testing.T) {
	for _, path := range []string{"/b", "/u"} {
		t.Run(path, func(t *testing.T) {
			up := script(t, func(_ int, c net.Conn, in *bufio.Reader) {
				readHead(in)
				_, _ = io.WriteString(c, "HTTP/1.1 413 Too Much\r\nContent-Length: 4\r\n\r\nstop")
				_, _ = io.Copy(io.Discard, in)
			})
			r := startRig(t, streaming(up.url), rigOptions{})
			w := dialRig(t, r.plain).send("POST " + path + " HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n" + strings.Repeat("x", 100000))
			stop := make(chan struct{})
			go func() {
				defer close(stop)
				for block := strings.Repeat("y", 1<<16); ; {
					if _, err := io.WriteString(w, block); err != nil {
						return
					}
				}
			}()
			a, body := w.answer("POST")
			if a.StatusCode != 413 || body != "stop" || !a.Close {
				t.Errorf("got %d %q, close %t", a.StatusCode, body, a.Close)
			}
			w.ended()
			_ = w.Close()
			<-stop
		})
	}
}

func TestUploadFailures(t *testing.T) {
	t.Run("malformed chunks after the upstream was reached", func(t *testing.T) {
		up := script(t, func(_ int, _ net.Conn, in *bufio.Reader) { _, _ = io.Copy(io.Discard, in) })
		r := startRig(t, streaming(up.url), rigOptions{})
		w := dialRig(t, r.plain).send("POST /u HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
		until(t, "the upstream connection", func() bool { return up.connections() == 1 })
		a, _ := w.send("zz\r\n").answer("POST")
		if a.StatusCode != 400 || a.Header.Get("Via") == "" {
			t.Errorf("got %d, Via %q", a.StatusCode, a.Header.Get("Via"))
		}
		w.ended()
	})
	t.Run("upstream that takes nothing", func(t *testing.T) {
		hold := make(chan struct{})
		up := script(t, func(int, net.Conn, *bufio.Reader) { <-hold })
		defer close(hold)
		r := startRig(t, fmt.Sprintf("services:\n- {name: s, url: %q, write_timeout: 200, routes: [{name: r, paths: [/]}]}\n", up.url), rigOptions{})
		w := dialRig(t, r.plain)
		go w.sendQuietly("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n" + strings.Repeat("x", 30<<20))
		if a, _ := w.answer("POST"); a.StatusCode != 504 {
			t.Errorf("got %d", a.StatusCode)
		}
	})
	t.Run("client that leaves", func(t *testing.T) {
		gone := make(chan struct{})
		up := script(t, func(_ int, _ net.Conn, in *bufio.Reader) {
			_, _ = io.Copy(io.Discard, in)
			close(gone)
		})
		r := startRig(t, streaming(up.url), rigOptions{})
		w := dialRig(t, r.plain).send("POST /u HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nx")
		until(t, "the upstream connection", func() bool { return up.connections() == 1 })
		_ = w.Close()
		<-gone
		until(t, "the log line", func() bool { return strings.Contains(r.access.String(), "\" 499 ") })
	})
}

func TestDepartedClient(t *testing.T) {
	gone := make(chan struct{})
	var requests atomic.Int32
	up := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		<-r.Context().Done()
		close(gone)
	})
	r := startRig(t, service(up.URL, ""), rigOptions{})
	w := dialRig(t, r.plain).send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\nGET /pipelined HTTP/1.1\r\nHost: h\r\n\r\n")
	until(t, "the upstream call", func() bool { return requests.Load() == 1 })
	_ = w.Close()
	select {
	case <-gone:
	case <-time.After(patience):
		t.Fatal("the upstream call goes on after the client left")
	}
	until(t, "the log line", func() bool { return strings.Contains(r.access.String(), "\"GET /slow HTTP/1.1\" 499 ") })
	until(t, "the end of the connection", func() bool { return r.Connections() == 0 })
	if n := requests.Load(); n != 1 {
		t.Errorf("%d requests reached the upstream", n)
	}
}

func TestUpstreamTimeouts(t *testing.T) {
	var tries atomic.Int32
	hold := make(chan struct{})
	up := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		tries.Add(1)
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	})
	defer close(hold)
	r := startRig(t, fmt.Sprintf("services:\n- {name: s, url: %q, read_timeout: 100, retries: 1, routes: [{name: r, paths: [/]}]}\n", up.URL), rigOptions{})
	if a, _ := r.get("/"); a.StatusCode != 504 || tries.Load() != 2 {
		t.Errorf("GET: got %d after %d tries", a.StatusCode, tries.Load())
	}
	tries.Store(0)
	w := dialRig(t, r.plain).send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx")
	if a, _ := w.answer("POST"); a.StatusCode != 504 || tries.Load() != 1 {
		t.Errorf("POST: got %d after %d tries", a.StatusCode, tries.Load())
	}
}
