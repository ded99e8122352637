// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// scriptCalls runs a server that each call is handed to by its stream and number.
func scriptCalls(t *testing.T, calls *atomic.Int32, each func(f *xhttp2.Framer, id uint32, call int32)) *scripted {
	t.Helper()
	return script(t, func(_ int, nc net.Conn, in *bufio.Reader) {
		preface := make([]byte, len(xhttp2.ClientPreface))
		if _, err := io.ReadFull(in, preface); err != nil {
			return
		}
		f := xhttp2.NewFramer(nc, in)
		f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		_ = f.WriteSettings()
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			if h, ok := frame.(*xhttp2.MetaHeadersFrame); ok {
				each(f, h.StreamID, calls.Add(1))
			}
		}
	})
}

func answerCall(f *xhttp2.Framer, id uint32) {
	_ = f.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x88}, EndHeaders: true, EndStream: true})
}

// A server that did not take a call costs none of the service's retries, a few
// times; one that takes none at all is not asked for ever.
func TestGRPCRefusedIsNoTry(t *testing.T) {
	for _, c := range []struct {
		name     string
		refusals int32
		want     string
		calls    int32
	}{{"twice", 2, "200", 3}, {"always", 1 << 30, "502", 4}} {
		t.Run(c.name, func(t *testing.T) {
			var calls atomic.Int32
			up := scriptCalls(t, &calls, func(f *xhttp2.Framer, id uint32, call int32) {
				if call > c.refusals {
					answerCall(f, id)
					return
				}
				_ = f.WriteRSTStream(id, xhttp2.ErrCodeRefusedStream)
			})
			config := strings.Replace(grpcConfig("grpc", up.Addr().String(), ""), "retries: 3", "retries: 0", 1)
			r := startRig(t, config, rigOptions{})
			raw := h2Dial(t, r.plain)
			id, err := raw.open(true, ":method", "POST", ":scheme", "http", ":path", "/x", ":authority", "a", "content-type", "application/grpc")
			if err != nil {
				t.Fatal(err)
			}
			if got := raw.outcome(id); got != c.want || calls.Load() != c.calls {
				t.Errorf("%s after %d calls, want %s after %d", got, calls.Load(), c.want, c.calls)
			}
		})
	}
}
