// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// recording is a message that was sent to Kong 3.9, and what came of it. Bytes are written as Latin-1; <<x*n>> stands
// for n times x.
type recording struct {
	Case      string            `json:"case"`
	Method    string            `json:"method"`
	Raw       string            `json:"raw"`
	Status    int               `json:"status"`
	Quirk     bool              `json:"quirk"`
	BodyLimit int64             `json:"body_limit"`
	Headers   map[string]string `json:"headers"`
	Body      string            `json:"body"`
	Length    string            `json:"length"`
	Truncated bool              `json:"truncated"`
	Upstream  *struct {
		Target  string            `json:"target"`
		RawPath string            `json:"raw_path"`
		Headers map[string]string `json:"headers"`
		Body    string            `json:"body"`
		Length  string            `json:"length"`
	} `json:"upstream"`
}

var repeated = regexp.MustCompile(`<<(.)\*(\d+)>>`)

func latin1(s string) string {
	s = repeated.ReplaceAllStringFunc(s, func(m string) string {
		parts := repeated.FindStringSubmatch(m)
		n, _ := strconv.Atoi(parts[2])
		return strings.Repeat(parts[1], n)
	})
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}

func loadRecordings(t testing.TB, file string) []recording {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var list []recording
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		t.Fatal("no recordings in " + file)
	}
	for i := range list {
		list[i].Raw = latin1(list[i].Raw)
	}
	return list
}

// ourAnswers are our statuses where Kong's recorded one should not be followed: 0 is acceptance.
var ourAnswers = map[string]int{
	"POST /p HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding:\tchunked":               0,
	"POST /p HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer_Encoding: chunked":                400,
	"POST /p HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\nx": 400,
	"POST /p HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\nx":    400,
	"GET / HTTP/1.1\nHost: x":     400,
	"GET  /two HTTP/1.1":          400,
	"GET / HTTP/1.1\r\nHost: a@b": 400,
	"GET /nohost HTTP/1.0":        0,
	"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTrailer: X-T": 0,
	"GET http://abs.test/x?y=1": 0,
	"GET http://abs.test:81/x":  0,
	"GET http://abs.test?q=1":   0,
	"GET /f#frag":               400,
	"GET /f?x=1#frag":           400,
	"GET /#":                    400,
	"OPTIONS * HTTP/1.1":        0,
	"get /m HTTP/1.1":           0,
}

func ourAnswer(t *testing.T, raw string) int {
	for prefix, status := range ourAnswers {
		if strings.HasPrefix(raw, prefix) {
			return status
		}
	}
	t.Fatalf("no answer of ours for the quirk %q", raw)
	return 0
}

// read parses a request and its body, and returns the status it is refused with, or 0.
func readRecorded(t *testing.T, rec *recording, r *Request, d *Decoder) (body string, status int) {
	limits := DefaultLimits()
	limits.Body = rec.BodyLimit
	buf := []byte(rec.Raw)
	r.Reset()
	n, err := ParseRequest(buf, &limits, r)
	if err == nil {
		d.ResetRequest(r, &limits)
		var data []byte
		var done bool
		data, _, done, err = d.DecodeInPlace(buf[n:])
		if body = string(data); err == nil && !done {
			t.Fatalf("%q: body is incomplete", rec.Raw)
		}
		copy(buf, rec.Raw)
	}
	var refusal *Error
	if errors.As(err, &refusal) {
		return "", refusal.Status
	} else if err != nil {
		t.Fatalf("%q: %v", rec.Raw, err)
	}
	return body, 0
}

func TestRecordedRequests(t *testing.T) {
	var r Request
	var d Decoder
	for _, rec := range loadRecordings(t, "recorded_requests.json") {
		t.Run(rec.Case, func(t *testing.T) {
			want := 0
			if rec.Status == 400 || rec.Status == 413 || rec.Status == 414 || rec.Status == 501 {
				want = rec.Status
			}
			if rec.Quirk {
				want = ourAnswer(t, rec.Raw)
			}
			body, status := readRecorded(t, &rec, &r, &d)
			if status != want {
				t.Fatalf("%.200q: status %d, want %d", rec.Raw, status, want)
			}
			if status != 0 || rec.Upstream == nil || rec.Quirk {
				return
			}
			compareUpstream(t, &rec, &r, body)
		})
	}
}

