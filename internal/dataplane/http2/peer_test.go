// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

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

func (p *peer) sentPreface() {
	out := p.c.TakeOutput(nil)
	p.out.Write(bytes.TrimPrefix(out, []byte(Preface)))
	p.sent()
}
