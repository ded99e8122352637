// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

func TestGRPCUnary(t *testing.T) {
	ways(t, func(t *testing.T, _ *rig, c *callee, client testpb.TestServiceClient) {
		ctx := metadata.AppendToOutgoingContext(grpcContext(t), "x-mine", "m")
		for _, n := range []int{0, 1, 1000, 100_000, 3 << 20} {
			var head, tail metadata.MD
			out, err := client.UnaryCall(ctx, &testpb.SimpleRequest{Payload: payload(n)}, grpc.Header(&head), grpc.Trailer(&tail))
			if err != nil || len(out.GetPayload().GetBody()) != n {
				t.Fatalf("%d bytes: %v", n, err)
			}
			if fmt.Sprint(head["x-head"], tail["x-tail"], tail["x-tail-bin"]) != "[h] [t] [\x00\xff]" || len(head["x-kong-request-id"]) != 1 || fmt.Sprint(head["via"]) != "[2 kong/test]" {
				t.Errorf("head %v, tail %v", head, tail)
			}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if fmt.Sprint(c.seen["x-mine"], c.seen["x-forwarded-for"], c.seen["via"]) != "[m] [127.0.0.1] [2 kong/test]" || c.seen["connection"] != nil {
			t.Errorf("the server saw %v", c.seen)
		}
	})
}

func TestGRPCErrors(t *testing.T) {
	ways(t, func(t *testing.T, _ *rig, _ *callee, client testpb.TestServiceClient) {
		_, err := client.UnaryCall(grpcContext(t), &testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Code: int32(codes.AlreadyExists), Message: "twice: ä%"}})
		if s := status.Convert(err); s.Code() != codes.AlreadyExists || s.Message() != "twice: ä%" {
			t.Errorf("an answer of trailers only: %v", err)
		}
		if _, err := client.UnimplementedCall(grpcContext(t), &testpb.Empty{}); status.Code(err) != codes.Unimplemented {
			t.Errorf("no such method: %v", err)
		}
		s, err := client.FullDuplexCall(grpcContext(t))
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Send(&testpb.StreamingOutputCallRequest{Payload: payload(3)})
		if _, err := s.Recv(); err != nil {
			t.Fatal(err)
		}
		_ = s.Send(&testpb.StreamingOutputCallRequest{ResponseStatus: &testpb.EchoStatus{Code: int32(codes.DataLoss), Message: "late"}})
		if _, err := s.Recv(); status.Code(err) != codes.DataLoss {
			t.Errorf("an error behind messages: %v", err)
		}
	})
}

