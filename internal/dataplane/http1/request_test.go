// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// requestCases are complete messages; refused ones name the fault.
var requestCases = []struct {
	name, raw string
	fault     fault
}{
	{"plain", "GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n", faultNone},
	{"no fields but Host", "GET / HTTP/1.1\r\nhost:x\r\n\r\n", faultNone},
	{"HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", faultNone},
	{"higher minor version", "GET / HTTP/1.7\r\nHost: x\r\n\r\n", faultNone},
	{"empty lines first", "\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", faultNone},
	{"many empty lines", strings.Repeat("\r\n", 9) + "GET / HTTP/1.1\r\nHost: x\r\n\r\n", faultEmptyLines},
	{"empty line with bare LF", "\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", faultMethod},
	{"empty line with bare CR", "\rGET / HTTP/1.1\r\nHost: x\r\n\r\n", faultBareCR},
	{"blank first", " GET / HTTP/1.1\r\nHost: x\r\n\r\n", faultMethod},
	{"method is no token", "GE(T / HTTP/1.1\r\nHost: x\r\n\r\n", faultMethod},
	{"TLS handshake", "\x16\x03\x01\x02\x00\x01", faultMethod},
	{"tab behind method", "GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n", faultMethod},
	{"two blanks", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", faultRequestLine},
	{"no version", "GET /\r\nHost: x\r\n\r\n", faultRequestLine},
	{"blank in target", "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", faultVersion},
	{"tab in target", "GET /a\tb HTTP/1.1\r\nHost: x\r\n\r\n", faultRequestLine},
	{"NUL in target", "GET /a\x00b HTTP/1.1\r\nHost: x\r\n\r\n", faultRequestLine},
	{"DEL in target", "GET /a\x7fb HTTP/1.1\r\nHost: x\r\n\r\n", faultRequestLine},
	{"fragment", "GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n", faultTarget},
	{"fragment behind query", "GET /a?b#c HTTP/1.1\r\nHost: x\r\n\r\n", faultTarget},
	{"target without slash", "GET a HTTP/1.1\r\nHost: x\r\n\r\n", faultTarget},
	{"other scheme", "GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n", faultTarget},
	{"userinfo in target", "GET http://u@x/ HTTP/1.1\r\nHost: x\r\n\r\n", faultTarget},
	{"empty authority", "GET http:///a HTTP/1.1\r\nHost: x\r\n\r\n", faultTarget},
	{"asterisk with GET", "GET * HTTP/1.1\r\nHost: x\r\n\r\n", faultTarget},
	{"asterisk", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", faultNone},
	{"CONNECT", "CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", faultConnect},
	{"CONNECT with a path", "CONNECT / HTTP/1.1\r\nHost: x\r\n\r\n", faultMethodRefused},
	{"TRACE", "TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", faultMethodRefused},
	{"HTTP/2 preface", HTTP2Preface, faultTarget},
	{"malformed escape", "GET /a%2 HTTP/1.1\r\nHost: x\r\n\r\n", faultPath},
	{"malformed escape in query", "GET /a?%zz HTTP/1.1\r\nHost: x\r\n\r\n", faultNone},
	{"escaped NUL", "GET /a%00 HTTP/1.1\r\nHost: x\r\n\r\n", faultPath},
	{"above the root", "GET /a/../../b HTTP/1.1\r\nHost: x\r\n\r\n", faultPath},
	{"above the root, escaped", "GET /a%2f%2e%2E/.%2e/b HTTP/1.1\r\nHost: x\r\n\r\n", faultPath},
	{"down to the root", "GET /a//../b/./.. HTTP/1.1\r\nHost: x\r\n\r\n", faultNone},
	{"HTTP/0.9", "GET / HTTP/0.9\r\nHost: x\r\n\r\n", faultVersion},
	{"HTTP/2.0", "GET / HTTP/2.0\r\nHost: x\r\n\r\n", faultUnsupportedVersion},
	{"lower-case version", "GET / http/1.1\r\nHost: x\r\n\r\n", faultVersion},
	{"two-digit version", "GET / HTTP/1.10\r\nHost: x\r\n\r\n", faultVersion},
	{"blank behind version", "GET / HTTP/1.1 \r\nHost: x\r\n\r\n", faultVersion},
	{"bare LF behind version", "GET / HTTP/1.1\nHost: x\r\n\r\n", faultBareLF},
	{"bare CR behind version", "GET / HTTP/1.1\rHost: x\r\n\r\n", faultBareCR},
	{"long request line", "GET /" + strings.Repeat("a", 8<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", faultURITooLong},
	{"longest request line", "GET /" + strings.Repeat("a", 8<<10-16) + " HTTP/1.1\r\nHost: x\r\n\r\n", faultNone},
	{"one over the longest request line", "GET /" + strings.Repeat("a", 8<<10-15) + " HTTP/1.1\r\nHost: x\r\n\r\n", faultURITooLong},

	{"bare LF behind a field", "GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", faultBareLF},
	{"bare CR in a value", "GET / HTTP/1.1\r\nHost: x\rA: b\r\n\r\n", faultBareCR},
	{"bare LF as the end", "GET / HTTP/1.1\r\nHost: x\r\n\n", faultBareLF},
	{"bare CR as the end", "GET / HTTP/1.1\r\nHost: x\r\n\rx", faultBareCR},
	{"NUL in a value", "GET / HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n", faultValue},
	{"BEL in a long value", "GET / HTTP/1.1\r\nHost: x\r\nA: 0123456789abcdef\a\r\n\r\n", faultValue},
	{"DEL in a value", "GET / HTTP/1.1\r\nHost: x\r\nA: b\x7f\r\n\r\n", faultValue},
	{"tab and obs-text in a value", "GET / HTTP/1.1\r\nHost: x\r\nA: \t0123456789\t\tb\xfc\t\r\n\r\n", faultNone},
	{"obs-fold", "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", faultFold},
	{"first line with a blank", "GET / HTTP/1.1\r\n Host: x\r\n\r\n", faultFold},
	{"blank before colon", "GET / HTTP/1.1\r\nHost : x\r\n\r\n", faultBlankBeforeColon},
	{"no name", "GET / HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n", faultName},
	{"no colon", "GET / HTTP/1.1\r\nHost: x\r\nA\r\n\r\n", faultName},
	{"name is no token", "GET / HTTP/1.1\r\nHost: x\r\nA[b]: c\r\n\r\n", faultName},
	{"8-bit name", "GET / HTTP/1.1\r\nHost: x\r\n\xc3\xa4: c\r\n\r\n", faultName},
	{"empty value", "GET / HTTP/1.1\r\nHost: x\r\nA:\r\nB: \t \r\n\r\n", faultNone},
	{"long header line", "GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 8<<10) + "\r\n\r\n", faultHeadTooLarge},
	{"longest header line", "GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 8<<10-5) + "\r\n\r\n", faultNone},
	{"one over the longest header line", "GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 8<<10-4) + "\r\n\r\n", faultHeadTooLarge},
	{"long head", "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("A: "+strings.Repeat("a", 4000)+"\r\n", 9) + "\r\n", faultHeadTooLarge},
	{"1000 fields", "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("A:\r\n", 999) + "\r\n", faultNone},
	{"1001 fields", "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("A:\r\n", 1000) + "\r\n", faultHeadTooLarge},

	{"no Host", "GET / HTTP/1.1\r\nA: b\r\n\r\n", faultNoHost},
	{"no Host with absolute form", "GET http://x/ HTTP/1.1\r\n\r\n", faultNoHost},
	{"two Hosts", "GET / HTTP/1.1\r\nHost: x\r\nHOST: x\r\n\r\n", faultTwoHosts},
	{"two Authorizations", "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: a\r\nauthorization: a\r\n\r\n", faultRepeated},
	{"two If-Modified-Since", "GET / HTTP/1.1\r\nHost: x\r\nIf-Modified-Since: a\r\nIf-Modified-Since: b\r\n\r\n", faultRepeated},
	{"two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n", faultTwoHosts},
	{"empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", faultHost},
	{"userinfo in Host", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", faultHost},
	{"path in Host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", faultHost},
	{"empty label in Host", "GET / HTTP/1.1\r\nHost: a..b\r\n\r\n", faultHost},
	{"8-bit Host", "GET / HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n", faultHost},
	{"port is no number", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", faultHost},
	{"port out of range", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", faultHost},
	{"only a port", "GET / HTTP/1.1\r\nHost: :80\r\n\r\n", faultHost},
	{"IPv6 Host", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", faultNone},
	{"no address in brackets", "GET / HTTP/1.1\r\nHost: [:g]\r\n\r\n", faultHost},
	{"escape in Host", "GET / HTTP/1.1\r\nHost: a%41b\r\n\r\n", faultNone},
	{"malformed escape in Host", "GET / HTTP/1.1\r\nHost: a%4\r\n\r\n", faultHost},
	{"open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", faultHost},
	{"text behind bracket", "GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", faultHost},
	{"bad Host under absolute form", "GET http://x/ HTTP/1.1\r\nHost: a@b\r\n\r\n", faultHost},

	{"repeated equal lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", faultTwoLengths},
	{"conflicting lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", faultTwoLengths},
	{"list of lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\n", faultLength},
	{"signed length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n", faultLength},
	{"empty length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n", faultLength},
	{"hex length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x1\r\n\r\n", faultLength},
	{"length overflows", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9223372036854775808\r\n\r\n", faultLength},
	{"length overflows twice", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551617\r\n\r\n", faultLength},
	{"largest length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9223372036854775807\r\n\r\n", faultNone},
	{"length and coding", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", faultLengthAndCoding},
	{"two codings", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", faultTwoCodings},
	{"chunked twice", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", faultCoding},
	{"chunked not last", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", faultCoding},
	{"gzip and chunked", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", faultCoding},
	{"identity", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n", faultCoding},
	{"empty coding", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n\r\n", faultCoding},
	{"coding in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", faultCodingVersion},
	{"coding with underscore", "POST / HTTP/1.1\r\nHost: x\r\nTransfer_Encoding: chunked\r\n\r\n", faultUnderscoreFraming},
	{"length with underscore", "POST / HTTP/1.1\r\nHost: x\r\ncontent_length: 1\r\n\r\n", faultUnderscoreFraming},
	{"many connection options", "GET / HTTP/1.1\r\nHost: x\r\nConnection: " + strings.Repeat("a,", 70) + "\r\n\r\n", faultConnectionOptions},
}

func parseWhole(raw string, lim *Limits, r *Request) (int, error) {
	r.Reset()
	return ParseRequest([]byte(raw), lim, r)
}

func TestParseRequestStrictness(t *testing.T) {
	limits := DefaultLimits()
	for _, c := range requestCases {
		t.Run(c.name, func(t *testing.T) {
			var r Request
			n, err := parseWhole(c.raw, &limits, &r)
			if c.fault == faultNone {
				if err != nil || n != len(c.raw) {
					t.Fatalf("n %d, error %v, want %d", n, err, len(c.raw))
				}
			} else if !errors.Is(err, c.fault.request()) {
				t.Fatalf("error %v, want %v", err, c.fault.request())
			}
		})
	}
}

func TestParseRequestFacts(t *testing.T) {
	limits := DefaultLimits()
	for _, c := range []struct{ raw, want string }{
		{"GET /a?b=c HTTP/1.1\r\nHost: X.test:81\r\n\r\n",
			"GET origin /a ?b=c plain host=X.test:81 name=X.test port=81 body=none/-1 keep"},
		{"GET /a? HTTP/1.1\r\nHost: x\r\n\r\n", "GET origin /a ? plain host=x name=x port=0 body=none/-1 keep"},
		{"GET /a%20b HTTP/1.1\r\nHost: x\r\n\r\n", "GET origin /a%20b host=x name=x port=0 body=none/-1 keep"},
		{"GET /a//b HTTP/1.1\r\nHost: [::1]:1\r\n\r\n", "GET origin /a//b host=[::1]:1 name=[::1] port=1 body=none/-1 keep"},
		{"GET /a|b HTTP/1.1\r\nHost: x:\r\n\r\n", "GET origin /a|b host=x: name=x port=0 body=none/-1 keep"},
		{"GET HTTPS://y:8?q HTTP/1.1\r\nHost: x\r\n\r\n", "GET absolute https / ?q plain host=y:8 name=y port=8 body=none/-1 keep"},
		{"GET http://y/p HTTP/1.0\r\n\r\n", "GET absolute /p plain host=y name=y port=0 body=none/-1"},
		{"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "OPTIONS asterisk * plain host=x name=x port=0 body=none/-1 keep"},
		{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 007\r\nExpect: 100-Continue\r\n\r\n",
			"POST origin / plain host=x name=x port=0 body=length/7 keep expect"},
		{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n",
			"POST origin / plain host=x name=x port=0 body=length/0 keep"},
		{"POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n",
			"POST origin / plain host= name= port=0 body=length/1"},
		{"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: CHUNKED\r\nConnection: close\r\n\r\n",
			"PUT origin / plain host=x name=x port=0 body=chunked/-1"},
		{"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET origin / plain host= name= port=0 body=none/-1 keep"},
		{"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "GET origin / plain host= name= port=0 body=none/-1"},
		{"GET / HTTP/1.1\r\nHost: x\r\nTE: gzip;q=1, Trailers\r\n\r\n",
			"GET origin / plain host=x name=x port=0 body=none/-1 keep trailers"},
		{"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n",
			"GET origin / plain host=x name=x port=0 body=none/-1 keep websocket"},
	} {
		var r Request
		if _, err := parseWhole(c.raw, &limits, &r); err != nil {
			t.Errorf("%q: %v", c.raw, err)
		} else if got := facts(&r); got != c.want {
			t.Errorf("%q:\n got %s\nwant %s", c.raw, got, c.want)
		}
	}
}

// facts describes everything but the header fields.
func facts(r *Request) string {
	b := &strings.Builder{}
	fmt.Fprintf(b, "%s %s", r.Method, [...]string{"origin", "absolute", "asterisk"}[r.Form])
	flag := func(on bool, word string) {
		if on {
			b.WriteString(" " + word)
		}
	}
	flag(r.HTTPS, "https")
	fmt.Fprintf(b, " %s", r.Path)
	flag(r.HasQuery, "?"+string(r.Query))
	flag(r.PlainPath, "plain")
	fmt.Fprintf(b, " host=%s name=%s port=%d body=%s/%d", r.Host, r.Hostname, r.Port, r.Framing, r.ContentLength)
	flag(r.KeepAlive, "keep")
	flag(r.ExpectContinue, "expect")
	flag(r.AcceptsTrailers, "trailers")
	flag(r.WebSocket, "websocket")
	return b.String()
}

func fieldList(h *Header) string {
	b := &strings.Builder{}
	h.Each(func(name, value []byte) bool {
		fmt.Fprintf(b, "%s=%s;", name, value)
		return true
	})
	return b.String()
}

func TestRequestFieldsTakenOut(t *testing.T) {
	for _, c := range []struct{ name, fields, want string }{
		{"order and case", "b: 1\r\nA: 2\r\nb: 3\r\n", "b=1;A=2;b=3;"},
		{"Connection stays readable", "Connection: close\r\n", "Connection=close;"},
		{"named by Connection", "X-A: 1\r\nConnection: x-a , close\r\nx-a: 2\r\nB: 3\r\n", "Connection=x-a , close;B=3;"},
		{"named in underscore form", "X_A: 1\r\nX-A: 2\r\nConnection: x-a\r\n", "Connection=x-a;"},
		{"named with underscore", "X-A-B: 1\r\nConnection: x_a-b\r\n", "Connection=x_a-b;"},
		{"over two lines", "Connection: a\r\nConnection: b\r\nA: 1\r\nB: 2\r\n", "Connection=a;Connection=b;"},
		{"empty elements", "Connection: , ,a,\r\nA: 1\r\n", "Connection=, ,a,;"},
		{"cannot name Host, framing, forwarding",
			"Connection: host, content-length, x-forwarded-for, x_forwarded_for, X-Real-IP, via\r\nX-Forwarded-For: 1\r\nX-Real-IP: 2\r\nVia: 3\r\nContent-Length: 0\r\n",
			"Connection=host, content-length, x-forwarded-for, x_forwarded_for, X-Real-IP, via;X-Forwarded-For=1;X-Real-IP=2;Via=3;Content-Length=0;"},
		{"hop-by-hop", "Keep-Alive: 1\r\nProxy-Connection: 2\r\nProxy: 3\r\nHTTP2-Settings: 4\r\nA: 5\r\n", "A=5;"},
		{"hop-by-hop underscored", "Keep_Alive: 1\r\nProxy_Connection: 2\r\nA: 5\r\n", "A=5;"},
		{"end-to-end", "Proxy-Authorization: 1\r\nTrailer: 2\r\n", "Proxy-Authorization=1;Trailer=2;"},
		{"upgrade to h2c", "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: x\r\n", "Connection=Upgrade, HTTP2-Settings;"},
		{"WebSocket", "Upgrade: websocket\r\nConnection: Upgrade\r\n", "Upgrade=websocket;Connection=Upgrade;"},
		{"WebSocket without Connection", "Upgrade: websocket\r\n", ""},
		{"WebSocket with a body", "Upgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 1\r\n", "Connection=Upgrade;Content-Length=1;"},
		{"WebSocket among others", "Upgrade: websocket, h2c\r\nConnection: Upgrade\r\n", "Connection=Upgrade;"},
		{"two Upgrades", "Upgrade: websocket\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n", "Connection=Upgrade;"},
		{"TE without trailers", "TE: gzip, trailers;q=0.5\r\n", ""},
		{"TE reduced", "TE: gzip\r\nA: 1\r\nTE: trailers\r\n", "TE=trailers;A=1;"},
		{"sidecars", "X-Envoy-Original-Path: 1\r\nx_envoy_x: 2\r\nX-Forwarded-Client-Cert: 3\r\nx-forwarded_client-cert: 4\r\nX-Istio-Attributes: 5\r\nx-istio_a: 6\r\nX-Envoi: 7\r\n", "X-Envoi=7;"},
	} {
		t.Run(c.name, func(t *testing.T) {
			limits := DefaultLimits()
			var r Request
			if _, err := parseWhole("GET / HTTP/1.1\r\nHost: x\r\n"+c.fields+"\r\n", &limits, &r); err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimPrefix(fieldList(&r.Header), "Host=x;"); got != c.want {
				t.Fatalf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestFieldsThatSidecarsTrust(t *testing.T) {
	const fields = "X-Envoy-A: 1\r\nx-forwarded-client-cert: 2\r\nx_forwarded_client_cert: 3\r\nX-Istio-A: 4\r\nA: 5\r\n"
	for _, c := range []struct {
		from                  string
		untrusted, clientCert bool
		want                  string
	}{
		{"an untrusted client", true, false, "A=5;"},
		{"an untrusted client behind a sidecar", true, true, "x-forwarded-client-cert=2;A=5;"},
		{"a trusted client", false, false, "X-Envoy-A=1;x-forwarded-client-cert=2;x_forwarded_client_cert=3;X-Istio-A=4;A=5;"},
	} {
		limits := DefaultLimits()
		limits.Untrusted, limits.ClientCert = c.untrusted, c.clientCert
		var r Request
		_, err := parseWhole("GET / HTTP/1.1\r\nHost: x\r\n"+fields+"\r\n", &limits, &r)
		if got := strings.TrimPrefix(fieldList(&r.Header), "Host=x;"); err != nil || got != c.want {
			t.Errorf("%s: error %v, fields %s, want %s", c.from, err, got, c.want)
		}
	}
}

func TestBodyLimitRefusesWithHeader(t *testing.T) {
	limits := DefaultLimits()
	limits.Body = 9
	var r Request
	_, err := parseWhole("POST / HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nContent-Length: 10\r\n\r\n", &limits, &r)
	var refusal *Error
	if !errors.As(err, &refusal) || refusal.Status != 413 || refusal.Message != "Payload too large" {
		t.Fatalf("error %v, want a 413", err)
	}
	if v, _ := r.Header.GetID(HeaderAccept); string(v) != "text/html" {
		t.Fatal("Accept is not readable")
	}
}

func TestPipelinedRequests(t *testing.T) {
	limits := DefaultLimits()
	buf := []byte("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n")
	var r Request
	for _, want := range []string{"/1", "/2"} {
		r.Reset()
		n, err := ParseRequest(buf, &limits, &r)
		if err != nil || string(r.Path) != want {
			t.Fatalf("path %s, error %v, want %s", r.Path, err, want)
		}
		buf = buf[n:]
	}
}
