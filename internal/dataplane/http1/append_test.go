// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"errors"
	"strings"
	"testing"
)

func TestAppendRequestHead(t *testing.T) {
	h := headerOf("User-Agent", "t", "Host", "evil", "Content-Length", "9", "transfer-encoding", "chunked", "Connection", "x",
		"Keep-Alive", "5", "Proxy-Connection", "x", "Expect", "100-continue", "Upgrade", "websocket", "X-A", " 1\r\nX-B: 2\x00y ",
		"bad name", "3", "", "4", "a\r\nb", "5", "Content_Length", "7", "TE", "trailers")
	const fields = "User-Agent: t\r\nX-A: 1  X-B: 2 y\r\nTE: trailers\r\n\r\n"
	base := RequestHead{Method: []byte("GET"), Path: []byte("/p"), Host: []byte("h"), Header: h}
	for _, c := range []struct {
		name string
		edit func(r *RequestHead)
		want string
	}{
		{"plain", func(*RequestHead) {}, "GET /p HTTP/1.1\r\nHost: h\r\n" + fields},
		{"empty query", func(r *RequestHead) { r.HasQuery = true }, "GET /p? HTTP/1.1\r\nHost: h\r\n" + fields},
		{"query", func(r *RequestHead) { r.Query = []byte("a=\xfc&\"") }, "GET /p?a=\xfc&\" HTTP/1.1\r\nHost: h\r\n" + fields},
		{"hostile target", func(r *RequestHead) {
			r.Path, r.Query = []byte("/ HTTP/1.1\r\nA: b"), []byte("a b\x7f\x00")
		}, "GET /%20HTTP/1.1%0D%0AA:%20b?a%20b%7F%00 HTTP/1.1\r\nHost: h\r\n" + fields},
		{"hostile Host", func(r *RequestHead) { r.Host = []byte("h\r\nA: b") }, "GET /p HTTP/1.1\r\nHost: h  A: b\r\n" + fields},
		{"length", func(r *RequestHead) { r.Framing, r.ContentLength = BodyLength, 12 }, "GET /p HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\n" + fields},
		{"chunked", func(r *RequestHead) { r.Framing = BodyChunked }, "GET /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n" + fields},
		{"keep-alive", func(r *RequestHead) { r.Connection = ConnectionKeepAlive }, "GET /p HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n" + fields},
		{"upgrade", func(r *RequestHead) { r.Connection = ConnectionUpgrade },
			"GET /p HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUser-Agent: t\r\nUpgrade: websocket\r\nX-A: 1  X-B: 2 y\r\nTE: trailers\r\n\r\n"},
		{"no header", func(r *RequestHead) { r.Header = nil }, "GET /p HTTP/1.1\r\nHost: h\r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := base
			c.edit(&r)
			got, err := AppendRequestHead([]byte("before"), &r)
			if err != nil || string(got) != "before"+c.want {
				t.Fatalf("error %v\n got %q\nwant %q", err, got, c.want)
			}
		})
	}
	for _, method := range []string{"", "G T", "GET\r\n"} {
		r := base
		r.Method = []byte(method)
		if got, err := AppendRequestHead(nil, &r); !errors.Is(err, ErrInvalidMethod) || len(got) != 0 {
			t.Errorf("method %q: %q, %v", method, got, err)
		}
	}
	r := base
	r.Path = nil
	if _, err := AppendRequestHead(nil, &r); !errors.Is(err, ErrInvalidTarget) {
		t.Error(err)
	}
}

