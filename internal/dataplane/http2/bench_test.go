// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"bytes"
	"testing"

	"golang.org/x/net/http2/hpack"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
)

// exchanger takes requests through a server's state machine.
type exchanger struct {
	c       *Conn
	encoder Encoder
	head    http1.ResponseHead
	header  http1.Header
	request []byte
	block   []byte
	out     []byte
	id      uint32
}

func newExchanger(tb testing.TB) *exchanger {
	x := &exchanger{c: NewConn(serverConfig()), id: 1}
	if _, _, err := x.c.Receive([]byte(Preface)); err != nil {
		tb.Fatal(err)
	}
	if _, _, err := x.c.Receive(make([]byte, 9)); err == nil {
		tb.Fatal("DATA is taken for SETTINGS")
	}
	x.c = NewConn(serverConfig())
	_, _, _ = x.c.Receive([]byte(Preface))
	_, _, _ = x.c.Receive([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0})
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	fields := [][2]string{{":method", "GET"}, {":scheme", "http"}, {":path", "/bench"}, {":authority", "bench.test"}, {"user-agent", "bench/1.0"}, {"accept", "*/*"}}
	for range 2 {
		// The second time all of it is in the table.
		block.Reset()
		for _, f := range fields {
			_ = e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
		x.request = append(appendHeader(nil, block.Len(), frameHeaders, flagEndHeaders|flagEndStream, 0), block.Bytes()...)
		x.exchange(tb)
	}
	for _, f := range [][2]string{{"server", "up"}, {"date", "Mon, 01 Jan 2024 00:00:00 GMT"}, {"via", "1.1 kong"}, {"x-kong-request-id", "0123456789abcdef0123456789abcdef"}, {"x-kong-proxy-latency", "0"}} {
		x.header.Add(f[0], []byte(f[1]))
	}
	x.head = http1.ResponseHead{Status: 200, Header: &x.header, Framing: http1.BodyLength, ContentLength: 3}
	return x
}

var benchData = []byte("abc")

func (x *exchanger) exchange(tb testing.TB) {
	x.request[5], x.request[6], x.request[7], x.request[8] = byte(x.id>>24), byte(x.id>>16), byte(x.id>>8), byte(x.id)
	x.id += 2
	_, ev, err := x.c.Receive(x.request)
	if err != nil || ev.Kind != EventRequest {
		tb.Fatal(ev, err)
	}
	if x.head.Status == 0 {
		x.c.SendHead(ev.Stream, []byte{0x88}, true)
	} else {
		x.block, err = x.encoder.AppendResponse(x.block[:0], &x.head)
		if err != nil {
			tb.Fatal(err)
		}
		x.c.SendHead(ev.Stream, x.block, false)
		x.c.Queue(ev.Stream, benchData, true)
		x.c.Schedule(1<<16, ignore)
	}
	x.c.Done(ev.Stream)
	x.c.sendWindow = firstWindow
	x.out = x.c.TakeOutput(x.out)
}

func ignore(*Stream) {}

// BenchmarkExchange is a request and its answer, head to end, without I/O.
func BenchmarkExchange(b *testing.B) {
	x := newExchanger(b)
	b.ReportAllocs()
	for b.Loop() {
		x.exchange(b)
	}
}

// TestExchangeAllocations: an exchange allocates nothing.
func TestExchangeAllocations(t *testing.T) {
	x := newExchanger(t)
	if n := testing.AllocsPerRun(1000, func() { x.exchange(t) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkData moves DATA in and out, 16 KiB at a time.
func BenchmarkData(b *testing.B) {
	c := NewConn(serverConfig())
	_, _, _ = c.Receive([]byte(Preface))
	_, _, _ = c.Receive([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0})
	_, ev, err := c.Receive(append(appendHeader(nil, 6, frameHeaders, flagEndHeaders, 1), "\x82\x86\x84\x41\x01a"...))
	if err != nil {
		b.Fatal(err)
	}
	in := append(appendHeader(nil, maxFrame, frameData, 0, 1), make([]byte, maxFrame)...)
	var spare, out []byte
	b.SetBytes(2 * maxFrame)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := c.Receive(in); err != nil {
			b.Fatal(err)
		}
		data := c.Take(ev.Stream, spare)
		ev.Stream.sendWindow, c.sendWindow = 1<<20, 1<<20
		c.Queue(ev.Stream, data, false)
		c.Schedule(1<<20, ignore)
		c.Consumed(ev.Stream)
		spare = data
		out = c.TakeOutput(out)
	}
}
