// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
)

func testLimits() *http1.Limits {
	l := http1.DefaultLimits()
	return &l
}

func serverConfig() *Config {
	return &Config{Limits: testLimits(), MaxStreams: 8, StreamWindow: 64 << 10, ConnWindow: 128 << 10}
}

func clientConfig() *Config {
	l := http1.DefaultResponseLimits()
	return &Config{Client: true, Limits: &l, StreamWindow: 64 << 10, ConnWindow: 128 << 10}
}

// peer writes frames to a Conn with another implementation, and reads what it sends.
type peer struct {
	t       *testing.T
	c       *Conn
	in, out bytes.Buffer
	w, r    *xhttp2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
	events  []Event
	err     error
}

// newPeer is the client of a server that has its preface.
func newPeer(t *testing.T, config *Config) *peer {
	t.Helper()
	p := barePeer(t, config)
	p.in.WriteString(Preface)
	p.settings()
	p.drop()
	return p
}

func barePeer(t *testing.T, config *Config) *peer {
	p := &peer{t: t, c: NewConn(config)}
	p.w, p.r = xhttp2.NewFramer(&p.in, nil), xhttp2.NewFramer(nil, &p.out)
	p.w.AllowIllegalWrites = true
	p.r.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	p.encoder = hpack.NewEncoder(&p.block)
	return p
}

func (p *peer) settings(s ...xhttp2.Setting) {
	p.t.Helper()
	_ = p.w.WriteSettings(s...)
	p.push()
}

// push has the Conn receive what was written.
func (p *peer) push() {
	p.t.Helper()
	for b := p.in.Bytes(); ; {
		n, ev, err := p.c.Receive(b)
		if b = b[n:]; ev.Kind != EventNone {
			p.events = append(p.events, ev)
		}
		if err != nil {
			p.err = err
		}
		if n == 0 || err != nil {
			p.in.Reset()
			return
		}
	}
}

// drop forgets what the Conn sent and what happened.
func (p *peer) drop() {
	p.t.Helper()
	p.sent()
	p.events = nil
}

// sent returns what the Conn has sent, a word for each frame.
func (p *peer) sent() string {
	p.t.Helper()
	p.out.Write(p.c.TakeOutput(nil))
	var words []string
	for {
		f, err := p.r.ReadFrame()
		if errors.Is(err, io.EOF) {
			return strings.Join(words, " ")
		}
		if err != nil {
			p.t.Fatalf("what was sent cannot be read: %v", err)
		}
		words = append(words, word(f))
	}
}

func word(f xhttp2.Frame) string {
	end := ""
	if f.Header().Flags.Has(xhttp2.FlagDataEndStream) {
		end = "."
	}
	id := f.Header().StreamID
	switch f := f.(type) {
	case *xhttp2.MetaHeadersFrame:
		if status := f.PseudoValue("status"); status != "" {
			return fmt.Sprintf("%d:%s%s", id, status, end)
		}
		return fmt.Sprintf("%d:head%s", id, end)
	case *xhttp2.DataFrame:
		return fmt.Sprintf("%d:data(%d)%s", id, len(f.Data()), end)
	case *xhttp2.RSTStreamFrame:
		return fmt.Sprintf("%d:%s", id, f.ErrCode)
	case *xhttp2.GoAwayFrame:
		return fmt.Sprintf("goaway(%d,%s)", f.LastStreamID, f.ErrCode)
	case *xhttp2.WindowUpdateFrame:
		return fmt.Sprintf("%d:window(%d)", id, f.Increment)
	case *xhttp2.PingFrame:
		if f.IsAck() {
			return "pong"
		}
		return "ping"
	case *xhttp2.SettingsFrame:
		if f.IsAck() {
			return "ack"
		}
		return "settings"
	}
	return f.Header().Type.String()
}

func (p *peer) encode(fields ...string) []byte {
	p.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = p.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return p.block.Bytes()
}

func get(more ...string) []string {
	return append([]string{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a.test"}, more...)
}

func (p *peer) head(id uint32, end bool, fields ...string) {
	p.t.Helper()
	_ = p.w.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: p.encode(fields...), EndStream: end, EndHeaders: true})
	p.push()
}

func (p *peer) data(id uint32, end bool, text string) {
	p.t.Helper()
	_ = p.w.WriteData(id, end, []byte(text))
	p.push()
}

