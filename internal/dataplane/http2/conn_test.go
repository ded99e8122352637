// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
)

func TestRequestAndAnswer(t *testing.T) {
	p := newPeer(t, serverConfig())
	p.head(1, false, ":method", "POST", ":scheme", "https", ":path", "/a/../b?c=d", ":authority", "a.test:8443", "cookie", "a=b", "x-y", "z", "te", "trailers",
		"cookie", "c=d", "content-type", "application/grpc", "x-envoy-internal", "1", "x-gone", "")
	s := p.stream(EventRequest)
	r := &s.Request
	if string(r.Method) != "POST" || r.MethodID != http1.MethodPost || string(r.Target) != "/a/../b?c=d" || string(r.Query) != "c=d" || r.PlainPath ||
		string(r.Hostname) != "a.test" || r.Port != 8443 || r.Framing != http1.BodyChunked || !r.AcceptsTrailers || r.Minor != 1 || s.Refusal != nil {
		t.Errorf("%+v %v", r, s.Refusal)
	}
	var head strings.Builder
	r.Header.Each(func(name, value []byte) bool { fmt.Fprintf(&head, "%s=%s;", name, value); return true })
	if want := "cookie=a=b; c=d;x-y=z;te=trailers;content-type=application/grpc;x-gone=;host=a.test:8443;"; head.String() != want {
		t.Errorf("header %s, want %s", head.String(), want)
	}
	p.data(1, false, "hello")
	p.data(1, false, " world")
	if got := p.c.Take(s, nil); string(got) != "hello world" || s.Ended() {
		t.Errorf("body %q, ended %v", got, s.Ended())
	}
	p.head(1, true, "x-sum", "11", "host", "evil")
	if v, _ := s.Trailer.Get("X-Sum"); string(v) != "11" || s.Trailer.Len() != 1 || !s.Ended() {
		t.Errorf("trailers %v, ended %v", s.Trailer.Fields(), s.Ended())
	}
	p.drop()
	p.c.SendHead(s, respond(t, 200), false)
	p.c.Queue(s, bytes.Repeat([]byte("x"), 20000), false)
	p.schedule()
	p.want("1:200 1:data(16384) 1:data(3616)")
	var trailers http1.Header
	trailers.Add("Grpc-Status", []byte("0"))
	var e Encoder
	p.c.SendHead(s, e.AppendTrailers(nil, &trailers), true)
	p.want("1:head.")
	p.c.Done(s)
	if p.c.Streams() != 0 || p.sent() != "" || p.err != nil {
		t.Errorf("%d streams, %v", p.c.Streams(), p.err)
	}
}

