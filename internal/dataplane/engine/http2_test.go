// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

const h2Wait = 20 * time.Second

const h2Config = `
_format_version: "3.0"
services:
- name: backend
  url: %s
  routes:
  - {name: all, paths: [/], strip_path: false, preserve_host: true}
  - {name: stream, paths: [/stream], strip_path: false, request_buffering: false}
  - name: ends
    paths: [/ends]
    plugins:
    - {name: request-termination, config: {status_code: 418, message: "so be it"}}
plugins:
- {name: correlation-id, config: {header_name: %s}}
`

func TestHTTP2Exchanges(t *testing.T) {
	g := h2Start(t, http.HandlerFunc(h2Echo), nil)
	client := h2Client(t)
	for way, base := range g.h2Bases() {
		t.Run(way, func(t *testing.T) {
			resp, body := h2Do(t, client, "POST", base+"/a%2Fb?x=1&", strings.NewReader("hello"), "Cookie", "a=b", "Via", "1.0 old", "X-Mixed", "v")
			_, port, _ := net.SplitHostPort(strings.TrimPrefix(strings.TrimPrefix(base, "https://"), "http://"))
			scheme, _, _ := strings.Cut(base, ":")
			for name, want := range map[string]string{
				"Seen-Proto": "HTTP/1.1", "Seen-Host": "127.0.0.1:" + port, "Seen-Uri": "/a%2Fb?x=1&", "Seen-Length": "5",
				"Seen-Via": "1.0 old, 2 kong/9", "Seen-X-Forwarded-For": "127.0.0.1", "Seen-X-Forwarded-Proto": scheme,
				"Seen-X-Forwarded-Port": port, "Seen-Cookie": "a=b", "Seen-X-Mixed": "v",
				// What the gateway's answer says of its upstream.
				"Via": "1.1 kong/9", "Connection": "", "Transfer-Encoding": "",
			} {
				if got := resp.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			for _, name := range []string{"X-Kong-Request-Id", "X-Kong-Proxy-Latency", "X-Kong-Upstream-Latency", "Date"} {
				if resp.Header.Get(name) == "" {
					t.Errorf("no %s", name)
				}
			}
			if resp.StatusCode != http.StatusOK || body != "hello" {
				t.Errorf("%d %q", resp.StatusCode, body)
			}
			for _, c := range []struct {
				method, path string
				status       int
				length       int64
				body         string
			}{
				{"GET", "/", 200, 0, ""},
				{"HEAD", "/?status=200", 200, -1, ""},
				{"GET", "/?status=204", 204, 0, ""},
				{"GET", "/?status=304", 304, 0, ""},
				{"GET", "/?status=500", 500, 0, ""},
				{"DELETE", "/ends", 418, 22, `{"message":"so be it"}`},
				{"HEAD", "/ends", 418, 22, ""},
			} {
				resp, body := h2Do(t, client, c.method, base+c.path, nil)
				if resp.StatusCode != c.status || body != c.body || c.length >= 0 && resp.ContentLength != c.length && c.status != 304 && c.status != 204 {
					t.Errorf("%s %s: %d, length %d, %q", c.method, c.path, resp.StatusCode, resp.ContentLength, body)
				}
				if c.body == "" && resp.Header.Get("Content-Type") != "" && c.status != 418 {
					t.Errorf("%s %s: a content type was made up: %q", c.method, c.path, resp.Header.Get("Content-Type"))
				}
			}
		})
	}
	for _, f := range g.seen(t, 16) {
		if f.Major != 2 || f.Minor != 0 || f.TLS != (f.Scheme == "https") || f.Peer.Port() == 0 || f.Local.Port() == 0 || f.Peer.Addr() != netip.MustParseAddr("127.0.0.1") {
			t.Errorf("log phase was told %+v", f)
		}
	}
}

func TestHTTP2NoRoute(t *testing.T) {
	g := h2Start(t, http.HandlerFunc(h2Echo), nil)
	if rejected := g.Apply(&entity.Set{}); len(rejected) > 0 {
		t.Fatal(rejected)
	}
	resp, body := h2Do(t, h2Client(t), "GET", "https://"+g.secure+"/none", nil)
	want := fmt.Sprintf("{\n  \"message\":\"no Route matched with those values\",\n  \"request_id\":%q\n}", resp.Header.Get("X-Kong-Request-Id"))
	if resp.StatusCode != http.StatusNotFound || body != want || resp.Header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("%d %s %q", resp.StatusCode, resp.Header.Get("Content-Type"), body)
	}
}

