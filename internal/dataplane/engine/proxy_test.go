// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
)

// masked hides what differs from run to run.
func masked(s string, ports map[string]string) string {
	for text, name := range ports {
		s = strings.ReplaceAll(s, text, name)
	}
	s = regexp.MustCompile(`[0-9a-f]{32}`).ReplaceAllString(s, "ID")
	s = regexp.MustCompile(`(?m)^Date: .*\r$`).ReplaceAllString(s, "Date: DATE\r")
	return regexp.MustCompile(`(?m)^(X-Kong-[A-Za-z-]*-Latency): \d+`).ReplaceAllString(s, "$1: MS")
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// The bytes that go both ways, exactly.
func TestProxyGolden(t *testing.T) {
	const routes = `services:
- name: s
  url: %q
  routes:
  - {name: plain, paths: [/plain], strip_path: false}
  - {name: strip, paths: [/strip]}
  - {name: preserve, paths: [/preserve], preserve_host: true}
  - {name: stream, paths: [/stream], request_buffering: false}
`
	cases := []struct {
		name, request, upstream, answer string
		respond                         string
		trusted                         bool
	}{
		{
			name:     "get",
			request:  "GET /plain?q=1 HTTP/1.1\r\nHost: client.test\r\nUser-Agent: test\r\nConnection: close\r\n\r\n",
			upstream: "GET /plain?q=1 HTTP/1.1\r\nHost: 127.0.0.1:UP\r\nConnection: keep-alive\r\nUser-Agent: test\r\nX-Real-IP: 127.0.0.1\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: client.test\r\nX-Forwarded-Port: PORT\r\nX-Forwarded-Path: /plain\r\nVia: 1.1 kong/test\r\nX-Kong-Request-Id: ID\r\n\r\n",
			respond:  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nok",
			answer:   "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\nX-A: b\r\nX-Kong-Upstream-Latency: MS\r\nX-Kong-Proxy-Latency: MS\r\nVia: 1.1 kong/test\r\nX-Kong-Request-Id: ID\r\nServer: kong/test\r\nDate: DATE\r\n\r\nok",
		},
		{
			name:     "strip path, chunked upload with a length by the time it is sent",
			request:  "POST /strip/a HTTP/1.1\r\nHost: client.test\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
			upstream: "POST /a HTTP/1.1\r\nHost: 127.0.0.1:UP\r\nConnection: keep-alive\r\nContent-Length: 3\r\nX-Real-IP: 127.0.0.1\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: client.test\r\nX-Forwarded-Port: PORT\r\nX-Forwarded-Path: /strip/a\r\nX-Forwarded-Prefix: /strip\r\nVia: 1.1 kong/test\r\nX-Kong-Request-Id: ID\r\n\r\nabc",
			respond:  "HTTP/1.1 201 Made\r\nTransfer-Encoding: chunked\r\nDate: DATE\r\nServer: origin\r\n\r\n2\r\nok\r\n0\r\nX-T: t\r\n\r\n",
			answer:   "HTTP/1.1 201 Made\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nDate: DATE\r\nServer: origin\r\nX-Kong-Upstream-Latency: MS\r\nX-Kong-Proxy-Latency: MS\r\nVia: 1.1 kong/test\r\nX-Kong-Request-Id: ID\r\n\r\n2\r\nok\r\n0\r\nX-T: t\r\n\r\n",
		},
		{
			name:     "HTTP/1.0, a body that ends with the connection",
			request:  "GET /preserve HTTP/1.0\r\nHost: Client.test:81\r\n\r\n",
			upstream: "GET / HTTP/1.1\r\nHost: Client.test:81\r\nConnection: keep-alive\r\nX-Real-IP: 127.0.0.1\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: client.test\r\nX-Forwarded-Port: PORT\r\nX-Forwarded-Path: /preserve\r\nX-Forwarded-Prefix: /preserve\r\nVia: 1.0 kong/test\r\nX-Kong-Request-Id: ID\r\n\r\n",
			respond:  "HTTP/1.0 200 OK\r\n\r\nuntil the end",
			answer:   "HTTP/1.1 200 OK\r\nConnection: close\r\nX-Kong-Upstream-Latency: MS\r\nX-Kong-Proxy-Latency: MS\r\nVia: 1.1 kong/test\r\nX-Kong-Request-Id: ID\r\nServer: kong/test\r\nDate: DATE\r\n\r\nuntil the end",
		},
		{
			name:     "interim answers: 100 is ours to send, 103 passes",
			request:  "GET /plain HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
			upstream: "GET /plain HTTP/1.1\r\nHost: 127.0.0.1:UP\r\nConnection: keep-alive\r\nX-Real-IP: 127.0.0.1\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\nX-Forwarded-Port: PORT\r\nX-Forwarded-Path: /plain\r\nVia: 1.1 kong/test\r\nX-Kong-Request-Id: ID\r\n\r\n",
			respond:  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 204 No Content\r\nDate: DATE\r\nServer: o\r\n\r\n",
			answer:   "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 204 No Content\r\nConnection: close\r\nDate: DATE\r\nServer: o\r\nX-Kong-Upstream-Latency: MS\r\nX-Kong-Proxy-Latency: MS\r\nVia: 1.1 kong/test\r\nX-Kong-Request-Id: ID\r\n\r\n",
		},
		{
			name:     "unbuffered chunks that came with the head get a length",
			request:  "POST /stream HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\nx\r\n0\r\n\r\n",
			upstream: "POST / HTTP/1.1\r\nHost: 127.0.0.1:UP\r\nConnection: keep-alive\r\nContent-Length: 1\r\nX-Real-IP: 127.0.0.1\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\nX-Forwarded-Port: PORT\r\nX-Forwarded-Path: /stream\r\nX-Forwarded-Prefix: /stream\r\nVia: 1.1 kong/test\r\nX-Kong-Request-Id: ID\r\n\r\nx",
			respond:  "HTTP/1.1 304 Not Modified\r\nDate: DATE\r\nServer: o\r\nContent-Length: 9\r\n\r\n",
			answer:   "HTTP/1.1 304 Not Modified\r\nConnection: close\r\nContent-Length: 9\r\nDate: DATE\r\nServer: o\r\nX-Kong-Upstream-Latency: MS\r\nX-Kong-Proxy-Latency: MS\r\nVia: 1.1 kong/test\r\nX-Kong-Request-Id: ID\r\n\r\n",
		},
		{
			name:     "a trusted peer speaks for the client",
			trusted:  true,
			request:  "GET /plain HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 203.0.113.9\r\nX-Real-IP: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: front.test\r\nX-Forwarded-Port: 444\r\nX-Forwarded-Prefix: \r\nX-Envoy-A: 1\r\nConnection: close\r\n\r\n",
			upstream: "GET /plain HTTP/1.1\r\nHost: 127.0.0.1:UP\r\nConnection: keep-alive\r\nX-Envoy-A: 1\r\nX-Real-IP: 203.0.113.9\r\nX-Forwarded-For: 203.0.113.9, 127.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: front.test\r\nX-Forwarded-Port: 444\r\nX-Forwarded-Path: /plain\r\nVia: 1.1 kong/test\r\nX-Kong-Request-Id: ID\r\n\r\n",
			respond:  "HTTP/1.1 204 No Content\r\nDate: DATE\r\nServer: o\r\n\r\n",
			answer:   "HTTP/1.1 204 No Content\r\nConnection: close\r\nDate: DATE\r\nServer: o\r\nX-Kong-Upstream-Latency: MS\r\nX-Kong-Proxy-Latency: MS\r\nVia: 1.1 kong/test\r\nX-Kong-Request-Id: ID\r\n\r\n",
		},
		{
			name:     "an untrusted one does not, and names that sidecars trust are dropped",
			request:  "GET /plain HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX_Forwarded_Host: evil\r\nX-Envoy-A: 1\r\nConnection: close\r\n\r\n",
			upstream: "GET /plain HTTP/1.1\r\nHost: 127.0.0.1:UP\r\nConnection: keep-alive\r\nX-Real-IP: 127.0.0.1\r\nX-Forwarded-For: 203.0.113.9, 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\nX-Forwarded-Port: PORT\r\nX-Forwarded-Path: /plain\r\nVia: 1.1 kong/test\r\nX-Kong-Request-Id: ID\r\n\r\n",
			respond:  "HTTP/1.1 204 No Content\r\nDate: DATE\r\nServer: o\r\n\r\n",
			answer:   "HTTP/1.1 204 No Content\r\nConnection: close\r\nDate: DATE\r\nServer: o\r\nX-Kong-Upstream-Latency: MS\r\nX-Kong-Proxy-Latency: MS\r\nVia: 1.1 kong/test\r\nX-Kong-Request-Id: ID\r\n\r\n",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			heard := make(chan string, 1)
			up := script(t, func(_ int, conn net.Conn, in *bufio.Reader) {
				head := readHead(in)
				body := make([]byte, 0, 16)
				if _, length, ok := strings.Cut(head, "Content-Length: "); ok {
					n := 0
					_, _ = fmt.Sscan(length, &n)
					body = body[:n]
					_, _ = io.ReadFull(in, body)
				}
				heard <- head + string(body)
				_, _ = io.WriteString(conn, c.respond)
			})
			r := startRig(t, fmt.Sprintf(routes, up.url), rigOptions{settings: func(s *engine.Settings) {
				if c.trusted {
					prefixes, err := engine.ReadSettings(func(name string) (string, bool) { return "127.0.0.1", name == "KONG_TRUSTED_IPS" })
					if err != nil {
						t.Fatal(err)
					}
					s.TrustedIPs = prefixes.TrustedIPs
				}
			}})
			w := dialRig(t, r.plain).send(c.request)
			got, err := io.ReadAll(w.in)
			if err != nil {
				t.Fatal(err)
			}
			ports := map[string]string{"127.0.0.1:" + portOf(up.Addr().String()): "127.0.0.1:UP", "X-Forwarded-Port: " + portOf(r.plain): "X-Forwarded-Port: PORT"}
			if got := masked(string(got), ports); got != c.answer {
				t.Errorf("answer\n got %q\nwant %q", got, c.answer)
			}
			if got := masked(<-heard, ports); got != c.upstream {
				t.Errorf("upstream\n got %q\nwant %q", got, c.upstream)
			}
		})
	}
}

