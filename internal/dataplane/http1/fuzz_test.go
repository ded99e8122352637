// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// cutsFrom turns a seed into places to cut a message of n bytes at.
func cutsFrom(seed []byte, n int) []int {
	if n == 0 {
		return nil
	}
	var cuts []int
	at := 0
	for _, s := range seed {
		if at += int(s); at >= n {
			break
		}
		cuts = append(cuts, at)
	}
	return cuts
}

// checkEmitted looks for what a written head may never hold: a line end that is not CRLF, or a control character.
func checkEmitted(t *testing.T, head []byte) {
	t.Helper()
	for line := range bytes.SplitSeq(bytes.TrimSuffix(head, []byte("\r\n\r\n")), []byte("\r\n")) {
		if i := skipText(line, 0); i != len(line) || len(line) == 0 {
			t.Fatalf("line %q in %q", line, head)
		}
	}
}

func FuzzRequest(f *testing.F) {
	for _, c := range requestCases {
		if len(c.raw) < 4000 {
			f.Add(c.raw, []byte{3, 1, 1, 30})
		}
	}
	for _, rec := range loadRecordings(f, "recorded_requests.json") {
		if len(rec.Raw) < 4000 {
			f.Add(rec.Raw, []byte{1, 1, 1, 1, 1, 1, 1, 1, 1, 60})
		}
	}
	limits := DefaultLimits()
	f.Fuzz(func(t *testing.T, raw string, seed []byte) {
		var r, again Request
		n, err := parseWhole(raw, &limits, &r)
		want := requestOutcome(n, err, &r)
		for _, move := range []bool{false, true} {
			again.Reset()
			m, errAgain := feed(raw, cutsFrom(seed, len(raw)), move, func(buf []byte) (int, error) { return ParseRequest(buf, &limits, &again) })
			if got := requestOutcome(m, errAgain, &again); got != want {
				t.Fatalf("%q cut at %v, move %v:\n got %s\nwant %s", raw, cutsFrom(seed, len(raw)), move, got, want)
			}
		}
		if err != nil {
			return
		}
		checkAgainstStandard(t, raw[:n], &r)
		checkRewritten(t, &r)
	})
}

// checkRewritten writes an accepted request and parses it again: everything must be the same.
func checkRewritten(t *testing.T, r *Request) {
	if len(r.Host) == 0 {
		return
	}
	head := RequestHead{Method: r.Method, Path: r.Path, Query: r.Query, HasQuery: r.HasQuery, Host: r.Host, Header: &r.Header,
		Framing: r.Framing, ContentLength: r.ContentLength}
	if r.WebSocket {
		head.Connection = ConnectionUpgrade
	}
	out, err := AppendRequestHead(nil, &head)
	if err != nil {
		t.Fatal(err)
	}
	checkEmitted(t, out)
	wide := Limits{RequestLine: 1 << 20, HeaderLine: 1 << 20, HeadBytes: 1 << 20, Fields: 1 << 16, Untrusted: true}
	var again Request
	if n, err := parseWhole(string(out), &wide, &again); err != nil || n != len(out) {
		t.Fatalf("%q: %v", out, err)
	}
	same := bytes.Equal(r.Method, again.Method) && bytes.Equal(r.Path, again.Path) && bytes.Equal(r.Query, again.Query) &&
		r.HasQuery == again.HasQuery && bytes.Equal(r.Host, again.Host) && r.Framing == again.Framing &&
		r.ContentLength == again.ContentLength && r.WebSocket == again.WebSocket && r.AcceptsTrailers == again.AcceptsTrailers
	if !same || endToEnd(&r.Header) != endToEnd(&again.Header) {
		t.Fatalf("%q: %s %s, want %s %s", out, facts(&again), endToEnd(&again.Header), facts(r), endToEnd(&r.Header))
	}
}

// endToEnd is the field list without the fields that serialisers write themselves.
func endToEnd(h *Header) string {
	var c Header
	c.CopyFrom(h)
	for _, id := range []HeaderID{HeaderHost, HeaderConnection, HeaderContentLength, HeaderTransferEncoding, HeaderExpect} {
		c.DelID(id)
	}
	return fieldList(&c)
}

