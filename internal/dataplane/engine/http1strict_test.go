// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// refusal is a message that must be refused, and how.
type refusal struct {
	name, request string
	status        int
}

// withBody is a POST with these fields and this body.
func withBody(fields, body string) string {
	return "POST / HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n" + body
}

// withFields is a GET with these fields.
func withFields(fields string) string { return "GET / HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n" }

const chunkedField = "Transfer-Encoding: chunked\r\n"

var long = strings.Repeat("x", 9<<10)

// strictness has a rule in each entry: what is ambiguous, malformed or too large
// is answered, never forwarded, and ends the connection.
var strictness = map[string][]refusal{
	"Content-Length": {
		{"repeated", withBody("Content-Length: 1\r\nContent-Length: 1\r\n", "x"), 400},
		{"conflicting", withBody("Content-Length: 1\r\nContent-Length: 2\r\n", "xy"), 400},
		{"list", withBody("Content-Length: 1, 1\r\n", "x"), 400},
		{"signed", withBody("Content-Length: +1\r\n", "x"), 400},
		{"negative", withBody("Content-Length: -1\r\n", "x"), 400},
		{"hexadecimal", withBody("Content-Length: 0x1\r\n", "x"), 400},
		{"empty", withBody("Content-Length:\r\n", "x"), 400},
		{"overflow", withBody("Content-Length: 18446744073709551617\r\n", "x"), 400},
		{"blank inside", withBody("Content-Length: 1 1\r\n", "x"), 400},
		{"underscore", withBody("Content_Length: 1\r\n", "x"), 400},
	},
	"Transfer-Encoding": {
		{"with Content-Length", withBody("Content-Length: 1\r\n"+chunkedField, "0\r\n\r\n"), 400},
		{"before Content-Length", withBody(chunkedField+"Content-Length: 1\r\n", "0\r\n\r\n"), 400},
		{"other coding", withBody("Transfer-Encoding: gzip\r\n", "x"), 501},
		{"chunked not last", withBody("Transfer-Encoding: chunked, gzip\r\n", "x"), 501},
		{"another before chunked", withBody("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 501},
		{"chunked twice", withBody("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), 501},
		{"two fields", withBody(chunkedField+chunkedField, "0\r\n\r\n"), 400},
		{"identity", withBody("Transfer-Encoding: identity\r\n", "x"), 501},
		{"quoted", withBody("Transfer-Encoding: \"chunked\"\r\n", "x"), 501},
		{"vertical tab", withBody("Transfer-Encoding: \vchunked\r\n", "0\r\n\r\n"), 400},
		{"underscore", withBody("Transfer_Encoding: chunked\r\n", "0\r\n\r\n"), 400},
		{"in HTTP/1.0", "POST / HTTP/1.0\r\nHost: h\r\n" + chunkedField + "\r\n0\r\n\r\n", 400},
	},
	"obs-fold": {
		{"blank", withFields("A: b\r\n c\r\n"), 400},
		{"tab", withFields("A: b\r\n\tc\r\n"), 400},
		{"of the first field", "GET / HTTP/1.1\r\n Host: h\r\n\r\n", 400},
		{"of Transfer-Encoding", withBody("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"), 400},
		{"in trailers", withBody(chunkedField, "0\r\nA: b\r\n c\r\n\r\n"), 400},
	},
	"bare CR or LF": {
		{"LF lines", "GET / HTTP/1.1\nHost: h\n\n", 400},
		{"LF behind the request line", "GET / HTTP/1.1\nHost: h\r\n\r\n", 400},
		{"LF behind a field", withFields("A: b\nC: d\r\n"), 400},
		{"LF as the end", "GET / HTTP/1.1\r\nHost: h\r\n\n", 400},
		{"LF in the target", "GET /\nX: HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"CR in a value", withFields("A: b\rC: d\r\n"), 400},
		{"CR before the end", withFields("A: b\r\r\n"), 400},
		{"CR as the end", "GET / HTTP/1.1\r\nHost: h\r\n\rX", 400},
		{"CR in the request line", "GET /\r HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"LF behind a chunk size", withBody(chunkedField, "1\nx\r\n0\r\n\r\n"), 400},
		{"LF behind a chunk", withBody(chunkedField, "1\r\nx\n0\r\n\r\n"), 400},
		{"LF behind the last chunk", withBody(chunkedField, "0\r\n\n"), 400},
	},
	"control characters": {
		{"no request at all", "\x00\x01\r\n\r\n", 400},
		{"NUL in a value", withFields("A: \x00\r\n"), 400},
		{"NUL in a name", withFields("A\x00: b\r\n"), 400},
		{"NUL in the target", "GET /\x00 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"escaped NUL in the path", "GET /%00 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"DEL", withFields("A: b\x7f\r\n"), 400},
		{"BEL", withFields("A: b\a\r\n"), 400},
		{"escape", withFields("A: \x1b[31m\r\n"), 400},
		{"form feed in a name", withFields("A\f: b\r\n"), 400},
		{"tab in the target", "GET /\t HTTP/1.1\r\nHost: h\r\n\r\n", 400},
	},
	"names": {
		{"blank before the colon", withFields("A : b\r\n"), 400},
		{"tab before the colon", withFields("A\t: b\r\n"), 400},
		{"blank before the colon of Content-Length", withBody("Content-Length : 1\r\n", "x"), 400},
		{"empty", withFields(": b\r\n"), 400},
		{"no colon", withFields("A\r\n"), 400},
		{"not a token", withFields("A[b]: c\r\n"), 400},
		{"8 bits", withFields("\xc3\xa4: c\r\n"), 400},
	},
	"chunks": {
		{"no size", withBody(chunkedField, "\r\nx\r\n0\r\n\r\n"), 400},
		{"no digits", withBody(chunkedField, "zz\r\n"), 400},
		{"sign", withBody(chunkedField, "+1\r\nx\r\n0\r\n\r\n"), 400},
		{"0x", withBody(chunkedField, "0x1\r\nx\r\n0\r\n\r\n"), 400},
		{"underscore", withBody(chunkedField, "1_0\r\n"), 400},
		{"blank before the size", withBody(chunkedField, " 1\r\nx\r\n0\r\n\r\n"), 400},
		{"blank behind the size", withBody(chunkedField, "1 \r\nx\r\n0\r\n\r\n"), 400},
		{"overflow", withBody(chunkedField, "ffffffffffffffffff\r\n"), 400},
		{"too much data", withBody(chunkedField, "1\r\nxy\r\n0\r\n\r\n"), 400},
		{"too little data", withBody(chunkedField, "2\r\nx\r\n0\r\n\r\n"), 400},
		{"extension without a name", withBody(chunkedField, "1;\r\nx\r\n0\r\n\r\n"), 400},
		{"extension without a value", withBody(chunkedField, "1;a=\r\nx\r\n0\r\n\r\n"), 400},
		{"LF in an extension", withBody(chunkedField, "1;a\nx\r\n0\r\n\r\n"), 400},
		{"CRLF in a quoted extension", withBody(chunkedField, "1;a=\"\r\n\"\r\nx\r\n0\r\n\r\n"), 400},
		{"trailer that is no field", withBody(chunkedField, "0\r\nA\r\n\r\n"), 400},
	},
	"fields that are there once": {
		{"two Sec-WebSocket-Key", withFields("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"), 400},
		{"two Authorization", withFields("Authorization: Basic YQ==\r\nAuthorization: Basic Yg==\r\n"), 400},
	},
	"size": {
		{"request line", "GET /" + long + " HTTP/1.1\r\nHost: h\r\n\r\n", 414},
		{"method", long + " / HTTP/1.1\r\nHost: h\r\n\r\n", 414},
		{"field", withFields("A: " + long + "\r\n"), 400},
		{"name", withFields(long + ": a\r\n"), 400},
		{"fields together", withFields(strings.Repeat("A: "+long[:4000]+"\r\n", 9)), 400},
		{"number of fields", withFields(strings.Repeat("A: b\r\n", 50)), 400},
		{"empty lines", strings.Repeat("\r\n", 100) + withFields(""), 400},
		{"body", withBody("Content-Length: 1025\r\n", ""), 413},
		{"chunks", withBody(chunkedField, "401\r\n"+long[:1025]+"\r\n0\r\n\r\n"), 413},
		{"many chunks", withBody(chunkedField, strings.Repeat("40\r\n"+long[:64]+"\r\n", 17)+"0\r\n\r\n"), 413},
		{"extension", withBody(chunkedField, "1;a="+long+"\r\nx\r\n0\r\n\r\n"), 400},
		{"extensions together", withBody(chunkedField, strings.Repeat("1;a="+long[:3000]+"\r\nx\r\n", 6)), 400},
		{"trailers", withBody(chunkedField, "0\r\n"+strings.Repeat("A: "+long[:1000]+"\r\n", 9)+"\r\n"), 400},
	},
	"request line": {
		{"method is no token", "GE(T / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"no method", " / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"CONNECT", "CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"CONNECT with a path", "CONNECT / HTTP/1.1\r\nHost: h\r\n\r\n", 405},
		{"TRACE", "TRACE / HTTP/1.1\r\nHost: h\r\n\r\n", 405},
		{"HTTP/2 in HTTP/1", "GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505},
		{"HTTP/0.9", "GET /\r\n\r\n", 400},
		{"lower-case version", "GET / http/1.1\r\nHost: h\r\n\r\n", 400},
		{"blank behind the version", "GET / HTTP/1.1 \r\nHost: h\r\n\r\n", 400},
		{"two blanks", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"blank in the target", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"no slash", "GET a HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"asterisk", "GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"fragment", "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"malformed escape", "GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"above the root", "GET /a/../../b HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"other scheme", "GET gopher://h/ HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"userinfo", "GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n", 400},
	},
	"Host": {
		{"two", withFields("Host: h\r\n"), 400},
		{"two different", withFields("Host: other\r\n"), 400},
		{"none", "GET / HTTP/1.1\r\n\r\n", 400},
		{"none with an absolute target", "GET http://h/ HTTP/1.1\r\n\r\n", 400},
		{"empty", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400},
		{"list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400},
		{"userinfo", "GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", 400},
		{"path", "GET / HTTP/1.1\r\nHost: h/a\r\n\r\n", 400},
		{"port out of range", "GET / HTTP/1.1\r\nHost: h:65536\r\n\r\n", 400},
	},
}

func TestHTTP1Strictness(t *testing.T) {
	var forwarded atomic.Int32
	up := serve(t, func(http.ResponseWriter, *http.Request) { forwarded.Add(1) })
	r := startRig(t, service(up.URL, ""), rigOptions{settings: func(s *engine.Settings) { s.ClientMaxBodySize, s.MaxHeaders = 1<<10, 50 }})
	for rule, cases := range strictness {
		t.Run(rule, func(t *testing.T) {
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) {
					r.refuses(t, dialRig(t, r.plain), c)
					r.refuses(t, wrap(t, secured(t, r.secure, "")), c)
				})
			}
		})
	}
	if n := forwarded.Load(); n != 0 {
		t.Errorf("%d requests reached the upstream", n)
	}
}

// refuses sends a message and, behind it, a request that nobody must see.
func (r *rig) refuses(t *testing.T, w *wire, c refusal) {
	t.Helper()
	// The connection may be over before all of it was sent.
	_, _ = io.WriteString(w, c.request+"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
	a, body := w.answer("GET")
	if a.StatusCode != c.status || !a.Close || !strings.Contains(body, "request_id: "+a.Header.Get("X-Kong-Request-Id")) {
		t.Errorf("got %d, close %t, %q; want %d", a.StatusCode, a.Close, body, c.status)
	}
	w.ended()
}

// What the engine's headers say cannot be taken away by a client, and what only
// sidecars may say cannot be said by one.
func TestHTTP1Trust(t *testing.T) {
	seen := make(chan http.Header, 1)
	up := serve(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header })
	var shown sync.Map
	access := func() *plugin.Phases {
		return &plugin.Phases{
			Rewrite: func(x plugin.Exchange) {
				x.Header().Each(func(name, _ string) bool {
					shown.Store(strings.ToLower(strings.Clone(name)), true)
					return true
				})
			},
			Access: func(x plugin.Exchange) {
				x.Header().Set("X-Consumer-Username", "alice")
				x.Header().Del("X-Secret-Group")
			},
		}
	}
	config := service(up.URL, "plugins: [{name: probe-1, config: {tag: a}}]\n")
	r := startRig(t, config, rigOptions{plugins: probes{"probe-1": access}})
	set := []string{"X-Real-Ip", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Path",
		"Via", "X-Kong-Request-Id", "X-Consumer-Username"}
	fields := "Connection: " + strings.Join(set, ", ") + ", x_real_ip, x_consumer_username, x_kong_request_id\r\n" +
		"X-Envoy-Original-Path: /admin\r\nx_envoy_internal: 1\r\nX-Forwarded-Client-Cert: By=spiffe\r\nx_forwarded_client_cert: By\r\nX-Istio-Attributes: a\r\n" +
		"X-Secret-Group: a\r\nx_secret_group: b\r\nX_SECRET-group: c\r\nX-Kept: d\r\n" +
		"Keep-Alive: 5\r\nProxy-Connection: keep-alive\r\nTE: gzip\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
	w := dialRig(t, r.plain).send(withFields(fields))
	if a, _ := w.answer("GET"); a.StatusCode != 200 {
		t.Fatalf("got %d", a.StatusCode)
	}
	got := <-seen
	for _, name := range set {
		if len(got.Values(name)) != 1 || got.Get(name) == "" {
			t.Errorf("%s is %q upstream", name, got.Values(name))
		}
	}
	if got.Get("X-Kept") != "d" {
		t.Errorf("X-Kept is %q upstream", got.Values("X-Kept"))
	}
	for name := range got {
		loose := strings.ReplaceAll(strings.ToLower(name), "_", "-")
		if strings.HasPrefix(loose, "x-envoy-") || strings.HasPrefix(loose, "x-istio-") ||
			slices.Contains([]string{"x-forwarded-client-cert", "x-secret-group", "keep-alive", "proxy-connection", "te", "upgrade", "http2-settings"}, loose) {
			t.Errorf("%s reached the upstream", name)
		}
		if strings.Contains(name, "_") {
			t.Errorf("%s is another spelling of what was cleared", name)
		}
	}
	for _, name := range []string{"x-envoy-original-path", "x_envoy_internal", "x-forwarded-client-cert", "x_forwarded_client_cert", "x-istio-attributes"} {
		if _, ok := shown.Load(name); ok {
			t.Errorf("a plugin saw %s", name)
		}
	}
}

// Requests that follow each other without a pause are answered one by one, in
// order, whatever their bodies look like.
func TestPipelining(t *testing.T) {
	up := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.Path, body)
	})
	r := startRig(t, service(up.URL, ""), rigOptions{})
	inner := "GET /inner HTTP/1.1\r\nHost: h\r\n\r\n"
	requests := []struct{ text, want string }{
		{"GET /1 HTTP/1.1\r\nHost: h\r\n\r\n", "GET /1 "},
		{fmt.Sprintf("POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", len(inner), inner), "POST /2 " + inner},
		{fmt.Sprintf("POST /3 HTTP/1.1\r\nHost: h\r\n%s\r\n%x\r\n%s\r\n0\r\nA: b\r\n\r\n", chunkedField, len(inner), inner), "POST /3 " + inner},
		{"POST /4 HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", "POST /4 "},
		{"\r\nGET /5 HTTP/1.1\r\nHost: h\r\n\r\n", "GET /5 "},
		{"GET /6 HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody", "GET /6 body"},
		{"GET /7 HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n", "GET /7 "},
		{"POST /8 HTTP/1.1\r\nHost: h\r\nContent-Length: 20000\r\n\r\n" + strings.Repeat("y", 20000), "POST /8 " + strings.Repeat("y", 20000)},
	}
	all := ""
	for _, q := range requests {
		all += q.text
	}
	check := func(t *testing.T, w *wire) {
		t.Helper()
		for _, q := range requests {
			if a, body := w.answer("GET"); a.StatusCode != 200 || body != q.want {
				t.Fatalf("got %d %.60q, want %.60q", a.StatusCode, body, q.want)
			}
		}
	}
	t.Run("at once", func(t *testing.T) { check(t, dialRig(t, r.plain).send(all)) })
	t.Run("byte by byte", func(t *testing.T) {
		w := dialRig(t, r.plain)
		go func() {
			for i := range len(all) {
				if i > 900 {
					_, _ = io.WriteString(w, all[i:])
					return
				}
				_, _ = io.WriteString(w, all[i:i+1])
			}
		}()
		check(t, w)
	})
	t.Run("TLS", func(t *testing.T) { check(t, wrap(t, secured(t, r.secure, "")).send(all)) })
	t.Run("up to a refusal", func(t *testing.T) {
		w := dialRig(t, r.plain).send(requests[0].text + requests[1].text + "GET / HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n" + requests[0].text)
		for _, q := range requests[:2] {
			if a, body := w.answer("GET"); a.StatusCode != 200 || body != q.want {
				t.Fatalf("got %d %q", a.StatusCode, body)
			}
		}
		if a, _ := w.answer("GET"); a.StatusCode != 400 || !a.Close {
			t.Errorf("got %d, close %t", a.StatusCode, a.Close)
		}
		w.ended()
	})
	t.Run("up to the last that is wanted", func(t *testing.T) {
		w := dialRig(t, r.plain).send("GET /1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" + requests[0].text)
		if a, body := w.answer("GET"); body != "GET /1 " || !a.Close {
			t.Errorf("got %q, close %t", body, a.Close)
		}
		w.ended()
	})
}

// A body that was not read is never taken for the next request.
func TestUnreadBodyIsNoRequest(t *testing.T) {
	var forwarded atomic.Int32
	up := serve(t, func(http.ResponseWriter, *http.Request) { forwarded.Add(1) })
	exits := func() *plugin.Phases {
		return &plugin.Phases{Access: func(x plugin.Exchange) { x.Exit(plugin.Reply{Status: 403}) }}
	}
	r := startRig(t, service(up.URL, "plugins: [{name: probe-1, config: {tag: a}}]\n"), rigOptions{plugins: probes{"probe-1": exits}})
	inner := "GET /inner HTTP/1.1\r\nHost: h\r\n\r\n"
	for name, request := range map[string]string{
		"length":        fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", len(inner), inner),
		"chunked":       fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", chunkedField, len(inner), inner),
		"broken chunks": withBody(chunkedField, "zz\r\n"+inner),
		"expected":      fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n%s", len(inner), inner),
	} {
		t.Run(name, func(t *testing.T) {
			w := dialRig(t, r.plain).send(request)
			if a, _ := w.answer("POST"); a.StatusCode != 403 {
				t.Errorf("got %d", a.StatusCode)
			}
			// Either the connection ends here, or the body was passed over.
			_, _ = io.WriteString(w, "GET /next HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
			rest, _ := io.ReadAll(w.in)
			if n := strings.Count(string(rest), "HTTP/1.1 403"); n > 1 {
				t.Errorf("the body was taken for a request: %q", rest)
			}
		})
	}
	if n := forwarded.Load(); n != 0 {
		t.Errorf("%d requests reached the upstream", n)
	}
}
