// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"errors"
	"strings"
	"testing"
)

// chunkCases are chunked bodies; want is the data, or the fault.
var chunkCases = []struct {
	name, raw, want string
	fault           fault
}{
	{"empty", "0\r\n\r\n", "", faultNone},
	{"two chunks", "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world", faultNone},
	{"upper and lower case digits", "a\r\n0123456789\r\nA\r\n0123456789\r\n000\r\n\r\n", "01234567890123456789", faultNone},
	{"leading zeros", "0000000000000001\r\nx\r\n0\r\n\r\n", "x", faultNone},
	{"extension", "1;a\r\nx\r\n0;b=c;d=\"e\\\"\t;\"\r\n\r\n", "x", faultNone},
	{"extension with blanks", "1 ; a = b ;\tc\r\nx\r\n0\r\n\r\n", "x", faultNone},
	{"trailers", "1\r\nx\r\n0\r\nX-T: v\r\nX-U:w\r\n\r\n", "x", faultNone},
	{"no size", "\r\nx\r\n0\r\n\r\n", "", faultChunkSize},
	{"no digits", "zz\r\nx\r\n0\r\n\r\n", "", faultChunkSize},
	{"sign", "-1\r\nx\r\n0\r\n\r\n", "", faultChunkSize},
	{"0x", "0x1\r\nx\r\n0\r\n\r\n", "", faultChunkSize},
	{"blank before size", " 1\r\nx\r\n0\r\n\r\n", "", faultChunkSize},
	{"blank behind size", "1 \r\nx\r\n0\r\n\r\n", "", faultChunkExtension},
	{"17 digits", "00000000000000001\r\nx\r\n0\r\n\r\n", "", faultChunkSize},
	{"18 digits", "ffffffffffffffffff\r\nx\r\n", "", faultChunkSize},
	{"over int64", "8000000000000000\r\nx\r\n", "", faultChunkSize},
	{"bare LF behind size", "1\nx\r\n0\r\n\r\n", "", faultChunkSize},
	{"bare CR behind size", "1\rx\r\n0\r\n\r\n", "", faultBareCR},
	{"extension without name", "1;\r\nx\r\n0\r\n\r\n", "", faultChunkExtension},
	{"extension without value", "1;a=\r\nx\r\n0\r\n\r\n", "", faultChunkExtension},
	{"two words", "1;a b\r\nx\r\n0\r\n\r\n", "", faultChunkExtension},
	{"blank behind extension", "1;a \r\nx\r\n0\r\n\r\n", "", faultChunkExtension},
	{"bare LF in extension", "1;a\nx\r\n0\r\n\r\n", "", faultChunkExtension},
	{"bare LF in quotes", "1;a=\"\n\"\r\nx\r\n0\r\n\r\n", "", faultChunkExtension},
	{"CRLF in quotes", "1;a=\"\r\n\"\r\nx\r\n0\r\n\r\n", "", faultChunkExtension},
	{"text behind quotes", "1;a=\"b\"c\r\nx\r\n0\r\n\r\n", "", faultChunkExtension},
	{"data too long", "1\r\nxy\r\n0\r\n\r\n", "", faultChunkEnd},
	{"data too short", "2\r\nx\r\n0\r\n\r\n", "", faultChunkEnd},
	{"bare LF behind data", "1\r\nx\n0\r\n\r\n", "", faultChunkEnd},
	{"bare LF as the end", "0\r\n\n", "", faultBareLF},
	{"obs-fold in trailers", "0\r\nA: b\r\n c\r\n\r\n", "", faultFold},
	{"blank before colon in trailers", "0\r\nA : b\r\n\r\n", "", faultBlankBeforeColon},
	{"long chunk line", "1;a=" + strings.Repeat("b", 5000) + "\r\nx\r\n0\r\n\r\n", "", faultChunkOverhead},
	{"many long chunk lines", strings.Repeat("1;a="+strings.Repeat("b", 3000)+"\r\nx\r\n", 6) + "0\r\n\r\n", "", faultChunkOverhead},
	{"many short chunks", strings.Repeat("1\r\nx\r\n", 5000) + "0\r\n\r\n", strings.Repeat("x", 5000), faultNone},
	{"long trailers", "0\r\n" + strings.Repeat("A: "+strings.Repeat("b", 1000)+"\r\n", 9) + "\r\n", "", faultTrailers},
}

func TestChunkedBodies(t *testing.T) {
	limits := DefaultLimits()
	for _, c := range chunkCases {
		t.Run(c.name, func(t *testing.T) {
			for _, response := range []bool{false, true} {
				var d Decoder
				if response {
					d.ResetResponse(&Response{Framing: BodyChunked, ContentLength: -1}, &limits)
				} else {
					d.ResetRequest(&Request{Framing: BodyChunked, ContentLength: -1}, &limits)
				}
				data, n, done, err := d.DecodeInPlace([]byte(c.raw + "GET "))
				switch {
				case c.fault == faultNone:
					if err != nil || !done || n != len(c.raw) || string(data) != c.want {
						t.Fatalf("data %.100q, n %d, done %v, error %v", data, n, done, err)
					}
				case response && !errors.Is(err, c.fault.response()), !response && !errors.Is(err, c.fault.request()):
					t.Fatalf("error %v, want %v", err, c.fault.request())
				}
			}
		})
	}
}

