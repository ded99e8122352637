// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
)

// h2Raw is a client that sends what it likes.
type h2Raw struct {
	t *testing.T
	net.Conn
	*http2.Framer
	encoded bytes.Buffer
	encoder *hpack.Encoder
	stream  uint32
}

func h2Dial(t *testing.T, address string) *h2Raw {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(h2Wait))
	r := &h2Raw{t: t, Conn: nc, Framer: http2.NewFramer(nc, nc), stream: 1}
	r.encoder = hpack.NewEncoder(&r.encoded)
	r.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := io.WriteString(nc, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *h2Raw) close() { _ = r.Close() }

// open sends the head of a request: name, value, name, value.
func (r *h2Raw) open(end bool, fields ...string) (id uint32, err error) {
	id = r.stream
	r.stream += 2
	return id, r.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: r.encode(fields), EndStream: end, EndHeaders: true})
}

func (r *h2Raw) encode(fields []string) []byte {
	r.encoded.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = r.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return r.encoded.Bytes()
}

// outcome is a status, or how the stream or the connection was ended.
func (r *h2Raw) outcome(id uint32) string {
	r.t.Helper()
	for {
		frame, err := r.ReadFrame()
		if err != nil {
			return "closed"
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			if f.StreamID == id {
				return f.PseudoValue("status")
			}
		case *http2.RSTStreamFrame:
			if f.StreamID == id {
				return "reset " + f.ErrCode.String()
			}
		case *http2.GoAwayFrame:
			if f.ErrCode != http2.ErrCodeNo {
				return "goaway " + f.ErrCode.String()
			}
		}
	}
}

