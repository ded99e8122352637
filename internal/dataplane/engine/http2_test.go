// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/netip"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/plugins/registry"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

const h2Wait = 20 * time.Second

// h2Gateway is a started engine with a plaintext and a TLS listener.
type h2Gateway struct {
	*engine.Engine
	plain, secure string

	// facts are what the log phase saw, in order.
	mu    sync.Mutex
	facts []h2Facts
	// closed counts instances of the recording plugin that were closed.
	closed atomic.Int32
}

type h2Facts struct {
	plugin.Request
	Peer, Local netip.AddrPort
	TLS         bool
	Status      int
	ClosedEarly bool
}

type h2Host struct{ plugin.Host }

func (h2Host) Logger(string) *slog.Logger { return slog.New(slog.DiscardHandler) }
func (h2Host) Now() time.Time             { return time.Now() }

// recorder is a plugin under the name of correlation-id that notes what the
// log phase is told.
func (g *h2Gateway) recorder() plugin.Registration {
	return plugin.Registration{Name: "correlation-id", Priority: 1, Configure: func(plugin.Config) (*plugin.Phases, error) {
		var closed atomic.Bool
		return &plugin.Phases{
			Log: func(x plugin.Exchange) {
				r, c := *x.Request(), x.Client()
				for _, s := range []*string{&r.Method, &r.Scheme, &r.Authority, &r.Host, &r.Target, &r.Path, &r.Query} {
					*s = strings.Clone(*s)
				}
				g.mu.Lock()
				defer g.mu.Unlock()
				g.facts = append(g.facts, h2Facts{
					Request: r, Peer: c.Peer, Local: c.Local, TLS: c.TLS != nil, Status: x.Response().Status, ClosedEarly: closed.Load(),
				})
			},
			Close: func() { closed.Store(true); g.closed.Add(1) },
		}, nil
	}}
}

func (g *h2Gateway) seen(t *testing.T, n int) []h2Facts {
	t.Helper()
	var out []h2Facts
	h2Until(t, "the log phase", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		out = append(out[:0], g.facts...)
		return len(out) >= n
	})
	return out
}

func h2Until(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(h2Wait); !done(); {
		if now := <-tick.C; now.After(end) {
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

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

func h2Start(t *testing.T, backend http.Handler, change func(*engine.Settings)) *h2Gateway {
	t.Helper()
	upstream := httptest.NewServer(backend)
	t.Cleanup(upstream.Close)
	return h2StartAt(t, upstream.URL, change)
}

func h2Set(t *testing.T, url, header string) *entity.Set {
	t.Helper()
	set, problems := entity.Decode(fmt.Appendf(nil, h2Config, url, header), schemas.All())
	if len(problems) > 0 {
		t.Fatalf("config: %v", problems)
	}
	return set
}

func h2StartAt(t *testing.T, url string, change func(*engine.Settings)) *h2Gateway {
	t.Helper()
	g := &h2Gateway{}
	registrations := []plugin.Registration{g.recorder()}
	for _, r := range registry.All() {
		if r.Name == "request-termination" {
			registrations = append(registrations, r)
		}
	}
	catalog, err := pipeline.NewCatalog(h2Host{}, schemas.All(), registrations...)
	if err != nil {
		t.Fatal(err)
	}
	settings := engine.DefaultSettings()
	if change != nil {
		change(&settings)
	}
	g.Engine, err = engine.New(engine.Options{
		Settings: settings, Catalog: catalog, Schemas: schemas.All(), Dialer: &net.Dialer{}, Product: "kong/9",
		Logger: slog.New(slog.DiscardHandler),
		Resolve: func(context.Context, string) ([]balancer.Address, time.Time, error) {
			return []balancer.Address{{Addr: netip.MustParseAddr("127.0.0.1")}}, time.Now().Add(time.Hour), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if rejected := g.Apply(h2Set(t, url, "x-id")); len(rejected) > 0 {
		t.Fatalf("rejected: %v", rejected)
	}
	loopback := netip.MustParseAddrPort("127.0.0.1:0")
	if err := g.Listen(t.Context(), []engine.ListenSpec{{Address: loopback}, {Address: loopback, TLS: true, HTTP2: true}}); err != nil {
		t.Fatal(err)
	}
	g.plain, g.secure = g.Addresses()[0].String(), g.Addresses()[1].String()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = g.Drain(ctx)
	})
	return g
}

// h2Client speaks HTTP/2 only: with prior knowledge, or over TLS.
func h2Client(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{
		TLSClientConfig:       &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // the gateway's own certificate
		Protocols:             &http.Protocols{},
		ExpectContinueTimeout: h2Wait,
	}
	transport.Protocols.SetHTTP2(true)
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 2 * h2Wait, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// h2Bases are the two ways to the gateway.
func (g *h2Gateway) h2Bases() map[string]string {
	return map[string]string{"prior knowledge": "http://" + g.plain, "TLS": "https://" + g.secure}
}

// h2Answer is the head of an answer whose body was read.
type h2Answer struct {
	StatusCode    int
	Header        http.Header
	ContentLength int64
}

func h2Do(t *testing.T, c *http.Client, method, url string, body io.Reader, header ...string) (h2Answer, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	text, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		t.Fatalf("%s %s: body: %v", method, url, err)
	}
	if resp.ProtoMajor != 2 {
		t.Errorf("%s %s: answered with %s", method, url, resp.Proto)
	}
	return h2Answer{resp.StatusCode, resp.Header, resp.ContentLength}, string(text)
}

// h2Echo answers with the request's body and puts its head into Seen-*.
func h2Echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	for name, values := range r.Header {
		w.Header().Set("Seen-"+name, strings.Join(values, "|"))
	}
	w.Header().Set("Seen-Proto", r.Proto)
	w.Header().Set("Seen-Host", r.Host)
	w.Header().Set("Seen-Uri", r.RequestURI)
	w.Header().Set("Seen-Length", strconv.FormatInt(r.ContentLength, 10))
	if status, _ := strconv.Atoi(r.URL.Query().Get("status")); status != 0 {
		w.WriteHeader(status)
	}
	_, _ = w.Write(body)
}

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

// TestHTTP2LargeBodies moves 64 MiB each way at once and looks at the heap.
func TestHTTP2LargeBodies(t *testing.T) {
	const size = 64 << 20
	g := h2Start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.Copy(w, r.Body)
	}), nil)
	for way, base := range g.h2Bases() {
		var before, now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		piece := bytes.Repeat([]byte("0123456789abcdef"), 4<<10)
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/stream", io.LimitReader(&endless{piece: piece}, size))
		resp, err := h2Client(t).Do(r)
		if err != nil {
			t.Fatal(way, err)
		}
		var peak uint64
		var total int64
		for buf := make([]byte, 64<<10); ; {
			n, err := io.ReadFull(resp.Body, buf)
			if !bytes.Equal(buf[:n], piece[:n]) {
				t.Fatalf("%s: bytes differ after %d", way, total)
			}
			if total += int64(n); total%(8<<20) == 0 {
				runtime.ReadMemStats(&now)
				peak = max(peak, now.HeapAlloc)
			}
			if err != nil {
				break
			}
		}
		_ = resp.Body.Close()
		if total != size {
			t.Errorf("%s: %d bytes came back", way, total)
		}
		if peak > before.HeapAlloc+24<<20 {
			t.Errorf("%s: heap grew from %d to %d", way, before.HeapAlloc, peak)
		}
	}
}

