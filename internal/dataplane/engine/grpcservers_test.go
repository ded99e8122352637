// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	xhttp2 "golang.org/x/net/http2"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// TestGRPCRetries: a call that a server did not act on is made again, on another connection if need be.
func TestGRPCRetries(t *testing.T) {
	for _, refusal := range []string{"REFUSED_STREAM", "GOAWAY"} {
		var calls atomic.Int32
		up := scriptCalls(t, &calls, func(f *xhttp2.Framer, id uint32, call int32) {
			switch {
			case call > 1:
				answerCall(f, id)
			case refusal == "GOAWAY":
				_ = f.WriteGoAway(0, xhttp2.ErrCodeNo, nil)
			default:
				_ = f.WriteRSTStream(id, xhttp2.ErrCodeRefusedStream)
			}
		})
		r := startRig(t, grpcConfig("grpc", up.Addr().String(), ""), rigOptions{})
		raw := h2Dial(t, r.plain)
		id, err := raw.open(true, ":method", "POST", ":scheme", "http", ":path", "/x", ":authority", "a", "content-type", "application/grpc")
		if err != nil {
			t.Fatal(err)
		}
		if got := raw.outcome(id); got != "200" || calls.Load() != 2 {
			t.Errorf("%s: %s after %d calls", refusal, got, calls.Load())
		}
		if want := map[string]int{"GOAWAY": 2, "REFUSED_STREAM": 1}[refusal]; up.connections() != want {
			t.Errorf("%s: %d connections, want %d", refusal, up.connections(), want)
		}
	}
}

// TestGRPCDark: a server that is gone without a word costs one connection's calls their timeout, not those that follow.
func TestGRPCDark(t *testing.T) {
	up := script(t, func(n int, nc net.Conn, in *bufio.Reader) {
		preface := make([]byte, len(xhttp2.ClientPreface))
		if _, err := io.ReadFull(in, preface); err != nil {
			return
		}
		f := xhttp2.NewFramer(nc, in)
		_ = f.WriteSettings()
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			if h, ok := frame.(*xhttp2.HeadersFrame); ok && n > 1 {
				_ = f.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: h.StreamID, BlockFragment: []byte{0x88}, EndHeaders: true, EndStream: true})
			}
		}
	})
	config := strings.Replace(grpcConfig("grpc", up.Addr().String(), ""), "retries: 3", "retries: 0, read_timeout: 300", 1)
	r := startRig(t, config, rigOptions{})
	raw := h2Dial(t, r.plain)
	for _, want := range []string{"504 4 The upstream server is timing out", "200  "} {
		id, err := raw.open(true, ":method", "POST", ":scheme", "http", ":path", "/x", ":authority", "a", "content-type", "application/grpc")
		if err != nil {
			t.Fatal(err)
		}
		if got := raw.grpcOutcome(id); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if up.connections() != 2 {
		t.Errorf("%d connections", up.connections())
	}
}

// TestGRPCRetirement: an address that is retired gets a new connection, while calls on the old one go on.
func TestGRPCRetirement(t *testing.T) {
	c := &callee{}
	address := serveGRPC(t, c)
	r := startRig(t, grpcConfig("grpc", address, ""), rigOptions{})
	client := r.caller(false)
	old, err := client.FullDuplexCall(grpcContext(t))
	if err != nil {
		t.Fatal(err)
	}
	talk := func() {
		t.Helper()
		if err := old.Send(&testpb.StreamingOutputCallRequest{Payload: payload(1)}); err != nil {
			t.Fatal(err)
		}
		if _, err := old.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	talk()
	r.Retire(netip.MustParseAddrPort(address))
	if _, err := client.UnaryCall(grpcContext(t), &testpb.SimpleRequest{}); err != nil {
		t.Fatal(err)
	}
	talk()
	_ = old.CloseSend()
	if _, err := old.Recv(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}
