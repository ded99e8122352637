// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const patience = 20 * time.Second

// proxied starts every driver in front of a handler and runs a test with it.
func proxied(t *testing.T, handler http.HandlerFunc, each func(t *testing.T, driver, plain, secure string, backend *httptest.Server)) {
	for _, d := range drivers {
		t.Run(d, func(t *testing.T) {
			backend := httptest.NewServer(handler)
			t.Cleanup(func() {
				backend.CloseClientConnections()
				backend.Close()
			})
			plain, secure, err := starts[d](netip.MustParseAddrPort(backend.Listener.Addr().String()))
			if err != nil {
				t.Fatal(err)
			}
			each(t, d, plain.String(), secure.String(), backend)
		})
	}
}

// echo answers with what it was asked.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("X-Seen", fmt.Sprint(r.Header.Get("X-Forwarded-Host"), " ", r.Header.Get("X-Forwarded-Path"), " ", r.Header.Get("X-Real-Ip")))
	if r.URL.Query().Has("flush") {
		_ = http.NewResponseController(w).Flush()
	}
	_, _ = w.Write(body)
}

func nothing() io.Reader { return nil }

func whole(s string) func() io.Reader { return func() io.Reader { return strings.NewReader(s) } }

// pieces is a body whose length nobody knows.
func pieces(all ...string) func() io.Reader {
	return func() io.Reader {
		var readers []io.Reader
		for _, s := range all {
			readers = append(readers, strings.NewReader(s))
		}
		return io.MultiReader(readers...)
	}
}

func TestDrivers(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 1<<16)
	proxied(t, echo, func(t *testing.T, _, plain, secure string, _ *httptest.Server) {
		client := &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // made for the test
		t.Cleanup(client.CloseIdleConnections)
		for _, base := range []string{"http://" + plain, "https://" + secure} {
			for name, ask := range map[string]struct {
				path string
				body func() io.Reader
				want string
			}{
				"bodyless":       {"/plain", nothing, ""},
				"a plugin":       {"/quick", nothing, ""},
				"a slow plugin":  {"/wait", nothing, ""},
				"a length":       {"/plain", whole("abc"), "abc"},
				"chunks":         {"/plain", pieces("abc", "def"), "abcdef"},
				"chunked answer": {"/plain?flush", whole("abc"), "abc"},
				"large":          {"/plain", whole(large), large},
				"large chunks":   {"/plain?flush", pieces(large), large},
			} {
				for range 2 {
					r, err := client.Post(base+ask.path, "text/plain", ask.body())
					if err != nil {
						t.Fatalf("%s, %s: %v", base, name, err)
					}
					got, err := io.ReadAll(r.Body)
					_ = r.Body.Close()
					if err != nil || string(got) != ask.want {
						t.Errorf("%s, %s: %d bytes, %v", base, name, len(got), err)
					}
					if seen := r.Header.Get("X-Seen"); r.StatusCode != http.StatusOK || !strings.HasSuffix(seen, "127.0.0.1") || !strings.HasPrefix(seen, "127.0.0.1 "+strings.TrimSuffix(ask.path, "?flush")) {
						t.Errorf("%s, %s: %d, the backend saw %q", base, name, r.StatusCode, seen)
					}
				}
			}
		}
	})
}

// No request, not even one that may not be sent twice, meets a connection that
// the backend closed. fasthttp's client has a request with a streamed body fail
// then, although nothing of it was sent.
func TestClosedIdleConnection(t *testing.T) {
	proxied(t, echo, func(t *testing.T, driver, plain, _ string, backend *httptest.Server) {
		for i := range 3 {
			r, err := http.Post("http://"+plain+"/plain", "text/plain", strings.NewReader("abc"))
			if err != nil {
				t.Fatal(err)
			}
			_ = r.Body.Close()
			if r.StatusCode != http.StatusOK && (driver != "fasthttp" || i == 0) {
				t.Fatalf("status %d", r.StatusCode)
			}
			backend.CloseClientConnections()
		}
	})
}

// A client that leaves ends the call of the backend. fasthttp's client has no
// way to do that.
func TestDepartedClient(t *testing.T) {
	var ended atomic.Int32
	began := make(chan struct{}, len(drivers))
	handler := func(_ http.ResponseWriter, r *http.Request) {
		began <- struct{}{}
		select {
		case <-r.Context().Done():
			ended.Add(1)
		case <-time.After(2 * time.Second):
		}
	}
	proxied(t, handler, func(t *testing.T, driver, plain, _ string, _ *httptest.Server) {
		ended.Store(0)
		c, err := net.Dial("tcp", plain)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "GET /plain HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-began
		_ = c.Close()
		if want := driver != "fasthttp"; awaitEnd(t, &ended) != want {
			t.Errorf("noticed: %v", !want)
		}
	})
}

func awaitEnd(t *testing.T, ended *atomic.Int32) bool {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	for ctx.Err() == nil {
		if ended.Load() > 0 {
			return true
		}
	}
	return false
}

func TestPipelining(t *testing.T) {
	proxied(t, echo, func(t *testing.T, _, plain, _ string, _ *httptest.Server) {
		c, err := net.Dial("tcp", plain)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(patience))
		const n = 5
		if _, err := c.Write(bytes.Repeat([]byte("POST /plain HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"), n)); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(c)
		for range n {
			r, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(r.Body)
			_ = r.Body.Close()
			if string(body) != "abc" || err != nil {
				t.Errorf("%q, %v", body, err)
			}
		}
	})
}