func TestMalformedRequests(t *testing.T) {
	for name, fields := range map[string][]string{
		"no method":                {":scheme", "http", ":path", "/", ":authority", "a"},
		"status":                   get(":status", "200"),
		"pseudo-header twice":      get(":path", "/"),
		"pseudo-header late":       {":method", "GET", ":scheme", "http", "a", "b", ":path", "/"},
		"unknown pseudo-header":    get(":protocol", "websocket"),
		"upper case":               get("X-A", "b"),
		"empty name":               get("", "b"),
		"blank in a name":          get("a b", "c"),
		"line end in a value":      get("a", "b\r\nc: d"),
		"NUL in a value":           get("a", "\x00"),
		"blank before a value":     get("a", " b"),
		"blank behind a value":     get("a", "b\t"),
		"connection":               get("connection", "close"),
		"transfer-encoding":        get("transfer-encoding", "chunked"),
		"upgrade":                  get("upgrade", "h2c"),
		"keep-alive":               get("keep-alive", "1"),
		"proxy-connection":         get("proxy-connection", "close"),
		"te":                       get("te", "gzip"),
		"two hosts":                get("host", "a.test", "host", "a.test"),
		"another host":             get("host", "b.test"),
		"relative path":            {":method", "GET", ":scheme", "http", ":path", "a", ":authority", "a"},
		"empty path":               {":method", "GET", ":scheme", "http", ":path", "", ":authority", "a"},
		"empty authority":          {":method", "GET", ":scheme", "http", ":path", "/", ":authority", ""},
		"user in authority":        {":method", "GET", ":scheme", "http", ":path", "/", ":authority", "u@a"},
		"foreign scheme":           {":method", "GET", ":scheme", "ftp", ":path", "/", ":authority", "a"},
		"CONNECT with a path":      {":method", "CONNECT", ":scheme", "http", ":path", "/", ":authority", "a"},
		"length without a body":    get("content-length", "1"),
		"line end in the path":     {":method", "GET", ":scheme", "http", ":path", "/\r\n", ":authority", "a"},
		"line end in the method":   {":method", "G\nET", ":scheme", "http", ":path", "/", ":authority", "a"},
		"blank in the authority":   {":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a b"},
		"pseudo-header in trailer": nil,
	} {
		p := newPeer(t, serverConfig())
		want := "1:PROTOCOL_ERROR"
		if fields == nil {
			p.head(1, false, get()...)
			p.head(1, true, ":path", "/x")
		} else {
			p.head(1, true, fields...)
		}
		if got := p.sent(); got != want || p.err != nil {
			t.Errorf("%s: sent %q, want %q; %v", name, got, want, p.err)
		}
		// The connection and its table are still good.
		p.head(3, true, get("x-after", "1")...)
		if s := p.stream(EventRequest); s.ID != 3 {
			t.Errorf("%s: the connection is lost", name)
		}
	}
}

func TestRefusedRequests(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		fields []string
	}{
		"no host":          {400, []string{":method", "GET", ":scheme", "http", ":path", "/"}},
		"broken host":      {400, []string{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a..b"}},
		"blank in path":    {400, []string{":method", "GET", ":scheme", "http", ":path", "/a b", ":authority", "a"}},
		"CONNECT":          {400, []string{":method", "CONNECT", ":authority", "a:1"}},
		"TRACE":            {405, []string{":method", "TRACE", ":scheme", "http", ":path", "/", ":authority", "a"}},
		"two lengths":      {400, get("content-length", "1", "content-length", "1")},
		"underscored":      {400, get("content_length", "1")},
		"long field":       {400, get("a", strings.Repeat("b", 9<<10))},
		"many fields":      {400, get(strings.Split(strings.Repeat("a,b,", 2000), ",")[:2400]...)},
		"long path":        {414, []string{":method", "GET", ":scheme", "http", ":path", "/" + strings.Repeat("a", 9<<10), ":authority", "a"}},
		"large head":       {400, get("a", strings.Repeat("b", 8000), "c", strings.Repeat("b", 8000), "d", strings.Repeat("b", 8000), "e", strings.Repeat("b", 8000), "f", strings.Repeat("b", 8000))},
		"body over limits": {413, get("content-length", "2000")},
	} {
		config := serverConfig()
		config.Limits.Body = 1000
		p := newPeer(t, config)
		// In pieces that fit a frame.
		block := p.encode(c.fields...)
		first := min(len(block), maxFrame)
		_ = p.w.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:first], EndHeaders: first == len(block)})
		for block = block[first:]; len(block) > 0; {
			n := min(len(block), maxFrame)
			_ = p.w.WriteContinuation(1, n == len(block), block[:n])
			block = block[n:]
		}
		p.push()
		var refusal *http1.Error
		if s := p.stream(EventRequest); !errors.As(s.Refusal, &refusal) || refusal.Status != c.status {
			t.Errorf("%s: %v, want %d", name, s.Refusal, c.status)
		}
	}
}