// compareUpstream compares what we would send with what Kong sent.
func compareUpstream(t *testing.T, rec *recording, r *Request, body string) {
	want := rec.Upstream
	if body != latin1(want.Body) {
		t.Errorf("body %.100q, want %.100q", body, latin1(want.Body))
	}
	if raw := latin1(want.RawPath); string(r.Path) != raw {
		t.Errorf("path %q, want %q", r.Path, raw)
	}
	head := RequestHead{Method: r.Method, Query: r.Query, HasQuery: r.HasQuery, Host: r.Host, Header: &r.Header, Connection: ConnectionKeepAlive}
	head.Path = EscapePath(nil, NormalizePath(nil, r.Path))
	if r.Framing != BodyNone {
		head.Framing, head.ContentLength = BodyLength, int64(len(body))
	}
	if r.WebSocket {
		head.Connection = ConnectionUpgrade
	}
	out, err := AppendRequestHead(nil, &head)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(out), "\r\n")
	// The one case with strip_path and a prefix is about its header fields.
	if target := strings.Split(lines[0], " ")[1]; target != latin1(want.Target) && rec.Case != "websocket/handshake-headers" {
		t.Errorf("target %q, want %q", target, latin1(want.Target))
	}
	got := map[string]string{}
	for _, line := range lines[1 : len(lines)-2] {
		name, value, _ := strings.Cut(line, ": ")
		got[strings.ToLower(name)] = value
	}
	if got["content-length"] != want.Length {
		t.Errorf("Content-Length %q, want %q", got["content-length"], want.Length)
	}
	for _, name := range []string{"host", "connection", "content-length", "x-forwarded-for"} {
		delete(got, name)
	}
	if !maps.Equal(got, want.Headers) {
		t.Errorf("fields %v, want %v", got, want.Headers)
	}
}

func TestRecordedResponses(t *testing.T) {
	limits := DefaultResponseLimits()
	var r Response
	var d Decoder
	for _, rec := range loadRecordings(t, "recorded_responses.json") {
		t.Run(rec.Case, func(t *testing.T) {
			if rec.Case == "errors/502-odd-answers-quirk" {
				rec.Status = 502
			}
			if rec.Case == "body/response-1xx-quirk" {
				rec.Status, rec.Body, rec.Length, rec.Headers = 200, "ok", "2", nil
			}
			buf := []byte(rec.Raw)
			r.Reset()
			n, err := ParseResponse(buf, &limits, LookupMethod([]byte(rec.Method)), &r)
			for err == nil && r.Interim() {
				r.Reset()
				var m int
				m, err = ParseResponse(buf[n:], &limits, LookupMethod([]byte(rec.Method)), &r)
				n += m
			}
			if rec.Status == 502 {
				var refusal *Error
				if errors.As(err, &refusal) && refusal.Status != 502 || err == nil {
					t.Fatalf("%q: error %v, want a 502", rec.Raw, err)
				}
				return
			}
			if err != nil || r.Status != rec.Status {
				t.Fatalf("%q: status %d, error %v, want %d", rec.Raw, r.Status, err, rec.Status)
			}
			compareResponse(t, &rec, &r, &d, buf[n:])
		})
	}
}

func compareResponse(t *testing.T, rec *recording, r *Response, d *Decoder, rest []byte) {
	limits := DefaultResponseLimits()
	head := ResponseHead{Status: r.Status, Header: &r.Header, Framing: r.Framing, ContentLength: r.ContentLength}
	if r.WebSocket {
		head.Connection = ConnectionUpgrade
	}
	out, err := AppendResponseHead(nil, &head)
	if err != nil {
		t.Fatal(err)
	}
	got, length := map[string]string{}, ""
	lines := strings.Split(string(out), "\r\n")
	for _, line := range lines[1 : len(lines)-2] {
		name, value, _ := strings.Cut(line, ": ")
		switch name = strings.ToLower(name); name {
		case "content-length":
			length = value
		case "transfer-encoding":
		case "trailer": // Dropped or not by the engine, which knows whether trailers will follow.
		default:
			got[name] = value
		}
	}
	d.ResetResponse(r, &limits)
	data, _, done, err := d.DecodeInPlace(rest)
	if err != nil || string(data) != rec.Body || (done || d.Ended()) == rec.Truncated {
		t.Errorf("body %q, done %v, error %v, want %q", data, done, err, rec.Body)
	}
	if length != rec.Length {
		t.Errorf("Content-Length %q, want %q", length, rec.Length)
	}
	want := maps.Clone(rec.Headers)
	for name, value := range want {
		want[name] = latin1(value)
	}
	maps.DeleteFunc(want, func(name, _ string) bool {
		return name == "trailer" || slices.Contains([]string{"te", "proxy-connection"}, name) && rec.Quirk
	})
	if !maps.Equal(got, want) && len(got)+len(want) > 0 {
		t.Errorf("fields %.300v, want %.300v", got, want)
	}
}
