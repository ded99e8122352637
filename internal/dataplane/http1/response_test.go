// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

var responseCases = []struct {
	name, raw string
	fault     fault
}{
	{"plain", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", faultNone},
	{"no reason", "HTTP/1.1 200 \r\n\r\n", faultNone},
	{"no reason and no blank", "HTTP/1.1 200\r\n\r\n", faultNone},
	{"HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\n", faultNone},
	{"unknown status", "HTTP/1.1 999 Denied\r\n\r\n", faultNone},
	{"no status line", "<html>", faultStatusLine},
	{"empty line first", "\r\nHTTP/1.1 200 OK\r\n\r\n", faultStatusLine},
	{"HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n", faultUnsupportedVersion},
	{"two-digit status", "HTTP/1.1 20 OK\r\n\r\n", faultStatusLine},
	{"four-digit status", "HTTP/1.1 2000 OK\r\n\r\n", faultStatusLine},
	{"status under 100", "HTTP/1.1 099 X\r\n\r\n", faultStatusLine},
	{"two blanks", "HTTP/1.1  200 OK\r\n\r\n", faultStatusLine},
	{"control character in reason", "HTTP/1.1 200 O\x00K\r\n\r\n", faultStatusLine},
	{"bare LF", "HTTP/1.1 200 OK\nA: b\n\n", faultBareLF},
	{"bare CR", "HTTP/1.1 200 OK\rA: b\r\n\r\n", faultBareCR},
	{"bare LF in the fields", "HTTP/1.1 200 OK\r\nA: b\n\r\n", faultBareLF},
	{"no colon", "HTTP/1.1 200 OK\r\nA\r\n\r\n", faultName},
	{"obs-fold", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", faultFold},
	{"two equal lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", faultTwoLengths},
	{"negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", faultLength},
	{"length and coding", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", faultLengthAndCoding},
	{"gzip coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", faultCoding},
	{"coding in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", faultCodingVersion},
	{"long status line", "HTTP/1.1 200 " + strings.Repeat("a", 32<<10) + "\r\n\r\n", faultHeadTooLarge},
	{"long head", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 32<<10) + "\r\n\r\n", faultHeadTooLarge},
}

func TestParseResponseStrictness(t *testing.T) {
	limits := DefaultResponseLimits()
	for _, c := range responseCases {
		t.Run(c.name, func(t *testing.T) {
			var r Response
			r.Reset()
			n, err := ParseResponse([]byte(c.raw), &limits, MethodGet, &r)
			if c.fault == faultNone {
				if err != nil || n != len(c.raw) {
					t.Fatalf("n %d, error %v, want %d", n, err, len(c.raw))
				}
			} else if !errors.Is(err, c.fault.response()) {
				t.Fatalf("error %v, want %v", err, c.fault.response())
			}
			var e *Error
			if errors.As(err, &e) && (e.Status != 502 || e.Message != messageBadUpstream) {
				t.Fatalf("error %v, want a 502", err)
			}
		})
	}
}

func TestResponseFraming(t *testing.T) {
	limits := DefaultResponseLimits()
	for _, c := range []struct {
		method Method
		raw    string
		want   string
	}{
		{MethodGet, "HTTP/1.1 200 OK\r\nContent-Length: 3", "200 OK length 3 keep"},
		{MethodGet, "HTTP/1.1 200 Very OK \r\nContent-Length: 0", "200 Very OK length 0 keep"},
		{MethodGet, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", "200 OK chunked -1 keep"},
		{MethodGet, "HTTP/1.1 200 OK\r\nA: b", "200 OK until-close -1"},
		{MethodGet, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3", "200 OK length 3"},
		{MethodGet, "HTTP/1.0 200 OK\r\nContent-Length: 3", "200 OK length 3"},
		{MethodGet, "HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive", "200 OK length 3 keep"},
		{MethodGet, "HTTP/1.0 200 OK\r\nConnection: keep-alive", "200 OK until-close -1"},
		{MethodHead, "HTTP/1.1 200 OK\r\nContent-Length: 3", "200 OK none 3 keep"},
		{MethodHead, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", "200 OK none -1 keep"},
		{MethodHead, "HTTP/1.1 200 OK\r\nA: b", "200 OK none -1 keep"},
		{MethodGet, "HTTP/1.1 204 No Content\r\nA: b", "204 No Content none -1 keep"},
		{MethodGet, "HTTP/1.1 204 No Content\r\nContent-Length: 0", "204 No Content none 0 keep"},
		{MethodGet, "HTTP/1.1 204 No Content\r\nContent-Length: 5", "204 No Content none 5"},
		{MethodGet, "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked", "204 No Content none -1"},
		{MethodGet, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5", "304 Not Modified none 5 keep"},
		{MethodGet, "HTTP/1.1 100 Continue\r\nA: b", "100 Continue none -1 keep interim"},
		{MethodGet, "HTTP/1.1 103 Early Hints\r\nLink: x", "103 Early Hints none -1 keep interim"},
		{MethodGet, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: upgrade", "101 Switching Protocols none -1 keep websocket"},
		{MethodGet, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade", "101 Switching Protocols none -1 keep"},
	} {
		var r Response
		r.Reset()
		if _, err := ParseResponse([]byte(c.raw+"\r\n\r\n"), &limits, c.method, &r); err != nil {
			t.Errorf("%q: %v", c.raw, err)
			continue
		}
		got := fmt.Sprintf("%d %s %s %d", r.Status, r.Reason, r.Framing, r.ContentLength)
		for _, flag := range []struct {
			on   bool
			word string
		}{{r.KeepAlive, " keep"}, {r.Interim(), " interim"}, {r.WebSocket, " websocket"}} {
			if flag.on {
				got += flag.word
			}
		}
		if got != c.want {
			t.Errorf("%q: got %s, want %s", c.raw, got, c.want)
		}
	}
}

func TestResponseFieldsTakenOut(t *testing.T) {
	limits := DefaultResponseLimits()
	var r Response
	r.Reset()
	raw := "HTTP/1.1 200 OK\r\nConnection: X-Secret, close\r\nX-Secret: 1\r\nX_Secret: 2\r\nX-Accel-Redirect: /x\r\nTE: y\r\n" +
		"Keep-Alive: 3\r\nUpgrade: h2c\r\nProxy-Connection: x\r\nProxy-Authenticate: Basic\r\nSet-Cookie: a\r\nset-cookie: b\r\n\r\n"
	if _, err := ParseResponse([]byte(raw), &limits, MethodGet, &r); err != nil {
		t.Fatal(err)
	}
	if got, want := fieldList(&r.Header), "Proxy-Authenticate=Basic;Set-Cookie=a;set-cookie=b;"; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
}