func TestAppendResponseHead(t *testing.T) {
	h := headerOf("Date", "d", "Content-Length", "9", "Transfer-Encoding", "chunked", "Connection", "x", "Keep-Alive", "5",
		"Upgrade", "websocket", "Set-Cookie", "a\nb")
	const fields = "Date: d\r\nSet-Cookie: a b\r\n\r\n"
	const upgrading = "Date: d\r\nUpgrade: websocket\r\nSet-Cookie: a b\r\n\r\n"
	for _, c := range []struct {
		name string
		r    ResponseHead
		want string
	}{
		{"length", ResponseHead{Status: 200, Framing: BodyLength, ContentLength: 3}, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n" + fields},
		{"chunked", ResponseHead{Status: 404, Framing: BodyChunked, ContentLength: -1}, "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n" + fields},
		{"until close", ResponseHead{Status: 200, Framing: BodyUntilClose, Connection: ConnectionClose, ContentLength: 4}, "HTTP/1.1 200 OK\r\nConnection: close\r\n" + fields},
		{"HEAD", ResponseHead{Status: 200, ContentLength: 3}, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n" + fields},
		{"HEAD without length", ResponseHead{Status: 200, ContentLength: -1}, "HTTP/1.1 200 OK\r\n" + fields},
		{"204", ResponseHead{Status: 204, Framing: BodyLength, ContentLength: 0}, "HTTP/1.1 204 No Content\r\n" + fields},
		{"204 chunked", ResponseHead{Status: 204, Framing: BodyChunked}, "HTTP/1.1 204 No Content\r\n" + fields},
		{"103", ResponseHead{Status: 103, ContentLength: 3}, "HTTP/1.1 103 Early Hints\r\n" + fields},
		{"101", ResponseHead{Status: 101, Connection: ConnectionUpgrade}, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n" + upgrading},
		{"426", ResponseHead{Status: 426, Connection: ConnectionCloseUpgrade, Framing: BodyLength}, "HTTP/1.1 426 Upgrade Required\r\nConnection: close, upgrade\r\nContent-Length: 0\r\n" + upgrading},
		{"unknown status", ResponseHead{Status: 599, ContentLength: -1}, "HTTP/1.1 599 \r\n" + fields},
		{"high status", ResponseHead{Status: 999, ContentLength: -1}, "HTTP/1.1 999 \r\n" + fields},
		{"own reason", ResponseHead{Status: 200, Reason: []byte("Fine\r\nA: b"), ContentLength: -1}, "HTTP/1.1 200 Fine  A: b\r\n" + fields},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.r.Header = h
			got, err := AppendResponseHead(nil, &c.r)
			if err != nil || string(got) != c.want {
				t.Fatalf("error %v\n got %q\nwant %q", err, got, c.want)
			}
		})
	}
	for _, status := range []int{0, 99, 1000} {
		if _, err := AppendResponseHead(nil, &ResponseHead{Status: status}); !errors.Is(err, ErrInvalidStatus) {
			t.Errorf("status %d: %v", status, err)
		}
	}
	if ReasonPhrase(418) != "I'm a teapot" || ReasonPhrase(299) != "" {
		t.Error("reason phrases")
	}
}

func TestAppendChunks(t *testing.T) {
	b := AppendChunk(nil, []byte("hello"))
	b = AppendChunk(b, nil)
	b = AppendChunk(b, []byte(strings.Repeat("x", 300)))
	b = AppendLastChunk(b, headerOf("X-T", "v\r\n", "Content-Length", "3", "host", "x", "a b", "c", "", "d", "Transfer_Encoding", "chunked"))
	if want := "5\r\nhello\r\n12c\r\n" + strings.Repeat("x", 300) + "\r\n0\r\nX-T: v  \r\n\r\n"; string(b) != want {
		t.Fatalf("got %q, want %q", b, want)
	}
	if got := string(AppendLastChunk(nil, nil)); got != "0\r\n\r\n" {
		t.Fatalf("got %q", got)
	}
}

func TestSniffHTTP2(t *testing.T) {
	for _, c := range []struct {
		in       string
		is, sure bool
	}{
		{"", false, false}, {"P", false, false}, {"PRI * HTTP/2.0\r\n\r\nSM", false, false}, {HTTP2Preface, true, true},
		{HTTP2Preface + "x", true, true}, {"PO", false, true}, {"PRI * HTTP/1.1\r\n", false, true},
	} {
		if is, sure := SniffHTTP2([]byte(c.in)); is != c.is || sure != c.sure {
			t.Errorf("%q: is %v, sure %v", c.in, is, sure)
		}
	}
}