func TestTrailersThatMayNotBe(t *testing.T) {
	limits := DefaultLimits()
	var d Decoder
	for range 2 { // The second time in used memory.
		d.ResetRequest(&Request{Framing: BodyChunked}, &limits)
		raw := "0\r\nX-T: v\r\nContent-Length: 5\r\nHost: x\r\nauthorization: y\r\nContent_Length: 6\r\nX_Forwarded_For: z\r\nX-Envoy-A: b\r\nX-Kong-Any: c\r\nx_consumer_new: d\r\nX-Credential-Any: e\r\nX-Authenticated-Scope: f\r\nx-u: w\r\n\r\n"
		if _, _, done, err := d.Decode([]byte(raw)); err != nil || !done {
			t.Fatalf("done %v, error %v", done, err)
		}
		if got, want := fieldList(d.Trailers()), "X-T=v;x-u=w;"; got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
}

func TestBodyLimitOfChunks(t *testing.T) {
	limits := DefaultLimits()
	limits.Body = 10
	for raw, want := range map[string]error{
		"a\r\n0123456789\r\n0\r\n\r\n":          nil,
		"b\r\n":                                 faultBodyTooLarge.request(),
		"5\r\n01234\r\n6\r\n":                   faultBodyTooLarge.request(),
		"5\r\n01234\r\n7fffffffffffffff\r\n":    faultBodyTooLarge.request(),
		"5\r\n01234\r\n5\r\n01234\r\n0\r\n\r\n": nil,
	} {
		var d Decoder
		d.ResetRequest(&Request{Framing: BodyChunked}, &limits)
		if _, _, _, err := d.DecodeInPlace([]byte(raw)); !errors.Is(err, want) {
			t.Errorf("%q: error %v, want %v", raw, err, want)
		}
		d.ResetResponse(&Response{Framing: BodyChunked}, &limits)
		if _, _, _, err := d.DecodeInPlace([]byte(raw)); err != nil {
			t.Errorf("%q in a response: error %v", raw, err)
		}
	}
}

func TestOtherFramings(t *testing.T) {
	limits := DefaultLimits()
	var d Decoder
	d.ResetRequest(&Request{Framing: BodyLength, ContentLength: 3}, &limits)
	if d.Ended() || d.Left() != 3 {
		t.Fatal("a body of 3 bytes is complete before the first")
	}
	if data, n, done, err := d.Decode([]byte("ab")); string(data) != "ab" || n != 2 || done || err != nil {
		t.Fatalf("%q %d %v %v", data, n, done, err)
	}
	if data, n, done, err := d.Decode([]byte("cGET")); string(data) != "c" || n != 1 || !done || err != nil || !d.Ended() {
		t.Fatalf("%q %d %v %v", data, n, done, err)
	}
	d.ResetRequest(&Request{Framing: BodyNone, ContentLength: -1}, &limits)
	if data, n, done, err := d.Decode([]byte("GET")); len(data) != 0 || n != 0 || !done || err != nil || !d.Ended() {
		t.Fatalf("%q %d %v %v", data, n, done, err)
	}
	d.ResetResponse(&Response{Framing: BodyUntilClose, ContentLength: -1}, &limits)
	if data, n, done, err := d.Decode([]byte("abc")); string(data) != "abc" || n != 3 || done || err != nil || !d.Ended() {
		t.Fatalf("%q %d %v %v", data, n, done, err)
	}
	// A HEAD answer announces a length that never comes.
	d.ResetResponse(&Response{Framing: BodyNone, ContentLength: 5}, &limits)
	if _, n, done, _ := d.Decode([]byte("HTTP")); n != 0 || !done {
		t.Fatal("an answer without body took bytes")
	}
	d.ResetResponse(&Response{Framing: BodyChunked}, &limits)
	if _, _, done, _ := d.DecodeInPlace([]byte("5\r\nabc")); done || d.Ended() || d.Left() != 2 {
		t.Fatal("a broken chunk counts as complete")
	}
}

func TestErrorText(t *testing.T) {
	var e *Error
	if !errors.As(faultTwoHosts.request(), &e) || e.Error() != "http1: 400 Bad request: more than one Host" {
		t.Fatal(e)
	}
	for f := faultNeedMore + 1; f < faultCount; f++ {
		if requestErrors[f].Reason == "" || responseErrors[f].Status != 502 {
			t.Errorf("fault %d has no reason", f)
		}
	}
}