func TestHTTP2Strictness(t *testing.T) {
	var reached atomic.Int32
	g := h2Start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached.Add(1)
		h2Echo(w, r)
	}), func(s *engine.Settings) { s.ClientMaxBodySize = 1 << 10 })
	request := func(more ...string) []string {
		return append([]string{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a.example"}, more...)
	}
	with := func(name, value string) []string {
		out := request()
		for i := 0; i < len(out); i += 2 {
			if out[i] == name {
				out[i+1] = value
			}
		}
		return out
	}
	without := func(name string) []string {
		var out []string
		for i, all := 0, request(); i < len(all); i += 2 {
			if all[i] != name {
				out = append(out, all[i], all[i+1])
			}
		}
		return out
	}
	const broken = "reset PROTOCOL_ERROR"
	for _, c := range []struct {
		name   string
		fields []string
		body   string // sent with END_STREAM; "" ends the stream with its head
		want   string
	}{
		{"plain", request(), "", "200"},
		{"Host as :authority", request("host", "a.example"), "", "200"},
		{"Host alone", append(without(":authority"), "host", "a.example"), "", "200"},
		{"Host against :authority", request("host", "b.example"), "", broken},
		{"two Hosts", append(without(":authority"), "host", "a.example", "host", "a.example"), "", broken},
		{"neither Host nor :authority", without(":authority"), "", "400"},
		{"userinfo in :authority", with(":authority", "a@b.example"), "", broken},
		{"empty label in :authority", with(":authority", "a..b"), "", "400"},
		{"blank in :authority", with(":authority", "a b"), "", broken},
		{"no :path", without(":path"), "", broken},
		{"empty :path", with(":path", ""), "", broken},
		{"absolute :path", with(":path", "http://b.example/"), "", broken},
		{"asterisk without OPTIONS", with(":path", "*"), "", "400"},
		{"blank in :path", with(":path", "/a b"), "", "400"},
		{"a request line in :path", with(":path", "/a HTTP/1.1"), "", "400"},
		{"CR LF in :path", with(":path", "/a\r\nx: y"), "", broken},
		{"fragment in :path", with(":path", "/a#b"), "", "400"},
		{"NUL in :path", with(":path", "/%00"), "", "400"},
		{"a request line in :method", with(":method", "GET /x"), "", "400"},
		{"empty :method", with(":method", ""), "", broken},
		{"CONNECT", []string{":method", "CONNECT", ":authority", "a.example:443"}, "", "400"},
		{"CONNECT with a path", with(":method", "CONNECT"), "", broken},
		{"TRACE", with(":method", "TRACE"), "", "405"},
		{"no :scheme", without(":scheme"), "", broken},
		{"foreign :scheme", with(":scheme", "ftp"), "", broken},
		{"unknown pseudo-header", append([]string{":protocol", "websocket"}, request()...), "", broken},
		{"pseudo-header behind a field", append(without(":path"), "a", "b", ":path", "/"), "", broken},
		{"pseudo-header twice", append([]string{":path", "/x"}, request()...), "", broken},
		{"upper case in a name", request("X-Upper", "a"), "", broken},
		{"CR LF in a value", request("x-a", "b\r\nc: d"), "", broken},
		{"NUL in a value", request("x-a", "b\x00"), "", broken},
		{"Connection", request("connection", "close"), "", broken},
		{"Keep-Alive", request("keep-alive", "1"), "", broken},
		{"Transfer-Encoding", request("transfer-encoding", "chunked"), "", broken},
		{"Upgrade", request("upgrade", "websocket"), "", broken},
		{"TE: gzip", request("te", "gzip"), "", broken},
		{"TE: trailers", request("te", "trailers"), "", "200"},
		{"two lengths", request("content-length", "1", "content-length", "1"), "x", "400"},
		{"length that is no number", request("content-length", "+1"), "", "400"},
		{"length without a body", request("content-length", "5"), "", broken},
		{"length above the body", request("content-length", "5"), "x", broken},
		{"length below the body", request("content-length", "1"), "xyz", broken},
		{"length that fits", request("content-length", "3"), "xyz", "200"},
		{"no length", request(), "xyz", "200"},
		{"length above client_max_body_size", request("content-length", "2048"), strings.Repeat("x", 2048), "413"},
		{"body above client_max_body_size", request(), strings.Repeat("x", 2048), "413"},
		{"head above the limit of a line", request("x-long", strings.Repeat("x", 9<<10)), "", "400"},
	} {
		r := h2Dial(t, g.plain)
		id, err := r.open(c.body == "", c.fields...)
		if err == nil && c.body != "" {
			err = r.WriteData(id, true, []byte(c.body))
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		before := reached.Load()
		if got := r.outcome(id); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		r.close()
		if c.want != "200" && reached.Load() != before && c.name != "length below the body" {
			t.Errorf("%s: it reached the upstream", c.name)
		}
	}
}

func TestHTTP2HeaderLimits(t *testing.T) {
	g := h2Start(t, http.HandlerFunc(h2Echo), nil)
	r := h2Dial(t, g.plain)
	fields := []string{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a"}
	for i := range 12 {
		fields = append(fields, "x-"+strconv.Itoa(i), strings.Repeat("x", 1<<10))
	}
	if id, err := r.open(true, fields...); err != nil || r.outcome(id) != "200" {
		t.Error("a head of 12 KiB is refused")
	}
	// More than a head may have, spread over CONTINUATION frames.
	big := strings.Repeat("y", 7<<10)
	fields = fields[:8]
	for i := range 8 {
		fields = append(fields, "x-big-"+strconv.Itoa(i), big)
	}
	id, block := r.stream, r.encode(fields)
	if err := r.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block[:8<<10], EndStream: true}); err != nil {
		t.Fatal(err)
	}
	for block = block[8<<10:]; len(block) > 0; {
		n := min(8<<10, len(block))
		if r.WriteContinuation(id, n == len(block), block[:n]) != nil {
			break
		}
		block = block[n:]
	}
	if got := r.outcome(id); got == "200" {
		t.Error("a head of 56 KiB is served")
	}
}

// TestHTTP2Floods checks that resetting streams does not let a client have more
// under way than it may.
func TestHTTP2Floods(t *testing.T) {
	var now, most atomic.Int32
	release := make(chan struct{})
	g := h2Start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		select {
		case <-release:
		case <-r.Context().Done():
		}
		h2Echo(w, r)
	}), nil)
	fields := []string{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a"}

	r := h2Dial(t, g.plain)
	failed := make(chan error, 1)
	go func() {
		for range 3000 {
			id, err := r.open(true, fields...)
			if err == nil {
				err = r.WriteRSTStream(id, http2.ErrCodeCancel)
			}
			if err != nil {
				failed <- err
				return
			}
		}
		failed <- nil
	}()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, r.Conn)
	}()
	if err := <-failed; err == nil {
		r.close()
	}
	<-drained
	if n := most.Load(); n > 128 {
		t.Errorf("%d requests were under way upstream at once, want 128 at most", n)
	}
	h2Until(t, "the streams to end", func() bool { return now.Load() == 0 && g.Connections() == 0 })

	// More streams than allowed are refused, not queued.
	r = h2Dial(t, g.plain)
	for range 128 {
		if _, err := r.open(true, fields...); err != nil {
			t.Fatal(err)
		}
	}
	h2Until(t, "128 streams upstream", func() bool { return now.Load() == 128 })
	id, err := r.open(true, fields...)
	if got := r.outcome(id); err != nil || got != "reset REFUSED_STREAM" && got != "reset PROTOCOL_ERROR" {
		t.Errorf("stream 129: %v %s", err, got)
	}
	close(release)
}

// TestHTTP2Trickle checks that clients which start and stop sending are dropped.
func TestHTTP2Trickle(t *testing.T) {
	g := h2Start(t, http.HandlerFunc(h2Echo), func(s *engine.Settings) {
		s.ClientHeaderTimeout, s.ClientBodyTimeout, s.KeepaliveTimeout = 100*time.Millisecond, 100*time.Millisecond, 100*time.Millisecond
	})
	for _, start := range []string{"P", "PRI * HT", http2.ClientPreface[:23]} {
		nc, err := net.Dial("tcp", g.plain)
		if err != nil {
			t.Fatal(err)
		}
		_ = nc.SetDeadline(time.Now().Add(h2Wait))
		_, _ = io.WriteString(nc, start)
		if _, err := io.ReadAll(nc); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the connection stays open after %q", start)
		}
		_ = nc.Close()
	}
	idle := h2Dial(t, g.plain)
	if got := idle.outcome(1); got != "closed" {
		t.Errorf("a connection without streams: %s", got)
	}
	slow := h2Dial(t, g.plain)
	id, err := slow.open(false, ":method", "POST", ":scheme", "http", ":path", "/", ":authority", "a")
	if err != nil {
		t.Fatal(err)
	}
	if got := slow.outcome(id); got != "408" && !strings.HasPrefix(got, "reset") {
		t.Errorf("a body that does not come: %s", got)
	}
	h2Until(t, "the connections to close", func() bool { return g.Connections() == 0 })
}
