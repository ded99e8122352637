// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
)

// benchRequest is what a browser sends.
const benchRequest = "GET /api/v1/orders/12345?page=2&sort=created HTTP/1.1\r\n" +
	"Host: shop.example.com\r\n" +
	"Connection: keep-alive\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n" +
	"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=yes\r\n" +
	"X-Requested-With: fetch\r\n" +
	"If-None-Match: \"5f2b-18c\"\r\n\r\n"

const benchResponse = "HTTP/1.1 200 OK\r\n" +
	"Date: Sat, 22 Nov 2025 03:00:00 GMT\r\n" +
	"Server: nginx\r\n" +
	"Content-Type: application/json\r\n" +
	"Content-Length: 3\r\n" +
	"Cache-Control: no-store\r\n" +
	"X-Trace: 4bf92f3577b34da6a3ce929d0e0e4736\r\n\r\n"

// benchSmall is what load generators send.
const benchSmall = "GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n"

func BenchmarkParseRequest(b *testing.B) {
	limits := DefaultLimits()
	var r Request
	for name, raw := range map[string]string{"small": benchSmall, "browser": benchRequest} {
		buf := []byte(raw)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				r.Reset()
				if _, err := ParseRequest(buf, &limits, &r); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/net-http", func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(buf)))
			in := bytes.NewReader(buf)
			reader := bufio.NewReader(in)
			for b.Loop() {
				in.Reset(buf)
				reader.Reset(in)
				if _, err := http.ReadRequest(reader); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkParseRequestTrickle parses a head that grows by one byte a call: the cost must stay linear.
func BenchmarkParseRequestTrickle(b *testing.B) {
	limits := DefaultLimits()
	var r Request
	for name, raw := range map[string]string{"1KiB": benchTrickle(1 << 10), "8KiB": benchTrickle(8 << 10)} {
		buf := []byte(raw)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				r.Reset()
				err := ErrNeedMore
				for n := 1; err != nil && n <= len(buf); n++ {
					_, err = ParseRequest(buf[:n], &limits, &r)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func benchTrickle(n int) string {
	return "GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", n-60) + "\r\n\r\n"
}

func BenchmarkParseResponse(b *testing.B) {
	limits := DefaultResponseLimits()
	buf := []byte(benchResponse)
	var r Response
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(buf)))
		for b.Loop() {
			r.Reset()
			if _, err := ParseResponse(buf, &limits, MethodGet, &r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("net-http", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(buf)))
		in := bytes.NewReader(buf)
		reader := bufio.NewReader(in)
		for b.Loop() {
			in.Reset(buf)
			reader.Reset(in)
			response, err := http.ReadResponse(reader, nil)
			if err != nil {
				b.Fatal(err)
			}
			_ = response.Body.Close()
		}
	})
}

func BenchmarkAppendRequestHead(b *testing.B) {
	limits := DefaultLimits()
	var r Request
	if _, err := parseWhole(benchRequest, &limits, &r); err != nil {
		b.Fatal(err)
	}
	for _, name := range []HeaderID{HeaderXForwardedFor, HeaderXForwardedProto, HeaderXForwardedHost, HeaderXForwardedPort, HeaderXRealIP, HeaderVia, HeaderXKongRequestId} {
		r.Header.SetID(name, []byte("203.0.113.7"))
	}
	head := RequestHead{Method: r.Method, Path: r.Path, Query: r.Query, Host: []byte("10.0.0.1:8080"), Header: &r.Header, Connection: ConnectionKeepAlive}
	out := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if out, err = AppendRequestHead(out[:0], &head); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendResponseHead(b *testing.B) {
	limits := DefaultResponseLimits()
	var r Response
	r.Reset()
	if _, err := ParseResponse([]byte(benchResponse), &limits, MethodGet, &r); err != nil {
		b.Fatal(err)
	}
	head := ResponseHead{Status: r.Status, Header: &r.Header, Framing: r.Framing, ContentLength: r.ContentLength, Connection: ConnectionKeepAlive}
	out := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if out, err = AppendResponseHead(out[:0], &head); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeChunked(b *testing.B) {
	limits := DefaultLimits()
	data := bytes.Repeat([]byte("x"), 1000)
	var raw []byte
	for range 60 {
		raw = AppendChunk(raw, data)
	}
	raw = AppendLastChunk(raw, nil)
	var d Decoder
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		d.ResetRequest(&Request{Framing: BodyChunked}, &limits)
		for in := raw; ; {
			_, n, done, err := d.Decode(in)
			if in = in[n:]; done {
				break
			} else if err != nil || n == 0 {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkHeader(b *testing.B) {
	limits := DefaultLimits()
	var r Request
	if _, err := parseWhole(benchRequest, &limits, &r); err != nil {
		b.Fatal(err)
	}
	b.Run("GetID", func(b *testing.B) {
		for b.Loop() {
			r.Header.GetID(HeaderIfNoneMatch)
		}
	})
	b.Run("Get", func(b *testing.B) {
		for b.Loop() {
			r.Header.Get("x-requested-with")
		}
	})
	b.Run("miss", func(b *testing.B) {
		for b.Loop() {
			r.Header.GetID(HeaderXForwardedFor)
		}
	})
	b.Run("Clear-Add-Del", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Header.ReplaceID(HeaderXRealIP, rootPath)
			r.Header.Replace("x-own", rootPath)
			r.Header.Del("x-own")
		}
	})
}

func BenchmarkPath(b *testing.B) {
	scratch := make([]byte, 0, 256)
	for name, path := range map[string]string{"plain": "/api/v1/orders/12345", "dirty": "/api//v1/%6frders/../orders/12%2f345"} {
		raw := []byte(path)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				NormalizePath(scratch, raw)
			}
		})
	}
}

// TestNoAllocations holds the common path at zero allocations.
func TestNoAllocations(t *testing.T) {
	limits, upstream := DefaultLimits(), DefaultResponseLimits()
	request := []byte(strings.Replace(benchRequest, "GET", "POST", 1))
	request = append(bytes.TrimSuffix(request, []byte("\r\n")), "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: v\r\n\r\n"...)
	response := []byte(benchResponse + "abc")
	var r Request
	var p Response
	var d Decoder
	var a Arena
	out := make([]byte, 0, 4096)
	exchange := func() {
		r.Reset()
		p.Reset()
		a.Reset()
		n, err := ParseRequest(request, &limits, &r)
		if err != nil {
			t.Fatal(err)
		}
		d.ResetRequest(&r, &limits)
		body, _, _, _ := d.Decode(request[n:])
		r.Header.ReplaceID(HeaderXForwardedFor, a.CopyString("203.0.113.7"))
		r.Header.Clear("x-requested-with")
		r.Header.Set("x-own", a.Join(r.Host, r.Path))
		out, _ = AppendRequestHead(out[:0], &RequestHead{Method: r.Method, Path: r.Path, Host: r.Host, Header: &r.Header, Framing: BodyChunked})
		out = AppendLastChunk(AppendChunk(out, body), d.Trailers())
		if n, err = ParseResponse(response, &upstream, r.MethodID, &p); err != nil {
			t.Fatal(err)
		}
		d.ResetResponse(&p, &upstream)
		if _, _, _, err = d.Decode(response[n:]); err != nil {
			t.Fatal(err)
		}
		p.Header.SetID(HeaderVia, a.CopyString("1.1 kong"))
		out, _ = AppendResponseHead(out[:0], &ResponseHead{Status: p.Status, Header: &p.Header, Framing: p.Framing, ContentLength: p.ContentLength})
	}
	exchange()
	if n := testing.AllocsPerRun(200, exchange); n != 0 {
		t.Fatalf("%v allocations per exchange", n)
	}
}

// BenchmarkReplaceForwarded does what every proxied request needs: trusted names
// are replaced in a list that mostly does not hold them.
func BenchmarkReplaceForwarded(b *testing.B) {
	var from, to Header
	from.Add("User-Agent", []byte("bench"))
	from.Add("Accept", []byte("*/*"))
	value := []byte("127.0.0.1")
	b.ReportAllocs()
	for b.Loop() {
		to.CopyFrom(&from)
		for _, id := range [...]HeaderID{HeaderXRealIP, HeaderXForwardedFor, HeaderXForwardedProto, HeaderXForwardedHost,
			HeaderXForwardedPort, HeaderXForwardedPath, HeaderVia, HeaderXKongRequestId} {
			to.ReplaceID(id, value)
		}
		to.ClearID(HeaderXForwardedPrefix)
	}
}