type endless struct {
	piece []byte
	at    int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.piece[e.at:])
	e.at = (e.at + n) % len(e.piece)
	return n, nil
}

// TestHTTP2BackPressure has a client that does not read, and one whose
// upstream does not.
func TestHTTP2BackPressure(t *testing.T) {
	const size = 64 << 20
	var sent atomic.Int64
	release := make(chan struct{})
	g := h2Start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			<-release
			_, _ = io.Copy(io.Discard, r.Body)
			return
		}
		for piece := make([]byte, 64<<10); sent.Load() < size; sent.Add(int64(len(piece))) {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	}), nil)
	still := func(count *atomic.Int64) int64 {
		last, since := count.Load(), time.Now()
		h2Until(t, "the flow to stop", func() bool {
			if n := count.Load(); n != last {
				last, since = n, time.Now()
			}
			return last > 0 && time.Since(since) > 300*time.Millisecond
		})
		return last
	}
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+g.secure+"/", nil)
	resp, err := h2Client(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if n := still(&sent); n > size/2 {
		t.Errorf("the upstream could send %d bytes to a client that reads none", n)
	}
	if n, err := io.Copy(io.Discard, resp.Body); n != size || err != nil {
		t.Errorf("download: %d bytes, %v", n, err)
	}
	_ = resp.Body.Close()

	var read atomic.Int64
	body := &counted{r: io.LimitReader(&endless{piece: make([]byte, 64<<10)}, size), n: &read}
	done := make(chan error, 1)
	go func() {
		r, _ := http.NewRequestWithContext(context.Background(), http.MethodPost, "https://"+g.secure+"/stream", body)
		resp, err := h2Client(t).Do(r)
		if err == nil {
			_ = resp.Body.Close()
		}
		done <- err
	}()
	if n := still(&read); n > size/2 {
		t.Errorf("the client could send %d bytes to an upstream that reads none", n)
	}
	close(release)
	if err := <-done; err != nil || read.Load() != size {
		t.Errorf("upload: %d bytes, %v", read.Load(), err)
	}
}