func TestConnectionErrors(t *testing.T) {
	raw := func(kind, flags byte, id byte, payload string) string {
		return string([]byte{0, 0, byte(len(payload)), kind, flags, 0, 0, 0, id}) + payload
	}
	for name, c := range map[string]struct {
		bytes string
		code  ErrCode
	}{
		"DATA on idle":                {raw(0, 0, 1, ""), CodeProtocol},
		"HEADERS on 0":                {raw(1, 4, 0, ""), CodeProtocol},
		"HEADERS on an even stream":   {raw(1, 4, 2, ""), CodeProtocol},
		"RST_STREAM on idle":          {raw(3, 0, 1, "0000"), CodeProtocol},
		"RST_STREAM of 3 bytes":       {raw(3, 0, 1, "000"), CodeFrameSize},
		"SETTINGS of 5 bytes":         {raw(4, 0, 0, "00000"), CodeFrameSize},
		"SETTINGS on a stream":        {raw(4, 0, 1, ""), CodeProtocol},
		"acknowledgement with data":   {raw(4, 1, 0, "000000"), CodeFrameSize},
		"push 2":                      {raw(4, 0, 0, "\x00\x02\x00\x00\x00\x02"), CodeProtocol},
		"window 2^31":                 {raw(4, 0, 0, "\x00\x04\x80\x00\x00\x00"), CodeFlowControl},
		"frame size 16383":            {raw(4, 0, 0, "\x00\x05\x00\x00\x3f\xff"), CodeProtocol},
		"PUSH_PROMISE":                {raw(5, 4, 1, "0000"), CodeProtocol},
		"PING of 7 bytes":             {raw(6, 0, 0, "0000000"), CodeFrameSize},
		"PING on a stream":            {raw(6, 0, 1, "00000000"), CodeProtocol},
		"GOAWAY of 7 bytes":           {raw(7, 0, 0, "0000000"), CodeFrameSize},
		"WINDOW_UPDATE of 3 bytes":    {raw(8, 0, 0, "000"), CodeFrameSize},
		"WINDOW_UPDATE of 0":          {raw(8, 0, 0, "\x00\x00\x00\x00"), CodeProtocol},
		"WINDOW_UPDATE too large":     {raw(8, 0, 0, "\x7f\xff\xff\xff"), CodeFlowControl},
		"WINDOW_UPDATE on idle":       {raw(8, 0, 1, "\x00\x00\x00\x01"), CodeProtocol},
		"CONTINUATION alone":          {raw(9, 4, 1, ""), CodeProtocol},
		"a frame inside a block":      {raw(1, 0, 1, "\x82") + raw(6, 0, 0, "00000000"), CodeProtocol},
		"an unknown one, too":         {raw(1, 0, 1, "\x82") + raw(0xee, 0, 0, ""), CodeProtocol},
		"another stream's block":      {raw(1, 0, 1, "\x82") + raw(9, 4, 3, ""), CodeProtocol},
		"padding":                     {raw(1, 4|8, 1, "\x02\x82"), CodeProtocol},
		"HEADERS depends on itself":   {raw(1, 4|0x20, 1, "\x00\x00\x00\x01\x00\x82"), CodeProtocol},
		"broken block":                {raw(1, 4, 1, "\x80"), CodeCompression},
		"larger than the frame limit": {"\x00\x40\x01\x00\x00\x00\x00\x00\x01", CodeFrameSize},
		"too many CONTINUATIONs":      {raw(1, 0, 1, "\x82") + strings.Repeat(raw(9, 0, 1, ""), 20), CodeEnhanceYourCalm},
		"PINGs":                       {strings.Repeat(raw(6, 0, 0, "00000000"), 600), CodeEnhanceYourCalm},
		"SETTINGS":                    {strings.Repeat(raw(4, 0, 0, ""), 200), CodeEnhanceYourCalm},
		"PRIORITYs":                   {strings.Repeat(raw(2, 0, 1, "\x00\x00\x00\x00\x00"), 3000), CodeEnhanceYourCalm},
		"unknown frames":              {strings.Repeat(raw(0xee, 0, 0, ""), 3000), CodeEnhanceYourCalm},
	} {
		p := newPeer(t, serverConfig())
		p.in.WriteString(c.bytes)
		p.push()
		var failed *ConnError
		if !errors.As(p.err, &failed) || failed.Code != c.code {
			t.Errorf("%s: %v, want %v", name, p.err, c.code)
		}
		if words := p.sent(); !strings.HasSuffix(words, fmt.Sprintf("goaway(0,%s)", c.code)) && !strings.HasSuffix(words, fmt.Sprintf("goaway(1,%s)", c.code)) {
			t.Errorf("%s: sent %.200s", name, words)
		}
	}
	for _, first := range []string{"GET / HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\rX", Preface + raw(6, 0, 0, "00000000"), Preface + raw(4, 1, 0, "")} {
		p := barePeer(t, serverConfig())
		p.in.WriteString(first)
		if p.push(); p.err == nil {
			t.Errorf("%q is taken for a preface and SETTINGS", first)
		}
	}
}

