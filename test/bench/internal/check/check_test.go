// SPDX-License-Identifier: Apache-2.0

package check_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/test/bench/internal/agent"
	"github.com/kong/kong-istio-gateway/test/bench/internal/check"
	"github.com/kong/kong-istio-gateway/test/bench/internal/peer"
)

var names = peer.Headers{RequestID: "x-request-id", UpstreamLatency: "x-upstream-latency", ProxyLatency: "x-proxy-latency"}

// startAgent runs an agent in this process.
func startAgent(t *testing.T) (backend string, run func(*agent.Load) *agent.Result) {
	t.Helper()
	commands, in := io.Pipe()
	out, results := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- agent.Main(commands, results) }()
	decoder := json.NewDecoder(out)
	if err := decoder.Decode(&backend); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return backend, func(load *agent.Load) *agent.Result {
		t.Helper()
		if err := json.NewEncoder(in).Encode(load); err != nil {
			t.Fatal(err)
		}
		r := &agent.Result{}
		if err := decoder.Decode(r); err != nil {
			t.Fatal(err)
		}
		return r
	}
}

// proxy is a proxy that does what is asked for, but for its faults.
type proxy struct {
	// request and answer may spoil what is passed on.
	request func(*http.Request)
	answer  func(*http.Response)
	// instead may answer in place of the backend.
	instead func(w http.ResponseWriter, r *http.Request, n int64) bool
	// twice sends some requests twice.
	twice bool
}

func (p *proxy) start(t *testing.T, backend string, protocol agent.Protocol) string {
	t.Helper()
	target, err := url.Parse("http://" + backend)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 100, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	var count atomic.Int64
	reverse := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.SetXForwarded()
		r.Out.Host = r.In.Host
		for name, value := range map[string]string{
			"X-Real-Ip": "127.0.0.1", "X-Forwarded-Path": r.In.URL.Path, "X-Forwarded-Port": "80", "Via": "1.1 test", "X-Request-Id": r.In.Header.Get("X-Test-Id"),
		} {
			r.Out.Header.Set(name, value)
		}
		r.Out.Header.Del("X-Test-Id")
		if p.request != nil {
			p.request(r.Out)
		}
	}}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := count.Add(1)
		if p.instead != nil && p.instead(w, r, n) {
			return
		}
		if p.twice && n == 5 {
			reverse.ServeHTTP(httptest.NewRecorder(), r.Clone(r.Context()))
		}
		id := fmt.Sprintf("id-%d", n)
		r.Header.Set("X-Test-Id", id)
		spoiled := *reverse
		spoiled.ModifyResponse = func(a *http.Response) error {
			for name, value := range map[string]string{"X-Request-Id": id, "Via": "1.1 test", "X-Upstream-Latency": "1", "X-Proxy-Latency": "1"} {
				a.Header.Set(name, value)
			}
			if p.answer != nil {
				p.answer(a)
			}
			return nil
		}
		spoiled.ServeHTTP(w, r)
	})
	server := httptest.NewUnstartedServer(handler)
	if protocol == agent.HTTP2 {
		server.EnableHTTP2 = true
	}
	if protocol == agent.HTTP1 {
		server.Start()
	} else {
		server.StartTLS()
	}
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func load(protocol agent.Protocol) *agent.Load {
	return &agent.Load{
		Protocol: protocol, Requests: []agent.Request{{Host: "bench.test", Path: "/bench"}},
		Connections: 4, Streams: 2, Answer: 3, Status: 200, Warmup: 20 * time.Millisecond, Window: 100 * time.Millisecond, AtLeast: 1, LoadCore: 1,
	}
}

func changeBody(a *http.Response, body string) {
	_ = a.Body.Close()
	a.Body = io.NopCloser(strings.NewReader(body))
	a.Header.Set("Content-Length", strconv.Itoa(len(body)))
	a.ContentLength = int64(len(body))
}