// stream returns the stream of the last event, which must be of that kind.
func (p *peer) stream(kind EventKind) *Stream {
	p.t.Helper()
	if len(p.events) == 0 || p.events[len(p.events)-1].Kind != kind {
		p.t.Fatalf("events %v, want %v last; %v", p.events, kind, p.err)
	}
	return p.events[len(p.events)-1].Stream
}

func (p *peer) want(words string) {
	p.t.Helper()
	if got := p.sent(); got != words {
		p.t.Errorf("sent %q, want %q", got, words)
	}
}

func (p *peer) schedule() { p.c.Schedule(1<<20, func(*Stream) {}) }

func respond(t *testing.T, status int) []byte {
	t.Helper()
	var e Encoder
	b, err := e.AppendResponse(nil, &http1.ResponseHead{Status: status, Framing: http1.BodyChunked, ContentLength: -1})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

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

// TestUnread: a peer that makes us speak and reads nothing is left, whatever it pays its budget with, before much waits for it.
func TestUnread(t *testing.T) {
	server := func() *peer { return newPeer(t, serverConfig()) }
	for name, c := range map[string]struct {
		peer  func() *peer
		again func(p *peer, n int)
	}{
		"PINGs among data": {server, func(p *peer, n int) {
			if n == 0 {
				p.head(1, false, get()...)
			}
			p.data(1, false, strings.Repeat("x", usefulData))
			p.c.Take(p.c.streams[1], nil)
			p.c.Consumed(p.c.streams[1])
			_ = p.w.WritePing(false, [8]byte{})
			p.push()
		}},
		"an upstream's PINGs among data": {func() *peer {
			p := barePeer(t, clientConfig())
			p.settings()
			return p
		}, func(p *peer, n int) {
			if n == 0 {
				p.c.Open(http1.MethodGet, nil, true)
				p.head(1, false, ":status", "200")
			}
			p.data(1, false, strings.Repeat("x", usefulData))
			p.c.Take(p.c.streams[1], nil)
			p.c.Consumed(p.c.streams[1])
			_ = p.w.WritePing(false, [8]byte{})
			p.push()
		}},
		"requests": {server, func(p *peer, n int) {
			p.head(uint32(2*n+1), true, get()...)
			if p.err == nil {
				s := p.stream(EventRequest)
				p.c.SendHead(s, respond(t, 200), true)
				p.c.Done(s)
			}
		}},
		"requests whose bodies nobody reads": {server, func(p *peer, n int) {
			p.head(uint32(2*n+1), false, get()...)
			if p.err == nil {
				s := p.stream(EventRequest)
				p.c.SendHead(s, respond(t, 200), true)
				p.c.Done(s)
			}
		}},
	} {
		p := c.peer()
		for n := 0; n < 20_000 && p.err == nil; n++ {
			c.again(p, n)
		}
		var failed *ConnError
		if !errors.As(p.err, &failed) || failed.Code != CodeEnhanceYourCalm {
			t.Errorf("%s: %v", name, p.err)
		}
		if n := p.c.Output(); n > controlBacklog+1<<10 {
			t.Errorf("%s: %d bytes wait", name, n)
		}
	}
	// Who reads may go on.
	p := server()
	for n := range 5000 {
		p.head(uint32(2*n+1), true, get()...)
		s := p.stream(EventRequest)
		p.c.SendHead(s, respond(t, 200), true)
		p.c.Done(s)
		p.drop()
	}
	if p.err != nil {
		t.Errorf("a client that reads: %v", p.err)
	}
	// No further request waits for a server that does not take those before.
	p = barePeer(t, clientConfig())
	p.settings()
	for n := 0; p.c.Usable() && n < 100; n++ {
		p.c.Open(http1.MethodGet, make([]byte, 64<<10), true)
	}
	if n := p.c.Output(); n < openBacklog || n > openBacklog+128<<10 {
		t.Errorf("%d bytes of requests wait", n)
	}
	p.c.TakeOutput(nil)
	if !p.c.Usable() {
		t.Error("the connection takes no requests although nothing waits")
	}
}

func TestReceiveWindow(t *testing.T) {
	p := newPeer(t, serverConfig())
	p.head(1, false, get()...)
	s := p.stream(EventRequest)
	piece := strings.Repeat("x", 16<<10)
	for range 4 {
		p.data(1, false, piece)
	}
	// Nothing was consumed: nothing more may come.
	p.want("")
	taken := p.c.Take(s, nil)
	p.c.Consumed(s)
	if len(taken) != 64<<10 {
		t.Errorf("%d bytes", len(taken))
	}
	p.want("0:window(65536) 1:window(65536)")
	for range 4 {
		p.data(1, false, piece)
	}
	p.want("")
	p.data(1, false, "x")
	p.want("1:FLOW_CONTROL_ERROR")
	// The bytes of the connection are given back with the stream.
	p.c.Done(s)
	p.want("0:window(65537)")
	// And the connection's own window.
	p = newPeer(t, serverConfig())
	for id := uint32(1); id <= 5; id += 2 {
		p.head(id, false, get()...)
		for range 4 {
			p.data(id, false, piece)
		}
	}
	if p.want("goaway(5,FLOW_CONTROL_ERROR)"); p.err == nil {
		t.Error("more than the connection's window is taken")
	}
}

func TestSendingWindowsAndTurns(t *testing.T) {
	p := newPeer(t, serverConfig())
	p.settings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 40000})
	var streams []*Stream
	for _, id := range []uint32{1, 3, 5} {
		p.head(id, true, get()...)
		streams = append(streams, p.stream(EventRequest))
	}
	p.drop()
	large, small := make([]byte, 100000), make([]byte, 10)
	p.c.Queue(streams[0], large, true)
	p.c.Queue(streams[1], large, true)
	p.c.Queue(streams[2], small, true)
	var done []uint32
	note := func(s *Stream) { done = append(done, s.ID) }
	p.c.Schedule(1, note)
	p.want("1:data(16384)")
	p.c.Schedule(1, note)
	p.want("3:data(16384)")
	// The small one is not kept waiting by the large ones; then the connection's window is used up.
	p.c.Schedule(1<<20, note)
	p.want("5:data(10). 1:data(16384) 3:data(16373)")
	if len(done) != 1 || done[0] != 5 {
		t.Errorf("sent %v", done)
	}
	// An end without data needs no window.
	p.head(7, true, get()...)
	p.c.Queue(p.stream(EventRequest), nil, true)
	p.c.Schedule(1<<20, note)
	p.want("7:data(0).")
	_ = p.w.WriteWindowUpdate(0, 1<<20)
	p.push()
	p.c.Schedule(1<<20, note)
	p.want("1:data(7232) 3:data(7243)")
	_ = p.w.WriteWindowUpdate(3, 1<<20)
	p.push()
	p.c.Schedule(1<<20, note)
	p.want("3:data(16384) 3:data(16384) 3:data(16384) 3:data(10848).")
	// A smaller window may make what is left negative; it must be made up for.
	p.settings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 100})
	p.sent()
	_ = p.w.WriteWindowUpdate(1, 39900)
	p.push()
	p.c.Schedule(1<<20, note)
	p.want("")
	_ = p.w.WriteWindowUpdate(1, 5)
	p.push()
	p.c.Schedule(1<<20, note)
	p.want("1:data(5)")
	_ = p.w.WriteRSTStream(1, xhttp2.ErrCodeCancel)
	p.push()
	if p.stream(EventReset); !streams[0].Sent() {
		t.Error("a reset stream goes on waiting for its window")
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

// joined passes what each side sends to the other.
func joined(t *testing.T, a, b *Conn, see func(*Conn, Event)) {
	t.Helper()
	for a.Output()+b.Output() > 0 {
		for _, way := range [][2]*Conn{{a, b}, {b, a}} {
			for in := way[0].TakeOutput(nil); len(in) > 0; {
				n, ev, err := way[1].Receive(in)
				if err != nil || n == 0 {
					t.Fatalf("%d bytes of %d: %v", n, len(in), err)
				}
				in = in[n:]
				if ev.Kind != EventNone {
					see(way[1], ev)
				}
			}
		}
	}
}

func TestClient(t *testing.T) {
	client, server := NewConn(clientConfig()), NewConn(serverConfig())
	var served, answered []*Stream
	var kinds []EventKind
	exchange := func() {
		joined(t, client, server, func(c *Conn, ev Event) {
			if c == client && ev.Stream != nil {
				kinds = append(kinds, ev.Kind)
				answered = append(answered, ev.Stream)
			} else if ev.Kind == EventRequest {
				served = append(served, ev.Stream)
			}
		})
	}
	var e Encoder
	ask := func(method, path string) *Stream {
		block, err := e.AppendRequest(nil, &http1.RequestHead{Method: []byte(method), Path: []byte(path), Host: []byte("a")}, "http")
		if err != nil {
			t.Fatal(err)
		}
		return client.Open(http1.LookupMethod([]byte(method)), block, true)
	}
	exchange()
	if !client.Usable() || client.Capacity() != 8 {
		t.Fatalf("usable %v, capacity %d", client.Usable(), client.Capacity())
	}
	head, get := ask("HEAD", "/a"), ask("GET", "/b?c")
	exchange()
	if len(served) != 2 || string(served[1].Request.Target) != "/b?c" || served[1].Request.Framing != http1.BodyNone {
		t.Fatalf("served %v", served)
	}
	respond := func(s *Stream, status int, length int64, end bool) {
		block, _ := e.AppendResponse(nil, &http1.ResponseHead{Status: status, Framing: http1.BodyLength, ContentLength: length})
		server.SendHead(s, block, end)
	}
	respond(served[0], 200, 5, true)
	respond(served[1], 103, -1, false)
	respond(served[1], 200, 3, false)
	server.Queue(served[1], []byte("abc"), true)
	server.Schedule(1<<20, func(*Stream) {})
	exchange()
	if len(answered) != 4 || head.Response.ContentLength != 5 || head.Response.Framing != http1.BodyNone || !head.Ended() ||
		len(get.Interim) != 1 || get.Interim[0].Status != 103 || get.Response.Status != 200 || get.Response.Framing != http1.BodyLength || string(client.Take(get, nil)) != "abc" {
		t.Errorf("%v: %+v %+v", kinds, head.Response, get.Response)
	}
	client.Done(head)
	client.Done(get)
	server.Done(served[0])
	server.Done(served[1])

	// What a server that goes away did not look at may be asked again.
	low, high := ask("POST", "/"), ask("POST", "/")
	server.out = appendGoAway(server.out, low.ID, CodeNo)
	client.TakeOutput(nil)
	exchange()
	if low.Unprocessed() || !high.Unprocessed() || client.Lasting() {
		t.Errorf("unprocessed %v %v, lasting %v", low.Unprocessed(), high.Unprocessed(), client.Lasting())
	}
	server.out = appendRSTStream(server.out, low.ID, CodeRefusedStream)
	exchange()
	if !low.Unprocessed() {
		t.Error("a refused stream counts as processed")
	}
}

func TestMalformedResponses(t *testing.T) {
	for name, c := range map[string]struct {
		fields []string
		end    bool
		data   string
	}{
		"no status":          {[]string{"a", "b"}, true, ""},
		"status 99":          {[]string{":status", "099"}, true, ""},
		"101":                {[]string{":status", "101"}, false, ""},
		"interim end":        {[]string{":status", "103"}, true, ""},
		"request pseudo":     {[]string{":status", "200", ":path", "/"}, true, ""},
		"connection":         {[]string{":status", "200", "connection", "close"}, true, ""},
		"two lengths":        {[]string{":status", "200", "content-length", "1", "content-length", "1"}, true, ""},
		"body too short":     {[]string{":status", "200", "content-length", "4"}, false, "abc"},
		"body too long":      {[]string{":status", "200", "content-length", "2"}, false, "abc"},
		"body of 204":        {[]string{":status", "204"}, false, "abc"},
		"length without any": {[]string{":status", "200", "content-length", "4"}, true, ""},
	} {
		p := barePeer(t, clientConfig())
		p.settings()
		p.sentPreface()
		var e Encoder
		block, _ := e.AppendRequest(nil, &http1.RequestHead{Method: []byte("GET"), Path: []byte("/"), Host: []byte("a")}, "http")
		s := p.c.Open(http1.MethodGet, block, true)
		p.sent()
		p.head(s.ID, c.end, c.fields...)
		if c.data != "" {
			p.data(s.ID, true, c.data)
		}
		if code, byPeer, failed := s.Failed(); !failed || byPeer || code != CodeProtocol || p.err != nil {
			t.Errorf("%s: %v %v %v; %v", name, code, byPeer, failed, p.err)
		}
	}
}

func (p *peer) sentPreface() {
	out := p.c.TakeOutput(nil)
	p.out.Write(bytes.TrimPrefix(out, []byte(Preface)))
	p.sent()
}