func TestGRPCStreams(t *testing.T) {
	ways(t, func(t *testing.T, _ *rig, _ *callee, client testpb.TestServiceClient) {
		request := &testpb.StreamingOutputCallRequest{}
		want := 0
		for i := range 200 {
			request.ResponseParameters = append(request.ResponseParameters, &testpb.ResponseParameters{Size: int32(i * 300)})
			want += i * 300
		}
		down, err := client.StreamingOutputCall(grpcContext(t), request)
		if err != nil {
			t.Fatal(err)
		}
		for got := 0; ; {
			m, err := down.Recv()
			if errors.Is(err, io.EOF) {
				if got != want {
					t.Errorf("%d bytes of %d", got, want)
				}
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got += len(m.GetPayload().GetBody())
		}
		up, err := client.StreamingInputCall(grpcContext(t))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 200 {
			if err := up.Send(&testpb.StreamingInputCallRequest{Payload: payload(i * 300)}); err != nil {
				t.Fatal(err)
			}
		}
		if sum, err := up.CloseAndRecv(); err != nil || int(sum.GetAggregatedPayloadSize()) != want {
			t.Errorf("%v of %d, %v", sum, want, err)
		}
		// Each message waits for the answer to the one before.
		both, err := client.FullDuplexCall(grpcContext(t))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 50 {
			if err := both.Send(&testpb.StreamingOutputCallRequest{Payload: payload(i)}); err != nil {
				t.Fatal(err)
			}
			if m, err := both.Recv(); err != nil || len(m.GetPayload().GetBody()) != i {
				t.Fatalf("message %d: %v %v", i, m, err)
			}
		}
		_ = both.CloseSend()
		if _, err := both.Recv(); !errors.Is(err, io.EOF) || fmt.Sprint(both.Trailer()["x-tail"]) != "[done]" {
			t.Errorf("end: %v, %v", err, both.Trailer())
		}
	})
}

// TestGRPCLeaving: a deadline and a cancellation reach the server.
func TestGRPCLeaving(t *testing.T) {
	ways(t, func(t *testing.T, r *rig, c *callee, client testpb.TestServiceClient) {
		ctx, cancel := context.WithCancel(grpcContext(t))
		failed := make(chan error, 1)
		go func() {
			_, err := client.UnaryCall(ctx, &testpb.SimpleRequest{FillUsername: true})
			failed <- err
		}()
		until(t, "the call to arrive", func() bool { return c.hanging.Load() == 1 })
		cancel()
		if err := <-failed; status.Code(err) != codes.Canceled {
			t.Errorf("cancelled: %v", err)
		}
		until(t, "the server to know", func() bool { return c.hanging.Load() == 0 })
		// The client gives up first, then the server.
		late := &deadline{Context: grpcContext(t), at: time.Now().Add(time.Hour), passed: make(chan struct{})}
		go func() {
			_, err := client.UnaryCall(late, &testpb.SimpleRequest{FillUsername: true})
			failed <- err
		}()
		until(t, "the next call to arrive", func() bool { return c.hanging.Load() == 1 })
		close(late.passed)
		if err := <-failed; status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("the client's deadline: %v", err)
		}
		until(t, "the server to know of the deadline", func() bool { return c.hanging.Load() == 0 })
		soon := &deadline{Context: grpcContext(t), at: time.Now().Add(50 * time.Millisecond)}
		if _, err := client.UnaryCall(soon, &testpb.SimpleRequest{FillUsername: true}); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("the server's deadline: %v", err)
		}
		until(t, "the server to give up", func() bool { return c.hanging.Load() == 0 })
		// The connections are as good as before.
		if _, err := client.UnaryCall(grpcContext(t), &testpb.SimpleRequest{Payload: payload(1)}); err != nil {
			t.Error(err)
		}
		until(t, "the access log", func() bool {
			log := r.access.String()
			return strings.Count(log, " 499 ") == 2 && strings.Count(log, "\n") == 4
		})
	})
}

// deadline is a context whose deadline its server learns, and which passes here when passed is closed.
type deadline struct {
	context.Context //nolint:containedctx // it is one
	at              time.Time
	passed          chan struct{}
}

// Deadline implements context.Context.
func (d *deadline) Deadline() (time.Time, bool) { return d.at, true }

// Done implements context.Context.
func (d *deadline) Done() <-chan struct{} { return d.passed }