func TestKeepAliveAndPipelining(t *testing.T) {
	up := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.Path, body)
	})
	r := startRig(t, service(up.URL, ""), rigOptions{settings: func(s *engine.Settings) { s.KeepaliveRequests = 6 }})
	w := dialRig(t, r.plain)
	// Six requests in one write, the last one split, with bodies of both kinds.
	w.send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n" +
		"POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc" +
		"POST /3 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n" +
		"HEAD /4 HTTP/1.1\r\nHost: h\r\n\r\n" +
		"GET /5 HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n" +
		"GET /6 HTT")
	for _, c := range []struct{ method, body, connection string }{
		{"GET", "GET /1 ", "keep-alive"}, {"POST", "POST /2 abc", "keep-alive"}, {"POST", "POST /3 de", "keep-alive"},
		{"HEAD", "", "keep-alive"}, {"GET", "GET /5 ", "keep-alive"},
	} {
		a, body := w.answer(c.method)
		if a.StatusCode != 200 || body != c.body || a.Header.Get("Connection") != c.connection {
			t.Errorf("%+v: got %d %q connection %q", c, a.StatusCode, body, a.Header.Get("Connection"))
		}
	}
	w.send("P/1.1\r\nHost: h\r\n\r\nGET /7 HTTP/1.1\r\nHost: h\r\n\r\n")
	a, body := w.answer("GET")
	if body != "GET /6 " || !a.Close {
		t.Errorf("the last request of a connection: %q, close %t", body, a.Close)
	}
	w.ended()
}

