// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// once answers the first request with the bytes, and any other one with "fresh".
// Connections stay open until the other side closes them.
func once(t *testing.T, answer string) *scripted {
	var asked atomic.Bool
	return script(t, func(_ int, c net.Conn, in *bufio.Reader) {
		for readHead(in) != "" {
			if asked.Swap(true) {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfresh")
			} else {
				_, _ = io.WriteString(c, answer)
			}
		}
	})
}

// A head that breaks a rule becomes a 502 (RFC 9112), and the connection that it
// came on is not used again.
func TestBrokenAnswerHeads(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, answer := range map[string]string{
		"no version":                ok[len("HTTP/1.1 "):] + "Content-Length: 0\r\n\r\n",
		"HTTP/2":                    "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
		"status of two digits":      "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
		"status below 100":          "HTTP/1.1 099 No\r\nContent-Length: 0\r\n\r\n",
		"bare LF":                   "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
		"bare CR":                   ok + "A: b\rC: d\r\nContent-Length: 0\r\n\r\n",
		"NUL":                       ok + "A: \x00\r\nContent-Length: 0\r\n\r\n",
		"control character":         ok + "A: \x01\r\nContent-Length: 0\r\n\r\n",
		"obs-fold":                  ok + "A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
		"blank before the colon":    ok + "A : b\r\nContent-Length: 0\r\n\r\n",
		"no colon":                  ok + "A\r\nContent-Length: 0\r\n\r\n",
		"empty name":                ok + ": b\r\nContent-Length: 0\r\n\r\n",
		"two lengths":               ok + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
		"the same length twice":     ok + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
		"list of lengths":           ok + "Content-Length: 5, 5\r\n\r\nhello",
		"negative length":           ok + "Content-Length: -5\r\n\r\nhello",
		"length with a sign":        ok + "Content-Length: +5\r\n\r\nhello",
		"hexadecimal length":        ok + "Content-Length: 0x5\r\n\r\nhello",
		"empty length":              ok + "Content-Length:\r\n\r\nhello",
		"huge length":               ok + "Content-Length: 99999999999999999999\r\n\r\nhello",
		"length and coding":         ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"coding that is not known":  ok + "Transfer-Encoding: gzip\r\n\r\nhello",
		"coding before chunked":     ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"two codings":               ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"coding in HTTP/1.0":        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"underscore in the framing": ok + "Content_Length: 5\r\n\r\nhello",
		"broken interim answer":     "HTTP/1.1 102 Processing\r\nA : b\r\n\r\n" + ok + "Content-Length: 0\r\n\r\n",
		"switch nobody asked for":   "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
		"too many fields":           ok + strings.Repeat("A: b\r\n", 4000) + "Content-Length: 0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			up := once(t, answer)
			r := startRig(t, service(up.url, ""), rigOptions{})
			w := dialRig(t, r.plain).send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			if a, body := w.answer("GET"); a.StatusCode != 502 || a.Close || !strings.Contains(body, "request_id") {
				t.Errorf("got %d, close %t, %q", a.StatusCode, a.Close, body)
			}
			fresh(t, w, up)
		})
	}
}

// fresh fails the test unless the next request is answered over a connection of
// its own.
func fresh(t *testing.T, w *wire, up *scripted) {
	t.Helper()
	if a, body := w.send("GET /next HTTP/1.1\r\nHost: h\r\n\r\n").answer("GET"); a.StatusCode != 200 || body != "fresh" {
		t.Errorf("the next request got %d %q", a.StatusCode, body)
	}
	if n := up.connections(); n != 2 {
		t.Errorf("%d upstream connections", n)
	}
}