func TestDecodedSize(t *testing.T) {
	p := newPeer(t, serverConfig())
	// One entry of the table, over and over.
	block := append(p.encode(get("x-bomb", strings.Repeat("x", 3000))...), bytes.Repeat([]byte{0xbe}, 4000)...)
	_ = p.w.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndHeaders: true})
	p.push()
	if p.want("goaway(1,ENHANCE_YOUR_CALM)"); p.err == nil {
		t.Error("a head of 12 MB out of 7 KB is taken")
	}
}

func TestClosedStreams(t *testing.T) {
	start := func() (*peer, *Stream) {
		p := newPeer(t, serverConfig())
		p.head(5, true, get()...)
		s := p.stream(EventRequest)
		p.drop()
		return p, s
	}
	p, _ := start()
	p.data(5, false, "x")
	p.want("5:STREAM_CLOSED")
	p, _ = start()
	p.head(5, true, get()...)
	p.want("goaway(5,STREAM_CLOSED)")
	p, _ = start()
	p.head(3, true, get()...)
	p.want("goaway(5,PROTOCOL_ERROR)")

	p, s := start()
	p.c.SendHead(s, respond(t, 204), true)
	p.c.Done(s)
	_ = p.w.WriteWindowUpdate(5, 1)
	_ = p.w.WriteRSTStream(5, xhttp2.ErrCodeCancel)
	p.push()
	p.data(5, true, "")
	p.want("5:204. 5:STREAM_CLOSED")
	p.head(5, true, get()...)
	p.want("goaway(5,STREAM_CLOSED)")

	// What was under way when we reset is not held against the client.
	p = newPeer(t, serverConfig())
	p.head(1, false, get()...)
	p.c.Reset(p.stream(EventRequest), CodeInternal)
	p.data(1, false, "x")
	p.c.Done(p.events[0].Stream)
	p.data(1, false, "x")
	p.head(1, true, "x", "y")
	if p.want("1:INTERNAL_ERROR"); p.err != nil {
		t.Error(p.err)
	}

	// A body that nobody wants after the answer.
	p = newPeer(t, serverConfig())
	p.head(1, false, get()...)
	s = p.stream(EventRequest)
	p.c.SendHead(s, respond(t, 200), true)
	p.c.Done(s)
	p.want("1:200. 1:NO_ERROR")
}

func TestContentLength(t *testing.T) {
	for _, c := range []struct {
		length, body string
		trailers, ok bool
	}{{"3", "abc", false, true}, {"3", "abc", true, true}, {"3", "ab", false, false}, {"3", "ab", true, false}, {"3", "abcd", false, false}, {"0", "", false, true}} {
		p := newPeer(t, serverConfig())
		p.head(1, false, get("content-length", c.length)...)
		p.data(1, !c.trailers, c.body)
		if c.trailers {
			p.head(1, true, "x", "y")
		}
		s := p.events[0].Stream
		if _, _, failed := s.Failed(); failed == c.ok || c.ok != s.Complete() {
			t.Errorf("%+v: failed %v, complete %v", c, failed, s.Complete())
		}
	}
}