// Err implements context.Context.
func (d *deadline) Err() error {
	select {
	case <-d.passed:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// TestGRPCAtOnce has many calls share connections.
func TestGRPCAtOnce(t *testing.T) {
	ways(t, func(t *testing.T, r *rig, _ *callee, client testpb.TestServiceClient) {
		var all sync.WaitGroup
		for i := range 300 {
			all.Add(1)
			go func() {
				defer all.Done()
				out, err := client.UnaryCall(grpcContext(t), &testpb.SimpleRequest{Payload: payload(i * 20)})
				if err != nil || len(out.GetPayload().GetBody()) != i*20 {
					t.Errorf("call %d: %v", i, err)
				}
			}()
		}
		all.Wait()
		if n := r.Connections(); n > 2 {
			t.Errorf("%d client connections", n)
		}
	})
}

// TestGRPCRefusals: what Kong answers where a route for gRPC gets something else, and what a gRPC client is told.
func TestGRPCRefusals(t *testing.T) {
	c := &callee{}
	address := serveGRPC(t, c)
	more := "- {name: nowhere, protocol: grpc, host: gone.invalid, port: 1, routes: [{name: gone, protocols: [grpc], hosts: [gone.test], paths: [/]}]}\n" +
		"- {name: tls, protocol: grpc, host: 127.0.0.1, port: 1, routes: [{name: tls, protocols: [grpcs], paths: [/secure]}]}\n"
	r := startRig(t, grpcConfig("grpc", address, more), rigOptions{})
	resp, body := r.get("/grpc.testing.TestService/UnaryCall")
	if resp.StatusCode != 415 || !strings.Contains(body, "Non-gRPC request matched gRPC route") {
		t.Errorf("no gRPC: %d %s", resp.StatusCode, body)
	}
	resp, body = dialRig(t, r.plain).send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n").answer("POST")
	if resp.StatusCode != 426 || resp.Header.Get("Upgrade") != "HTTP/2" || !strings.Contains(body, "Please use HTTP2 protocol") {
		t.Errorf("HTTP/1: %d %v %s", resp.StatusCode, resp.Header, body)
	}
	raw := h2Dial(t, r.plain)
	for path, want := range map[string]string{
		"/secure/x": "200 1 gRPC request matched gRPCs route",
		"/gone":     "503 14 name resolution failed",
	} {
		id, err := raw.open(true, ":method", "POST", ":scheme", "http", ":path", path, ":authority", map[bool]string{true: "gone.test", false: "a"}[path == "/gone"], "content-type", "application/grpc+proto")
		if err != nil {
			t.Fatal(err)
		}
		if got := raw.grpcOutcome(id); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	r.apply("")
	if _, err := r.caller(false).UnaryCall(grpcContext(t), &testpb.SimpleRequest{}); status.Code(err) != codes.NotFound && status.Code(err) != codes.Unimplemented {
		t.Errorf("no route: %v", err)
	}
}

// grpcOutcome is the head of an answer: its status, that of gRPC and its message.
func (r *h2Raw) grpcOutcome(id uint32) string {
	r.t.Helper()
	for {
		frame, err := r.ReadFrame()
		if err != nil {
			return err.Error()
		}
		if f, ok := frame.(*xhttp2.MetaHeadersFrame); ok && f.StreamID == id {
			values := map[string]string{}
			for _, h := range f.RegularFields() {
				values[h.Name] = h.Value
			}
			return f.PseudoValue("status") + " " + values["grpc-status"] + " " + values["grpc-message"]
		}
	}
}

// TestGRPCSilence: a client may be silent between two messages, but not while the gateway needs the whole body.
func TestGRPCSilence(t *testing.T) {
	const timeout = 100 * time.Millisecond
	needy := "- {name: needy, protocol: grpc, host: 127.0.0.1, port: 1, routes: [{name: needy, protocols: [grpc], paths: [/needy], plugins: [{name: probe-a}]}]}\n"
	r := startRig(t, grpcConfig("grpc", serveGRPC(t, &callee{}), needy), rigOptions{
		settings: func(s *engine.Settings) { s.ClientBodyTimeout = timeout },
		plugins: probes{"probe-a": func() *plugin.Phases {
			return &plugin.Phases{Needs: plugin.Needs{RequestBody: 1000}}
		}},
	})
	s, err := r.caller(false).FullDuplexCall(grpcContext(t))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := s.Send(&testpb.StreamingOutputCallRequest{Payload: payload(3)}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Recv(); err != nil {
			t.Fatal(err)
		}
		<-time.After(3 * timeout)
	}
	raw := h2Dial(t, r.plain)
	id, err := raw.open(false, ":method", "POST", ":scheme", "http", ":path", "/needy", ":authority", "a", "content-type", "application/grpc")
	if err != nil {
		t.Fatal(err)
	}
	if got := raw.grpcOutcome(id); got != "408 3 Request timeout" {
		t.Errorf("a body that does not come: %q", got)
	}
}

// TestGRPCBodyPlugin: a plugin that needs the whole body gets that of a unary call, and refuses a larger one as gRPC understands
// it.
func TestGRPCBodyPlugin(t *testing.T) {
	c := &callee{}
	var sizes atomic.Int64
	r := startRig(t, grpcConfig("grpc", serveGRPC(t, c), "plugins:\n- {name: probe-a}\n"), rigOptions{plugins: probes{"probe-a": func() *plugin.Phases {
		return &plugin.Phases{
			Needs:  plugin.Needs{RequestBody: 1000},
			Access: func(x plugin.Exchange) { body, _ := x.Body(); sizes.Store(int64(len(body))) },
		}
	}}})
	client := r.caller(false)
	if _, err := client.UnaryCall(grpcContext(t), &testpb.SimpleRequest{Payload: payload(100)}); err != nil || sizes.Load() < 100 {
		t.Errorf("%v, the plugin saw %d bytes", err, sizes.Load())
	}
	if _, err := client.UnaryCall(grpcContext(t), &testpb.SimpleRequest{Payload: payload(2000)}); status.Code(err) != codes.InvalidArgument && status.Code(err) != codes.Internal {
		t.Errorf("a body that does not fit: %v", err)
	}
}