func TestHTTP2Trailers(t *testing.T) {
	g := h2Start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Trailer", "X-Sum")
		_, _ = w.Write(body)
		w.Header().Set("X-Sum", r.Trailer.Get("X-Checked")+"/"+strconv.Itoa(len(body)))
		w.Header().Set(http.TrailerPrefix+"X-Unannounced", "yes")
	}), nil)
	for way, base := range g.h2Bases() {
		pr, pw := io.Pipe()
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/stream", pr)
		r.Trailer = http.Header{"X-Checked": nil}
		go func() {
			_, _ = pw.Write([]byte("12345"))
			r.Trailer.Set("X-Checked", "ok")
			_ = pw.Close()
		}()
		resp, err := h2Client(t).Do(r)
		if err != nil {
			t.Fatal(way, err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || string(body) != "12345" || resp.Trailer.Get("X-Sum") != "ok/5" || resp.Trailer.Get("X-Unannounced") != "yes" {
			t.Errorf("%s: %q %v, trailers %v", way, body, err, resp.Trailer)
		}
	}
}

func TestHTTP2StreamsAtOnce(t *testing.T) {
	const streams = 100
	var together sync.WaitGroup
	together.Add(streams)
	g := h2Start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		together.Done()
		together.Wait() // nobody is answered before all have arrived
		h2Echo(w, r)
	}), nil)
	client := h2Client(t)
	h2Do(t, client, "GET", "http://"+g.plain+"/ends", nil) // one connection for all
	var wg sync.WaitGroup
	for i := range streams {
		wg.Add(1)
		go func() {
			defer wg.Done()
			text := strings.Repeat(strconv.Itoa(i), 100+i)
			resp, body := h2Do(t, client, "POST", "http://"+g.plain+"/", strings.NewReader(text))
			if resp.StatusCode != http.StatusOK || body != text {
				t.Errorf("stream %d: %d %q", i, resp.StatusCode, body)
			}
		}()
	}
	wg.Wait()
	if n := g.Connections(); n != 1 {
		t.Errorf("%d connections are counted, want 1", n)
	}
}

func TestHTTP2Continue(t *testing.T) {
	g := h2Start(t, http.HandlerFunc(h2Echo), nil)
	client := h2Client(t)
	post := func(path string) (continued bool, status int) {
		trace := &httptrace.ClientTrace{Got100Continue: func() { continued = true }}
		r, _ := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodPost, "http://"+g.plain+path, strings.NewReader("body"))
		r.Header.Set("Expect", "100-continue")
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return continued, resp.StatusCode
	}
	if continued, status := post("/"); !continued || status != 200 {
		t.Errorf("proxied: continued %v, status %d", continued, status)
	}
	if continued, status := post("/ends"); continued || status != 418 {
		t.Errorf("ended by a plugin: continued %v, status %d", continued, status)
	}
}

// TestHTTP2Reset checks that a client's reset ends the upstream request, and
// that an upstream that breaks off resets the stream.
func TestHTTP2Reset(t *testing.T) {
	arrived, left := make(chan struct{}, 1), make(chan struct{}, 1)
	g := h2Start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/breaks" {
			_, _ = w.Write([]byte("half"))
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler) //nolint:forbidigo // net/http's way to break an answer off
		}
		arrived <- struct{}{}
		_, _ = io.Copy(io.Discard, r.Body) // only then net/http notices that its client left
		<-r.Context().Done()
		left <- struct{}{}
	}), nil)
	client := h2Client(t)
	for way, base := range g.h2Bases() {
		for _, path := range []string{"/", "/stream"} {
			ctx, cancel := context.WithCancel(t.Context())
			body, hold := io.Pipe()
			r, _ := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
			if path == "/stream" {
				r, _ = http.NewRequestWithContext(ctx, http.MethodPost, base+path, body)
			}
			failed := make(chan error, 1)
			go func() {
				resp, err := client.Do(r)
				if err == nil {
					_ = resp.Body.Close()
				}
				failed <- err
			}()
			<-arrived
			cancel()
			if err := <-failed; err == nil {
				t.Errorf("%s %s: answered", way, path)
			}
			select {
			case <-left:
			case <-time.After(h2Wait):
				t.Fatalf("%s %s: the upstream request goes on", way, path)
			}
			_ = hold.Close()
		}
		resp, err := client.Get(base + "/breaks")
		if err != nil {
			t.Fatal(way, err)
		}
		if text, err := io.ReadAll(resp.Body); err == nil || string(text) != "half" {
			t.Errorf("%s: a broken answer ends with %q, %v", way, text, err)
		}
		_ = resp.Body.Close()
		// The connection is still good.
		if resp, _ := h2Do(t, client, "GET", base+"/ends", nil); resp.StatusCode != http.StatusTeapot {
			t.Errorf("%s: %d after the resets", way, resp.StatusCode)
		}
	}
	cancelled := 0
	for _, f := range g.seen(t, 8) {
		if f.Status == 499 {
			cancelled++
		}
	}
	if cancelled != 4 {
		t.Errorf("%d requests logged with 499, want 4", cancelled)
	}
}

func TestHTTP2Curl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Log("curl is not installed; net/http's client is the only one here")
		return
	}
	if version, _ := exec.Command(curl, "-V").Output(); !strings.Contains(string(version), "HTTP2") {
		t.Log("curl has no HTTP/2")
		return
	}
	g := h2Start(t, http.HandlerFunc(h2Echo), nil)
	for _, args := range [][]string{
		{"--http2", "https://" + g.secure + "/"},
		{"--http2-prior-knowledge", "http://" + g.plain + "/"},
	} {
		out, err := exec.CommandContext(t.Context(), curl, append([]string{"-sk", "--max-time", "10", "-d", "hi", "-w", " %{http_version} %{http_code}"}, args...)...).Output()
		if err != nil || string(out) != "hi 2 200" {
			t.Errorf("curl %v: %q %v", args, out, err)
		}
	}
}