func TestConcurrency(t *testing.T) {
	p := newPeer(t, serverConfig())
	for id := uint32(1); id < 17; id += 2 {
		p.head(id, true, get()...)
	}
	if len(p.events) != 8 {
		t.Fatalf("%d requests", len(p.events))
	}
	streams := p.events
	p.head(17, true, get()...)
	p.want("17:REFUSED_STREAM")
	// A cancelled stream counts until its handler ends.
	_ = p.w.WriteRSTStream(1, xhttp2.ErrCodeCancel)
	p.push()
	if s := p.stream(EventReset); s != streams[0].Stream {
		t.Error("another stream was reset")
	}
	p.head(19, true, get()...)
	p.want("19:REFUSED_STREAM")
	p.c.Done(streams[0].Stream)
	p.head(21, true, get()...)
	p.want("")
	p.stream(EventRequest)
	// For the client a stream is over with its answer, whatever its handler still does.
	p.c.SendHead(streams[1].Stream, respond(t, 204), true)
	p.head(23, true, get()...)
	p.want("3:204.")
	p.stream(EventRequest)
	p.head(25, true, get()...)
	p.want("25:REFUSED_STREAM")
}

// Handlers may outlive their streams, but not without end: those that do not come to theirs keep further streams out.
func TestHandlersThatOutliveStreams(t *testing.T) {
	p := newPeer(t, serverConfig())
	const most = 2 * 8
	var ended []*Stream
	id := uint32(1)
	for ; len(ended) < most; id += 2 {
		p.head(id, true, get()...)
		s := p.stream(EventRequest)
		p.c.SendHead(s, respond(t, 204), true)
		ended = append(ended, s)
	}
	p.drop()
	p.head(id, true, get()...)
	p.want(fmt.Sprint(id, ":REFUSED_STREAM"))
	p.c.Done(ended[0])
	p.head(id+2, true, get()...)
	p.want("")
	p.stream(EventRequest)
}

func TestRapidReset(t *testing.T) {
	p := newPeer(t, serverConfig())
	n := 0
	reset := func() {
		id := uint32(2*n + 1)
		n++
		p.head(id, true, get()...)
		if p.err == nil {
			s := p.stream(EventRequest)
			_ = p.w.WriteRSTStream(id, xhttp2.ErrCodeCancel)
			p.push()
			p.c.Done(s)
		}
	}
	for p.err == nil && n < 1000 {
		reset()
	}
	var failed *ConnError
	if !errors.As(p.err, &failed) || failed.Code != CodeEnhanceYourCalm || n < 100 || n > 300 {
		t.Errorf("%v after %d resets", p.err, n)
	}
	// A slower one is nobody's trouble.
	p, n = newPeer(t, serverConfig()), 0
	now := time.Unix(0, 0)
	for range 1000 {
		reset()
		now = now.Add(50 * time.Millisecond)
		p.c.Advance(now)
	}
	if p.err != nil {
		t.Errorf("20 resets a second: %v", p.err)
	}
}

func TestDrain(t *testing.T) {
	p := newPeer(t, serverConfig())
	p.head(1, true, get()...)
	first := p.stream(EventRequest)
	p.c.Drain()
	p.want("goaway(2147483647,NO_ERROR) ping")
	p.head(3, true, get()...)
	second := p.stream(EventRequest)
	_ = p.w.WritePing(true, [8]byte([]byte("draining")))
	p.push()
	p.want("goaway(3,NO_ERROR)")
	p.head(5, true, get()...)
	if p.events[len(p.events)-1].Kind != EventDrained || p.c.Over() {
		t.Errorf("events %v", p.events)
	}
	for _, s := range []*Stream{first, second} {
		p.c.SendHead(s, respond(t, 200), true)
		p.c.Done(s)
	}
	if p.want("1:200. 3:200."); !p.c.Over() {
		t.Error("the connection is not over")
	}
}

// TestTableUpdate: a client that allows no table is told that it has none.
func TestTableUpdate(t *testing.T) {
	p := newPeer(t, serverConfig())
	p.settings(xhttp2.Setting{ID: xhttp2.SettingHeaderTableSize, Val: 0})
	p.head(1, true, get()...)
	p.sent()
	p.c.SendHead(p.stream(EventRequest), respond(t, 200), true)
	if out := p.c.TakeOutput(nil); out[frameHeader] != 0x20 || out[frameHeader+1] != 0x88 {
		t.Errorf("% x", out)
	}
}