type counted struct {
	r io.Reader
	n *atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
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

// TestHTTP2Flushes lets each side wait for the other's last word.
func TestHTTP2Flushes(t *testing.T) {
	g := h2Start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.WriteHeader(http.StatusOK)
		for buf := make([]byte, 1); ; {
			if n, err := r.Body.Read(buf); n == 1 {
				_, _ = w.Write(append(buf, '!'))
				_ = http.NewResponseController(w).Flush()
			} else if err != nil {
				return
			}
		}
	}), nil)
	for way, base := range g.h2Bases() {
		pr, pw := io.Pipe()
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/stream", pr)
		go func() { _, _ = pw.Write([]byte("a")) }()
		resp, err := h2Client(t).Do(r)
		if err != nil {
			t.Fatal(way, err)
		}
		for _, c := range "abcdef" {
			if c != 'a' {
				if _, err := pw.Write([]byte{byte(c)}); err != nil {
					t.Fatal(way, err)
				}
			}
			var got [2]byte
			if _, err := io.ReadFull(resp.Body, got[:]); err != nil || got != [2]byte{byte(c), '!'} {
				t.Fatalf("%s: %q %v", way, got, err)
			}
		}
		_ = pw.Close()
		if rest, err := io.ReadAll(resp.Body); len(rest) > 0 || err != nil {
			t.Errorf("%s: %q %v at the end", way, rest, err)
		}
		_ = resp.Body.Close()
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

func TestHTTP2Drain(t *testing.T) {
	const streams = 50
	var arrived sync.WaitGroup
	arrived.Add(streams)
	release := make(chan struct{})
	g := h2Start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived.Done()
		<-release
		h2Echo(w, r)
	}), nil)
	client, idle := h2Client(t), h2Client(t)
	h2Do(t, idle, "GET", "https://"+g.secure+"/ends", nil)
	h2Do(t, client, "GET", "https://"+g.secure+"/ends", nil)
	var wg sync.WaitGroup
	var answered atomic.Int32
	for range streams {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if resp, body := h2Do(t, client, "POST", "https://"+g.secure+"/", strings.NewReader("x")); resp.StatusCode == http.StatusOK && body == "x" {
				answered.Add(1)
			}
		}()
	}
	arrived.Wait()
	drained := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), h2Wait)
		defer cancel()
		drained <- g.Drain(ctx)
	}()
	h2Until(t, "the listener to close", func() bool {
		nc, err := net.Dial("tcp", g.secure)
		if err == nil {
			_ = nc.Close()
		}
		return err != nil
	})
	close(release)
	wg.Wait()
	if answered.Load() != streams {
		t.Errorf("%d of %d open streams were answered", answered.Load(), streams)
	}
	if err := <-drained; err != nil {
		t.Errorf("drain: %v", err)
	}
	if n := g.Connections(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

// TestHTTP2AnnouncedDrain checks that the answers of a gateway that is about to
// drain move their clients to another connection.
func TestHTTP2AnnouncedDrain(t *testing.T) {
	g := h2Start(t, http.HandlerFunc(h2Echo), nil)
	client := h2Client(t)
	h2Do(t, client, "GET", "https://"+g.secure+"/", nil)
	g.AnnounceDrain()
	for range 3 {
		h2Do(t, client, "GET", "https://"+g.secure+"/", nil)
	}
	client.CloseIdleConnections()
	h2Until(t, "the connections to close", func() bool { return g.Connections() == 0 })
	peers := map[netip.AddrPort]bool{}
	for _, f := range g.seen(t, 4) {
		peers[f.Peer] = true
	}
	if len(peers) != 3 {
		t.Errorf("4 requests came over %d connections, want 3", len(peers))
	}
}

// TestHTTP2DrainCutsOff checks that streams which do not end are cut.
func TestHTTP2DrainCutsOff(t *testing.T) {
	arrived, left := make(chan struct{}), make(chan struct{})
	g := h2Start(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(left)
	}), nil)
	failed := make(chan error, 1)
	go func() {
		_, err := h2Client(t).Get("http://" + g.plain + "/")
		failed <- err
	}()
	<-arrived
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := g.Drain(ctx); err == nil {
		t.Error("drained with an open stream")
	}
	if err := <-failed; err == nil {
		t.Error("answered")
	}
	<-left
}

// TestHTTP2KeepsInstances reloads under a stream: what it started with must not
// be closed before its log phase.
func TestHTTP2KeepsInstances(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		h2Echo(w, r)
	}))
	defer upstream.Close()
	g := h2StartAt(t, upstream.URL, nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		h2Do(t, h2Client(t), "GET", "http://"+g.plain+"/", nil)
	}()
	<-arrived
	for i := range 3 {
		if rejected := g.Apply(h2Set(t, upstream.URL, fmt.Sprint("x-id-", i))); len(rejected) > 0 {
			t.Fatal(rejected)
		}
	}
	if n := g.closed.Load(); n != 0 {
		t.Errorf("%d instances are closed under a stream", n)
	}
	close(release)
	<-done
	if f := g.seen(t, 1)[0]; f.ClosedEarly {
		t.Error("the stream's plugin was closed before its log phase")
	}
	h2Until(t, "old instances to be closed", func() bool { return g.closed.Load() == 3 })
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
