// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

// outcome describes a parse so that two can be compared.
func requestOutcome(n int, err error, r *Request) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(n, " ", facts(r), " ", fieldList(&r.Header))
}

func responseOutcome(n int, err error, r *Response) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(n, r.Minor, r.Status, string(r.Reason), r.Framing, r.ContentLength, r.KeepAlive, r.WebSocket, fieldList(&r.Header))
}

// feed calls parse with growing prefixes of raw that end at cuts and at the end, until it settles. With move, every
// call sees the bytes in fresh memory and the earlier memory is overwritten, as a growing pooled buffer does.
func feed(raw string, cuts []int, move bool, parse func(buf []byte) (int, error)) (int, error) {
	memory := []byte(raw)
	for _, cut := range append(slices.Clone(cuts), len(raw)) {
		if move {
			old := memory
			memory = []byte(raw)
			for i := range old {
				old[i] = '!'
			}
		}
		if n, err := parse(memory[:cut:cut]); !errors.Is(err, ErrNeedMore) {
			return n, err
		}
	}
	return 0, ErrNeedMore
}

func everyCut(n int) []int {
	cuts := make([]int, n)
	for i := range cuts {
		cuts[i] = i
	}
	return cuts
}

// splits calls check for each way to cut a message of n bytes in two, and for single bytes.
func splits(n int, check func(cuts []int)) {
	step := max(1, n/100)
	for cut := 0; cut <= n; cut += step {
		check([]int{cut})
	}
	check(everyCut(n))
}

// checkSplits parses a message cut in many ways, in memory that stays and in memory that moves: the outcome must be that
// of parsing it whole.
func checkSplits(t *testing.T, raw string, parse func(buf []byte) (int, error), outcome func(n int, err error) string, reset func()) {
	t.Helper()
	reset()
	want := outcome(parse([]byte(raw)))
	splits(len(raw), func(cuts []int) {
		for _, move := range []bool{false, true} {
			if move && len(cuts) > 2000 {
				continue
			}
			reset()
			if got := outcome(feed(raw, cuts, move, parse)); got != want {
				t.Fatalf("%.300q cut at %.50v, move %v:\n got %.300s\nwant %.300s", raw, cuts, move, got, want)
			}
		}
	})
}

func TestRequestSplits(t *testing.T) {
	limits := DefaultLimits()
	var r Request
	check := func(raw string) {
		checkSplits(t, raw,
			func(buf []byte) (int, error) { return ParseRequest(buf, &limits, &r) },
			func(n int, err error) string { return requestOutcome(n, err, &r) }, r.Reset)
	}
	for _, c := range requestCases {
		check(c.raw)
	}
	for _, rec := range loadRecordings(t, "recorded_requests.json") {
		check(rec.Raw)
	}
}

func TestResponseSplits(t *testing.T) {
	limits := DefaultResponseLimits()
	var r Response
	check := func(raw string) {
		checkSplits(t, raw,
			func(buf []byte) (int, error) { return ParseResponse(buf, &limits, MethodGet, &r) },
			func(n int, err error) string { return responseOutcome(n, err, &r) }, r.Reset)
	}
	for _, c := range responseCases {
		check(c.raw)
	}
	for _, rec := range loadRecordings(t, "recorded_responses.json") {
		check(rec.Raw)
	}
}

// decode runs a decoder over raw in pieces, and describes what came out.
func decode(d *Decoder, raw string, cuts []int) string {
	var body []byte
	from, total := 0, 0
	for _, cut := range append(slices.Clone(cuts), len(raw)) {
		in := []byte(raw[from:cut])
		for {
			data, n, done, err := d.Decode(in)
			body = append(body, data...)
			total += n
			in = in[n:]
			if err != nil {
				return fmt.Sprintf("%q %v", body, err)
			}
			if done {
				return fmt.Sprintf("%q done at %d, received %d, trailers %s", body, total, d.Received(), fieldList(d.Trailers()))
			}
			if len(in) == 0 {
				break
			}
			if n == 0 {
				return "stuck"
			}
		}
		from = cut
	}
	return fmt.Sprintf("%q open", body)
}

func TestBodySplits(t *testing.T) {
	limits := DefaultLimits()
	for _, c := range chunkCases {
		raw := c.raw + "GET "
		var d Decoder
		d.reset(BodyChunked, -1, sideRequest, &limits)
		want := decode(&d, raw, nil)
		splits(len(raw), func(cuts []int) {
			d.reset(BodyChunked, -1, sideRequest, &limits)
			if got := decode(&d, raw, cuts); got != want {
				t.Fatalf("%.200q cut at %.50v:\n got %.300s\nwant %.300s", raw, cuts, got, want)
			}
		})
	}
}