// checkAgainstStandard compares with net/http's reading of the same head, where that accepts it too.
func checkAgainstStandard(t *testing.T, raw string, r *Request) {
	std, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.TrimLeft(raw, "\r\n"))))
	if err != nil {
		return
	}
	length := std.ContentLength
	switch {
	case std.Method != string(r.Method), std.RequestURI != string(r.Target):
		t.Fatalf("%q: method %s, target %s", raw, std.Method, std.RequestURI)
	case r.Form != FormAbsolute && std.Host != string(r.Host):
		t.Fatalf("%q: host %q, net/http says %q", raw, r.Host, std.Host)
	case (r.Framing == BodyChunked) != slices.Equal(std.TransferEncoding, []string{"chunked"}):
		t.Fatalf("%q: framing %s, net/http says %v", raw, r.Framing, std.TransferEncoding)
	case r.Framing != BodyChunked && max(r.ContentLength, 0) != length:
		t.Fatalf("%q: length %d, net/http says %d", raw, r.ContentLength, length)
	}
	for _, field := range r.Header.Fields() {
		switch field.ID {
		case HeaderHost, HeaderConnection, HeaderContentLength, HeaderTransferEncoding, HeaderTE, HeaderTrailer:
			continue
		}
		if got := std.Header.Values(string(field.Name)); !slices.Contains(got, string(field.Value)) {
			t.Fatalf("%q: %s is %q, net/http says %q", raw, field.Name, field.Value, got)
		}
	}
}

func FuzzResponse(f *testing.F) {
	for _, c := range responseCases {
		if len(c.raw) < 4000 {
			f.Add(c.raw, []byte{3, 1, 1, 30}, false)
		}
	}
	for _, rec := range loadRecordings(f, "recorded_responses.json") {
		f.Add(rec.Raw, []byte{1, 1, 1, 1, 1, 1, 1, 1, 1, 60}, rec.Method == http.MethodHead)
	}
	limits := DefaultResponseLimits()
	f.Fuzz(func(t *testing.T, raw string, seed []byte, head bool) {
		method, name := MethodGet, "GET"
		if head {
			method, name = MethodHead, "HEAD"
		}
		var r, again Response
		r.Reset()
		n, err := ParseResponse([]byte(raw), &limits, method, &r)
		want := responseOutcome(n, err, &r)
		for _, move := range []bool{false, true} {
			again.Reset()
			m, errAgain := feed(raw, cutsFrom(seed, len(raw)), move, func(buf []byte) (int, error) { return ParseResponse(buf, &limits, method, &again) })
			if got := responseOutcome(m, errAgain, &again); got != want {
				t.Fatalf("%q cut at %v, move %v:\n got %s\nwant %s", raw, cutsFrom(seed, len(raw)), move, got, want)
			}
		}
		if err != nil {
			return
		}
		std, err := http.ReadResponse(bufio.NewReader(strings.NewReader(raw[:n])), &http.Request{Method: name})
		if err == nil {
			_ = std.Body.Close()
			if std.StatusCode != r.Status || (r.Framing == BodyChunked) != (len(std.TransferEncoding) == 1 && r.Framing != BodyNone) {
				t.Fatalf("%q: %d %s, net/http says %d %v", raw, r.Status, r.Framing, std.StatusCode, std.TransferEncoding)
			}
			if r.Framing == BodyLength && std.ContentLength != r.ContentLength {
				t.Fatalf("%q: length %d, net/http says %d", raw, r.ContentLength, std.ContentLength)
			}
		}
		rewritten := ResponseHead{Status: r.Status, Reason: r.Reason, Header: &r.Header, Framing: r.Framing, ContentLength: r.ContentLength}
		if r.WebSocket {
			rewritten.Connection = ConnectionUpgrade
		}
		out, err := AppendResponseHead(nil, &rewritten)
		if err != nil {
			t.Fatal(err)
		}
		checkEmitted(t, out)
		wide := Limits{RequestLine: 1 << 20, HeaderLine: 1 << 20, HeadBytes: 1 << 20, Fields: 1 << 16}
		again.Reset()
		if m, err := ParseResponse(out, &wide, method, &again); err != nil || m != len(out) || again.Status != r.Status ||
			again.Framing != r.Framing || !bytes.Equal(again.Reason, r.Reason) || endToEnd(&again.Header) != endToEnd(&r.Header) {
			t.Fatalf("%q became %q: error %v", raw, out, err)
		}
	})
}

