// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What a client may send on one connection, in any order: requests that are
// served while the connection waits for the next one, and those that are not.
func TestRequestsInAnyOrder(t *testing.T) {
	up := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, io.MultiReader(strings.NewReader(r.URL.Path+" "), r.Body))
	})
	r := startRig(t, service(up.URL, ""), rigOptions{})
	w := dialRig(t, r.plain)
	const (
		get   = "GET /get HTTP/1.1\r\nHost: h\r\n\r\n"
		post  = "POST /post HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
		empty = "POST /empty HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"
	)
	want := map[string]string{get: "/get ", post: "/post abc", empty: "/empty "}
	large := "GET /large HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", 6000) + "\r\n\r\n"
	want[large] = "/large "
	all := []string{get, post, get, get, empty, get, large, get, post, large, get}
	for i, first := range all {
		for _, second := range all[:i] {
			w.send(first)
			if _, body := w.answer("GET"); body != want[first] {
				t.Fatalf("got %q, want %q", body, want[first])
			}
			w.send(first + second) // together
			for _, request := range []string{first, second} {
				if _, body := w.answer("GET"); body != want[request] {
					t.Fatalf("together: got %q, want %q", body, want[request])
				}
			}
		}
	}
	for _, request := range []string{get, post, large} {
		for cut := range min(len(request), 60) {
			w.send(request[:cut])
			w.send(request[cut:])
			if _, body := w.answer("GET"); body != want[request] {
				t.Fatalf("cut at %d: got %q, want %q", cut, body, want[request])
			}
		}
	}
	w.send("GET /end HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	if a, body := w.answer("GET"); body != "/end " || !a.Close {
		t.Errorf("got %q, close %t", body, a.Close)
	}
	w.ended()
}

// A client may send its end together with a request. It gets the answer, and
// the connection does not wait for more.
func TestEndBehindRequest(t *testing.T) {
	up := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	r := startRig(t, service(up.URL, ""), rigOptions{})
	w := dialRig(t, r.plain)
	const request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
	for range 3 {
		if _, body := w.send(request).answer("GET"); body != "ok" {
			t.Fatalf("got %q", body)
		}
	}
	socket := w.Conn.(*net.TCPConn)
	raw, err := socket.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_CORK, 1) }); err != nil {
		t.Fatal(err)
	}
	w.send(request)
	if err := socket.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, body := w.answer("GET"); body != "ok" {
		t.Fatalf("got %q", body)
	}
	w.ended()
}

// The end of the process does not wait for an upstream that an exchange waits
// for.
func TestCloseWhileServing(t *testing.T) {
	came, free := make(chan struct{}, 1), make(chan struct{})
	up := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			came <- struct{}{}
			select {
			case <-free:
			case <-r.Context().Done():
			}
		}
	})
	defer close(free)
	r := startRig(t, service(up.URL, ""), rigOptions{})
	w := dialRig(t, r.plain)
	w.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").answer("GET")
	w.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n")
	<-came
	began := time.Now()
	_ = r.drain(200 * time.Millisecond)
	if took := time.Since(began); took > patience/2 {
		t.Errorf("the end took %v", took)
	}
	if n := r.Connections(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
	if n, err := w.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("something was answered: %d, %v", n, err)
	}
}