// A measurement counts only when the proxy does all of the work, rightly.
func TestFaultsAreFound(t *testing.T) {
	plain, keyed, correlated := &peer.Site{}, &peer.Site{KeyAuth: true}, &peer.Site{Correlation: true}
	for _, c := range []struct {
		name     string
		proxy    proxy
		site     *peer.Site
		change   func(*agent.Load)
		protocol agent.Protocol
		want     string // of the error; none if ""
	}{
		{name: "nothing"},
		{name: "nothing, over TLS", protocol: agent.TLS},
		{name: "nothing, handshakes", protocol: agent.Handshakes},
		{name: "nothing, in HTTP/2", protocol: agent.HTTP2},
		{name: "nothing, open loop", change: func(l *agent.Load) { l.Rate = 500 }},
		{name: "nothing, upload", change: func(l *agent.Load) { l.Requests[0].Body = 100_000 }},
		{name: "nothing, download", change: func(l *agent.Load) { l.Answer = 100_000 }},
		{name: "request header dropped", proxy: proxy{request: func(r *http.Request) { r.Header.Del("X-Real-Ip") }}, want: "x-real-ip"},
		{name: "request header dropped, over TLS", proxy: proxy{request: func(r *http.Request) { r.Header.Del("Via") }}, protocol: agent.TLS, want: "via"},
		{name: "request header dropped, in HTTP/2", proxy: proxy{request: func(r *http.Request) { r.Header.Del("Via") }}, protocol: agent.HTTP2, want: "via"},
		{name: "client's header dropped", proxy: proxy{request: func(r *http.Request) { r.Header.Del("Accept") }}, want: "accept"},
		{name: "host changed", proxy: proxy{request: func(r *http.Request) { r.Host = "other" }}, want: "was not sent"},
		{name: "wrong forwarded path", proxy: proxy{request: func(r *http.Request) { r.Header.Set("X-Forwarded-Path", "/") }}, want: "x-forwarded-path"},
		{name: "same id always", proxy: proxy{request: func(r *http.Request) { r.Header.Set("X-Request-Id", "1") }}, want: "id"},
		{name: "answer header dropped", proxy: proxy{answer: func(a *http.Response) { a.Header.Del("Via") }}, want: "via is missing"},
		{name: "answer header dropped, in HTTP/2", proxy: proxy{answer: func(a *http.Response) { a.Header.Del("Via") }}, protocol: agent.HTTP2, want: "via is missing"},
		{name: "id of another request", proxy: proxy{answer: func(a *http.Response) { a.Header.Set("X-Request-Id", "other") }}, want: "request id"},
		{name: "longer body", proxy: proxy{answer: func(a *http.Response) { changeBody(a, "abcd") }}, want: "has 4 bytes"},
		{name: "longer body, in HTTP/2", proxy: proxy{answer: func(a *http.Response) { changeBody(a, "abcd") }}, protocol: agent.HTTP2, want: "has 4 bytes"},
		{name: "wrong status", proxy: proxy{answer: func(a *http.Response) { a.StatusCode = 502 }}, want: "502"},
		{name: "wrong status, in HTTP/2", proxy: proxy{answer: func(a *http.Response) { a.StatusCode = 502 }}, protocol: agent.HTTP2, want: "502"},
		{name: "answered from a cache", proxy: proxy{instead: func(w http.ResponseWriter, _ *http.Request, n int64) bool {
			if n%10 != 0 {
				return false
			}
			_, _ = w.Write([]byte("abc"))
			return true
		}}, want: "arrived at the backend"},
		{name: "sent twice", proxy: proxy{twice: true}, want: "arrived at the backend"},
		{name: "connection closed", proxy: proxy{answer: func(a *http.Response) { a.Header.Set("Connection", "close") }}, want: "ends the connection"},
		{name: "body cut", proxy: proxy{request: func(r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(make([]byte, 50))), 50
		}}, change: func(l *agent.Load) { l.Requests[0].Body = 100 }, want: "bytes of bodies"},
		{name: "chunked body", proxy: proxy{request: func(r *http.Request) { r.ContentLength = -1 }},
			change: func(l *agent.Load) { l.Requests[0].Body = 100 }, want: "Transfer-Encoding"},
		{name: "no consumer", site: keyed, want: "x-consumer-username"},
		{name: "no correlation id", site: correlated, want: "kong-request-id"},
		{name: "nobody listens", change: func(l *agent.Load) { l.Target = "127.0.0.1:1" }, want: "connect"},
	} {
		t.Run(c.name, func(t *testing.T) {
			backend, run := startAgent(t)
			if c.protocol == "" {
				c.protocol = agent.HTTP1
			}
			if c.site == nil {
				c.site = plain
			}
			l := load(c.protocol)
			l.Target = c.proxy.start(t, backend, c.protocol)
			if c.change != nil {
				c.change(l)
			}
			expect := check.Expectation{Headers: names, Site: c.site, Load: l}
			err := expect.Result(run(l))
			switch {
			case c.want == "" && err != nil:
				t.Fatalf("a proxy without faults is refused: %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Fatalf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

// A request that the proxy must refuse may not arrive.
func TestRefusedRequestsStay(t *testing.T) {
	backend, run := startAgent(t)
	refuse := func(w http.ResponseWriter, _ *http.Request, _ int64) bool {
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	for name, c := range map[string]struct {
		proxy proxy
		want  bool
	}{
		"refused": {proxy{instead: refuse}, true},
		"passed":  {proxy{answer: func(a *http.Response) { a.StatusCode = http.StatusUnauthorized }}, false},
	} {
		l := load(agent.HTTP1)
		l.Status, l.AnswerAny, l.Target = http.StatusUnauthorized, true, c.proxy.start(t, backend, agent.HTTP1)
		expect := check.Expectation{Headers: names, Site: &peer.Site{}, Load: l, Refused: true}
		if err := expect.Result(run(l)); (err == nil) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}