// Bytes behind the end of an answer are nobody's: they reach no client, and the
// connection is not used again.
func TestBytesBehindAnAnswer(t *testing.T) {
	const behind = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	for _, c := range []struct {
		name, method, answer string
		status               int
		body                 string
	}{
		{"length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + behind, 200, "ok"},
		{"chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + behind, 200, "ok"},
		{"trailers", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n" + behind, 200, "ok"},
		{"no body", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + behind, 200, ""},
		{"HEAD with a body", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\n" + behind, 200, ""},
		{"204", "GET", "HTTP/1.1 204 No Content\r\n\r\n" + behind, 204, ""},
		{"204 with a length", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 44\r\n\r\n" + behind, 204, ""},
		{"204 with chunks", "GET", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n", 204, ""},
		{"304", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 44\r\n\r\n" + behind, 304, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			up := once(t, c.answer)
			r := startRig(t, service(up.url, ""), rigOptions{})
			w := dialRig(t, r.plain).send(c.method + " / HTTP/1.1\r\nHost: h\r\n\r\n")
			if a, body := w.answer(c.method); a.StatusCode != c.status || body != c.body {
				t.Errorf("got %d %q", a.StatusCode, body)
			}
			fresh(t, w, up)
		})
	}
}

// An interim answer has no body; what follows it is the final answer, whatever
// its own header says.
func TestInterimWithALength(t *testing.T) {
	up := once(t, "HTTP/1.1 103 Early Hints\r\nContent-Length: 3\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	r := startRig(t, service(up.url, ""), rigOptions{})
	w := dialRig(t, r.plain).send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if head := readHead(w.in); head != "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" {
		t.Errorf("got %q", head)
	}
	if a, body := w.answer("GET"); a.StatusCode != 200 || body != "ok" {
		t.Errorf("got %d %q", a.StatusCode, body)
	}
}

// A body that breaks a rule, or breaks off, reaches the client as one that is not
// complete, whatever its framing and whatever filters are there.
func TestBrokenAnswerBodies(t *testing.T) {
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"
	long := strings.Repeat("x", 1<<16)
	for name, answer := range map[string]string{
		"length cut":               "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
		"cut between chunks":       chunked,
		"cut in a chunk":           chunked + "9\r\nmo",
		"cut in a size":            chunked + "9",
		"cut before the end":       chunked + "0\r\n",
		"cut in a trailer":         chunked + "0\r\nA: b",
		"cut behind a trailer":     chunked + "0\r\nA: b\r\n",
		"no size":                  chunked + "zz\r\n",
		"huge size":                chunked + "fffffffffffffffff\r\n",
		"negative size":            chunked + "-1\r\n",
		"bare LF behind a size":    chunked + "1\nx\r\n0\r\n\r\n",
		"chunk longer than said":   chunked + "1\r\nxy\r\n0\r\n\r\n",
		"extension without end":    chunked + "1;" + long + "\r\nx\r\n0\r\n\r\n",
		"control in an extension":  chunked + "1;a=\x00\r\nx\r\n0\r\n\r\n",
		"trailer without colon":    chunked + "0\r\nA\r\n\r\n",
		"blank before its colon":   chunked + "0\r\nA : b\r\n\r\n",
		"folded trailer":           chunked + "0\r\nA: b\r\n c\r\n\r\n",
		"bare LF in the trailers":  chunked + "0\r\nA: b\n\r\n",
		"NUL in the trailers":      chunked + "0\r\nA: \x00\r\n\r\n",
		"trailers that do not end": chunked + "0\r\n" + strings.Repeat("A: "+strings.Repeat("b", 1000)+"\r\n", 100) + "\r\n",
	} {
		for _, filters := range []string{"", enabled("probe-1")} {
			t.Run(name, func(t *testing.T) {
				up := script(t, func(_ int, c net.Conn, in *bufio.Reader) {
					readHead(in)
					_, _ = io.WriteString(c, answer)
				})
				d := &diary{}
				r := startRig(t, service(up.url, filters), rigOptions{plugins: probes{"probe-1": d.notes("probe-1")}})
				w := dialRig(t, r.plain).send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
				a, err := http.ReadResponse(w.in, nil)
				if err != nil {
					t.Fatal(err)
				}
				if body, err := io.ReadAll(a.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("the answer looks complete: %q, %v", body, err)
				}
			})
		}
	}
}
