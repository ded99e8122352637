// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
)

// Each open connection counts for what it does, as nginx has it.
func TestConnectionCounts(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	up := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			entered <- struct{}{}
			<-leave
		}
	})
	r := startRig(t, service(up.URL, ""), rigOptions{})
	want := func(what string, waiting, reading, writing int) {
		t.Helper()
		var last engine.ConnectionCounts
		defer func() {
			if t.Failed() {
				t.Logf("%s: %+v", what, last)
			}
		}()
		until(t, what, func() bool {
			last = r.ConnectionCounts()
			return last.Active == waiting+reading+writing && last.Waiting == waiting && last.Reading == reading && last.Writing == writing
		})
	}
	want("no connection", 0, 0, 0)
	plain := dialRig(t, r.plain)
	want("a new connection", 1, 0, 0)
	plain.send("GET / HTTP/1.1\r\nHo")
	want("a part of a head", 0, 1, 0)
	plain.send("st: h\r\n\r\n").answer("GET")
	want("a wait for the next request", 1, 0, 0)
	plain.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
	<-entered
	want("a request under way", 0, 0, 1)
	leave <- struct{}{}
	plain.answer("GET")
	want("a wait again", 1, 0, 0)
	_ = plain.Close()
	want("a connection closed", 0, 0, 0)

	secure := dialRig(t, r.secure)
	want("a new connection to the TLS listener", 1, 0, 0)
	secure.send("\x16\x03\x01")
	want("a part of a handshake", 0, 1, 0)
	_ = secure.Close()
	want("a handshake given up", 0, 0, 0)

	h2, err := tls.Dial("tcp", r.secure, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}) // #nosec G402 -- a test
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h2.Close() }()
	want("HTTP/2 before its preface", 1, 0, 0)
	// The preface, empty SETTINGS, and HEADERS of GET /slow.
	request := "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" +
		"\x00\x00\x0c\x01\x05\x00\x00\x00\x01" + "\x82\x87\x04\x05/slow\x41\x01h"
	if _, err = io.WriteString(h2, request); err != nil {
		t.Fatal(err)
	}
	<-entered
	want("a stream under way", 0, 0, 1)
	leave <- struct{}{}
	want("no stream", 1, 0, 0)
	if n := r.ConnectionCounts(); n.Accepted != 3 || n.Handled != 3 {
		t.Errorf("%+v", n)
	}
}

// A TLS handshake that does not come to its end keeps nobody out.
func TestHalfHandshakesMakeRoom(t *testing.T) {
	up := serve(t, func(http.ResponseWriter, *http.Request) {})
	const limit = 4
	r := startRig(t, service(up.URL, ""), rigOptions{settings: func(s *engine.Settings) { s.WorkerConnections = limit }})
	for range limit {
		dialRig(t, r.secure).send("\x16\x03\x01")
	}
	until(t, "the handshakes to begin", func() bool { return r.ConnectionCounts().Reading == limit })
	for range limit {
		if a, _ := wrap(t, secured(t, r.secure, "")).send(withFields("")).answer("GET"); a.StatusCode != 200 {
			t.Errorf("got %d", a.StatusCode)
		}
	}
	if n := r.RefusedConnections(); n != 0 {
		t.Errorf("%d connections were refused", n)
	}
}