func FuzzChunked(f *testing.F) {
	for _, c := range chunkCases {
		if len(c.raw) < 4000 {
			f.Add(c.raw, []byte{2, 1, 1, 9})
		}
	}
	limits := DefaultLimits()
	f.Fuzz(func(t *testing.T, raw string, seed []byte) {
		var d Decoder
		d.reset(BodyChunked, -1, sideRequest, &limits)
		want := decode(&d, raw, nil)
		d.reset(BodyChunked, -1, sideRequest, &limits)
		if got := decode(&d, raw, cutsFrom(seed, len(raw))); got != want {
			t.Fatalf("%q cut at %v:\n got %s\nwant %s", raw, cutsFrom(seed, len(raw)), got, want)
		}
		d.reset(BodyChunked, -1, sideRequest, &limits)
		data, n, done, err := d.DecodeInPlace([]byte(raw))
		if err != nil || !done {
			return
		}
		// net/http reads the same data where it accepts the body.
		r, _ := http.ReadRequest(bufio.NewReader(strings.NewReader("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + raw[:n])))
		if std, err := io.ReadAll(r.Body); err == nil && !bytes.Equal(std, data) {
			t.Fatalf("%q: data %q, net/http says %q", raw, data, std)
		}
		out := AppendLastChunk(AppendChunk(nil, data), d.Trailers())
		trailers := fieldList(d.Trailers())
		var again Decoder
		again.reset(BodyChunked, -1, sideRequest, &limits)
		body, m, done, err := again.DecodeInPlace(slices.Clone(out))
		if err != nil || !done || m != len(out) || !bytes.Equal(body, data) || fieldList(again.Trailers()) != trailers {
			t.Fatalf("%q became %q: data %q, error %v", raw, out, body, err)
		}
	})
}

// FuzzAppend gives serialisers hostile parts: whatever they write is one head with these fields and no more.
func FuzzAppend(f *testing.F) {
	f.Add("GET", "/", "a=b", "host", "X-A", "1\r\nX-B: 2")
	f.Add("G\nT", "/ HTTP/1.1\r\n", "\x00", "h\r\nA: b", "Content_Length", "5")
	f.Add("GET", "/", "", "h", "transfer-encoding", "chunked")
	f.Fuzz(func(t *testing.T, method, path, query, host, name, value string) {
		h := headerOf(name, value)
		out, err := AppendRequestHead(nil, &RequestHead{Method: []byte(method), Path: []byte(path), Query: []byte(query), Host: []byte(host), Header: h})
		if err == nil {
			checkEmitted(t, out)
			if lines := bytes.Count(out, []byte("\n")); lines > 4 || bytes.Count(bytes.SplitN(out, []byte("\r\n"), 2)[0], []byte(" ")) != 2 {
				t.Fatalf("%q", out)
			}
		}
		out, err = AppendResponseHead(nil, &ResponseHead{Status: 200, Reason: []byte(value), Header: h, ContentLength: -1})
		if err != nil {
			t.Fatal(err)
		}
		checkEmitted(t, out)
		if bytes.Count(out, []byte("\n")) > 3 {
			t.Fatalf("%q", out)
		}
		var d Decoder
		limits := DefaultLimits()
		d.reset(BodyChunked, -1, sideRequest, &limits)
		out = AppendLastChunk(nil, h)
		if _, n, done, err := d.DecodeInPlace(slices.Clone(out)); len(out) < 4000 && (err != nil || !done || n != len(out) || d.Trailers().Len() > 1) {
			t.Fatalf("%q: n %d, done %v, error %v", out, n, done, err)
		}
	})
}