func TestUpstreamConnectionsAreReused(t *testing.T) {
	up := script(t, func(_ int, c net.Conn, in *bufio.Reader) {
		for readHead(in) != "" {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
		}
	})
	r := startRig(t, service(up.url, ""), rigOptions{})
	for range 5 {
		if a, body := r.get("/"); a.StatusCode != 200 || body != "x" {
			t.Fatalf("got %d %q", a.StatusCode, body)
		}
	}
	if n := up.connections(); n != 1 {
		t.Errorf("%d connections for 5 requests one after another", n)
	}
}

func TestHeadOfLargeAnswerIsStreamed(t *testing.T) {
	const size = 5 << 20
	up := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", fmt.Sprint(size))
		}
		block := make([]byte, 64<<10)
		for i := range block {
			block[i] = byte('a' + i%26)
		}
		for sent := 0; sent < size; sent += len(block) {
			_, _ = w.Write(block)
		}
	})
	r := startRig(t, service(up.URL, ""), rigOptions{})
	for _, path := range []string{"/length", "/chunks"} {
		_, body := r.get(path)
		if len(body) != size {
			t.Errorf("%s: %d bytes, want %d", path, len(body), size)
		}
		for i := range body {
			if body[i] != byte('a'+i%(64<<10)%26) {
				t.Fatalf("%s: byte %d is %q", path, i, body[i])
			}
		}
	}
}
