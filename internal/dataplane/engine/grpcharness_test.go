// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// callee is a gRPC server that does what it is asked.
type callee struct {
	testpb.UnimplementedTestServiceServer
	hanging atomic.Int32
	// seen is the metadata of the last call.
	mu   sync.Mutex
	seen metadata.MD
}

func (c *callee) UnaryCall(ctx context.Context, r *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	c.mu.Lock()
	c.seen = md
	c.mu.Unlock()
	if code := r.GetResponseStatus().GetCode(); code != 0 {
		return nil, status.Error(codes.Code(code), r.GetResponseStatus().GetMessage())
	}
	if r.GetFillUsername() {
		// Hangs until the client is gone.
		c.hanging.Add(1)
		defer c.hanging.Add(-1)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	_ = grpc.SetHeader(ctx, metadata.Pairs("x-head", "h"))
	_ = grpc.SetTrailer(ctx, metadata.Pairs("x-tail", "t", "x-tail-bin", "\x00\xff"))
	return &testpb.SimpleResponse{Payload: r.GetPayload()}, nil
}

func (c *callee) StreamingOutputCall(r *testpb.StreamingOutputCallRequest, s grpc.ServerStreamingServer[testpb.StreamingOutputCallResponse]) error {
	for _, p := range r.GetResponseParameters() {
		if err := s.Send(&testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: make([]byte, p.GetSize())}}); err != nil {
			return err
		}
	}
	return nil
}

func (c *callee) StreamingInputCall(s grpc.ClientStreamingServer[testpb.StreamingInputCallRequest, testpb.StreamingInputCallResponse]) error {
	total := int32(0)
	for {
		r, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return s.SendAndClose(&testpb.StreamingInputCallResponse{AggregatedPayloadSize: total})
		}
		if err != nil {
			return err
		}
		total += int32(len(r.GetPayload().GetBody()))
	}
}

func (c *callee) FullDuplexCall(s grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	for {
		r, err := s.Recv()
		if errors.Is(err, io.EOF) {
			s.SetTrailer(metadata.Pairs("x-tail", "done"))
			return nil
		}
		if err != nil {
			return err
		}
		if code := r.GetResponseStatus().GetCode(); code != 0 {
			return status.Error(codes.Code(code), r.GetResponseStatus().GetMessage())
		}
		if err := s.Send(&testpb.StreamingOutputCallResponse{Payload: r.GetPayload()}); err != nil {
			return err
		}
	}
}

// serveGRPC runs a callee until the test ends and returns its address.
func serveGRPC(t testing.TB, c *callee, options ...grpc.ServerOption) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(options...)
	testpb.RegisterTestServiceServer(s, c)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { s.Stop(); <-done })
	return l.Addr().String()
}

func grpcConfig(scheme, address, more string) string {
	return fmt.Sprintf("services:\n- {name: s, protocol: %s, host: 127.0.0.1, port: %s, retries: 3, routes: [{name: r, protocols: [grpc, grpcs], paths: [/]}]}\n%s",
		scheme, address[strings.LastIndexByte(address, ':')+1:], more)
}

// caller returns a client that goes through the gateway.
func (r *rig) caller(secure bool) testpb.TestServiceClient {
	r.t.Helper()
	address, credential := r.plain, insecure.NewCredentials()
	if secure {
		address = r.secure
		credential = credentials.NewTLS(&tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the gateway's own certificate
	}
	c, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(credential))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	return testpb.NewTestServiceClient(c)
}

// ways runs a test with a server in plaintext and over TLS, and with a client of
// the other kind.
func ways(t *testing.T, each func(t *testing.T, r *rig, c *callee, client testpb.TestServiceClient)) {
	for _, scheme := range []string{"grpc", "grpcs"} {
		t.Run(scheme, func(t *testing.T) {
			c := &callee{}
			var options []grpc.ServerOption
			if scheme == "grpcs" {
				web := serveTLS(t, func(http.ResponseWriter, *http.Request) {})
				options = append(options, grpc.Creds(credentials.NewServerTLSFromCert(&web.TLS.Certificates[0])))
			}
			r := startRig(t, grpcConfig(scheme, serveGRPC(t, c, options...), ""), rigOptions{})
			each(t, r, c, r.caller(scheme == "grpc"))
		})
	}
}

func payload(n int) *testpb.Payload { return &testpb.Payload{Body: make([]byte, n)} }

func grpcContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
