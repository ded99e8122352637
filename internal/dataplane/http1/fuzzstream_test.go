// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// message is one message of a stream as a reader understood it.
type message struct {
	start  string // first line, in parts
	fields []string
	body   string
}

func (m message) String() string { return fmt.Sprintf("%s %v %q", m.start, m.fields, m.body) }

// maxMessages bounds what a stream is read for.
const maxMessages = 16

// ownRequests reads a stream of requests with this package; ended says that all
// of it was taken.
func ownRequests(raw []byte) (all []message, ended bool) {
	limits := DefaultLimits()
	limits.Untrusted = false
	for len(raw) > 0 && len(all) < maxMessages {
		var r Request
		r.Reset()
		n, err := ParseRequest(raw, &limits, &r)
		if err != nil {
			return all, false
		}
		m := message{start: fmt.Sprintf("%s %s", r.Method, r.Target), fields: ownFields(&r.Header)}
		var d Decoder
		d.ResetRequest(&r, &limits)
		body, taken, ok := ownBody(&d, raw[n:])
		if !ok {
			return all, false
		}
		m.body, raw = body, raw[n+taken:]
		all = append(all, m)
		if !r.KeepAlive {
			break
		}
	}
	return all, len(raw) == 0
}

// ownBody reads a body; ok is false if it is broken or incomplete.
func ownBody(d *Decoder, raw []byte) (body string, taken int, ok bool) {
	for {
		data, n, done, err := d.Decode(raw[taken:])
		if err != nil {
			return "", 0, false
		}
		body, taken = body+string(data), taken+n
		if done {
			return body, taken, true
		}
		if n == 0 {
			return body, taken, d.Ended()
		}
	}
}

// comparable says whether both readers keep a field as it came: framing, hop by
// hop and Host are where they differ on purpose.
func comparableField(name string) bool {
	switch strings.ReplaceAll(strings.ToLower(name), "_", "-") {
	case "host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "keep-alive", "proxy-connection",
		"proxy", "http2-settings", "expect":
		return false
	}
	return !strings.HasPrefix(strings.ToLower(name), "x-accel-")
}

func ownFields(h *Header) (fields []string) {
	h.Each(func(name, value []byte) bool {
		if comparableField(string(name)) {
			fields = append(fields, fmt.Sprintf("%s: %s", http.CanonicalHeaderKey(string(name)), value))
		}
		return true
	})
	slices.Sort(fields)
	return fields
}

func standardFields(h http.Header) (fields []string) {
	for name, values := range h {
		for _, v := range values {
			if comparableField(name) {
				fields = append(fields, fmt.Sprintf("%s: %s", name, v))
			}
		}
	}
	slices.Sort(fields)
	return fields
}

// standardRequests reads the same with net/http.
func standardRequests(raw []byte) (all []message) {
	in := bufio.NewReader(bytes.NewReader(raw))
	for len(all) < maxMessages {
		// Empty lines before a request are skipped by servers (RFC 9112 §2.2),
		// of which this reader is a part only.
		for {
			if next, err := in.Peek(2); err != nil || string(next) != "\r\n" {
				break
			}
			_, _ = in.Discard(2)
		}
		r, err := http.ReadRequest(in)
		if err != nil {
			return all
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return all
		}
		all = append(all, message{r.Method + " " + r.RequestURI, standardFields(r.Header), string(body)})
		if r.Close {
			break
		}
	}
	return all
}

// named says that Connection names fields, which are then removed by one reader
// only.
func named(raw []byte) bool { return bytes.Contains(bytes.ToLower(raw), []byte("connection")) }

// same compares the messages that both readers took; where one of them refuses
// the stream it may end earlier, but nowhere else.
func same(t *testing.T, raw []byte, own, standard []message, ended bool) {
	t.Helper()
	for i := range min(len(own), len(standard)) {
		if own[i].start != standard[i].start || own[i].body != standard[i].body ||
			!named(raw) && !slices.Equal(own[i].fields, standard[i].fields) {
			t.Fatalf("%q: message %d is\n%v, net/http says\n%v", raw, i, own[i], standard[i])
		}
	}
	if ended && len(standard) > len(own) && !named(raw) {
		t.Fatalf("%q: %d messages, net/http says %d: %v", raw, len(own), len(standard), standard)
	}
}

// FuzzRequestStream reads whole connections: a difference in where one request
// ends and the next begins is what makes smuggling.
func FuzzRequestStream(f *testing.F) {
	get := "GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n"
	f.Add([]byte(get + get))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello" + get))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nT: u\r\n\r\n" + get))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n\r\n" + get))
	f.Add([]byte("GET / HTTP/1.0\r\n\r\n" + get))
	f.Add([]byte("GET http://h/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" + get))
	f.Add([]byte("OPTIONS * HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx" + get))
	for _, c := range requestCases {
		if len(c.raw) < 1000 {
			f.Add([]byte(c.raw + get))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		own, ended := ownRequests(raw)
		same(t, raw, own, standardRequests(raw), ended)
	})
}

// FuzzResponseStream does the same for what an upstream sends to GET requests.
func FuzzResponseStream(f *testing.F) {
	ok := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: b\r\n\r\nok"
	f.Add([]byte(ok + ok))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + ok))
	f.Add([]byte("HTTP/1.1 204 No Content\r\n\r\n" + ok))
	f.Add([]byte("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n" + ok))
	f.Add([]byte("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok))
	f.Add([]byte("HTTP/1.1 200 OK\r\n\r\nuntil the end"))
	f.Add([]byte("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok" + ok))
	for _, c := range responseCases {
		if len(c.raw) < 1000 {
			f.Add([]byte(c.raw + ok))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		own, ended := ownResponses(raw)
		same(t, raw, own, standardResponses(raw), ended)
	})
}

func ownResponses(raw []byte) (all []message, ended bool) {
	limits := DefaultResponseLimits()
	for len(raw) > 0 && len(all) < maxMessages {
		var r Response
		r.Reset()
		n, err := ParseResponse(raw, &limits, MethodGet, &r)
		if err != nil {
			return all, false
		}
		m := message{start: fmt.Sprint(r.Status), fields: ownFields(&r.Header)}
		var d Decoder
		d.ResetResponse(&r, &limits)
		body, taken, ok := ownBody(&d, raw[n:])
		if !ok {
			return all, false
		}
		m.body, raw = body, raw[n+taken:]
		all = append(all, m)
		if !r.KeepAlive {
			break
		}
	}
	return all, len(raw) == 0
}

func standardResponses(raw []byte) (all []message) {
	in := bufio.NewReader(bytes.NewReader(raw))
	for len(all) < maxMessages {
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			return all
		}
		body, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil && !errors.Is(err, io.EOF) {
			return all
		}
		all = append(all, message{fmt.Sprint(r.StatusCode), standardFields(r.Header), string(body)})
		if r.Close {
			break
		}
	}
	return all
}
