// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/configsync/wire"
)

// Stream implements the service: it authenticates the caller, reads its Hello
// and serves it until the stream or the session ends.
func (s *Server) Stream(stream wire.ConfigSync_StreamServer) error {
	id, err := s.authenticate(stream.Context())
	if err != nil {
		s.log.Info("stream refused", "error", err)
		return err
	}
	log := s.log.With("gateway", id.Gateway.String(), "pod", id.PodName)
	c := &conversation{stream: stream, in: make(chan *wire.FromProxy), inErr: make(chan error, 1), outErr: make(chan error, 1)}
	go c.receive()
	hello, err := c.hello(id)
	if err != nil {
		log.Info("stream refused", "error", err)
		return err
	}
	h := s.hub(id.Gateway)
	session, err := h.join(id, hello, time.Now())
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	defer h.leave(session)
	if err := stream.SendHeader(metadata.MD{}); err != nil {
		return err
	}
	log.Info("proxy connected", "version", hello.GetVersion(), "holds", wire.DecodePosition(hello.GetPosition()).String(),
		"lastError", hello.GetLastError())
	err = c.run(h, session)
	var ahead *aheadError
	if errors.As(err, &ahead) {
		if s.config.OnAhead != nil {
			s.config.OnAhead(id.Gateway, ahead.proxy)
		}
		err = status.Error(codes.FailedPrecondition, ahead.Error())
	}
	log.Info("proxy disconnected", "error", err)
	return err
}

const bearer = "Bearer "

func (s *Server) authenticate(ctx context.Context) (Identity, error) {
	values := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(values) != 1 || !strings.HasPrefix(values[0], bearer) {
		return Identity{}, status.Error(codes.Unauthenticated, "the metadata holds no bearer token")
	}
	id, err := s.config.Authenticator.Authenticate(ctx, strings.TrimPrefix(values[0], bearer))
	switch {
	case errors.Is(err, ErrUnavailable):
		return Identity{}, status.Error(codes.Unavailable, err.Error())
	case err != nil:
		return Identity{}, status.Error(codes.PermissionDenied, err.Error())
	}
	return id, nil
}

// conversation is one stream. Reading and writing have a goroutine each, so
// that neither a proxy that does not read nor one that does not write keeps a
// session from ending; both end when the handler returns.
type conversation struct {
	stream wire.ConfigSync_StreamServer
	in     chan *wire.FromProxy
	inErr  chan error
	outErr chan error
}

func (c *conversation) receive() {
	for {
		m, err := c.stream.Recv()
		if err != nil {
			c.inErr <- err
			return
		}
		select {
		case c.in <- m:
		case <-c.stream.Context().Done():
			return
		}
	}
}

func (c *conversation) hello(id Identity) (*wire.Hello, error) {
	timeout := time.NewTimer(helloTimeout)
	defer timeout.Stop()
	select {
	case m := <-c.in:
		return checkHello(m.GetHello(), id)
	case err := <-c.inErr:
		return nil, err
	case <-timeout.C:
		return nil, status.Error(codes.DeadlineExceeded, "no hello came")
	}
}

func checkHello(hello *wire.Hello, id Identity) (*wire.Hello, error) {
	if hello == nil {
		return nil, status.Error(codes.InvalidArgument, "the first message is not a hello")
	}
	if hello.GetProtocol() != configsync.Protocol {
		return nil, status.Errorf(codes.FailedPrecondition, "the proxy speaks protocol %d, this manager %d", hello.GetProtocol(), configsync.Protocol)
	}
	g := configsync.Gateway{Namespace: hello.GetGatewayNamespace(), Name: hello.GetGatewayName()}
	if g != id.Gateway {
		return nil, status.Errorf(codes.PermissionDenied, "the proxy asks for gateway %s, its token belongs to %s", g, id.Gateway)
	}
	return hello, nil
}

// run serves a session until something ends it.
func (c *conversation) run(h *hub, s *session) error {
	go c.send(h, s)
	for {
		select {
		case m := <-c.in:
			if err := c.handle(h, s, m); err != nil {
				return status.Error(codes.InvalidArgument, err.Error())
			}
		case err := <-c.inErr:
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		case err := <-c.outErr:
			return err
		case <-s.ended:
			return s.why
		}
	}
}

func (c *conversation) handle(h *hub, s *session, m *wire.FromProxy) error {
	switch m := m.GetMessage().(type) {
	case *wire.FromProxy_Ack:
		if err := h.ack(s, m.Ack); err != nil {
			return err
		}
		select {
		case s.wake <- struct{}{}:
		default:
		}
		return nil
	case *wire.FromProxy_Report:
		return h.setReport(s, m.Report)
	case *wire.FromProxy_Hello:
		return errors.New("a second hello came")
	}
	return nil // a kind of message that a newer proxy knows
}

// send writes deltas whenever the session has one.
func (c *conversation) send(h *hub, s *session) {
	for {
		select {
		case <-c.stream.Context().Done():
			return
		case <-s.wake:
		}
		p, err := h.next(s)
		if err == nil && p != nil {
			err = p.delta().messages(func(d *wire.Delta) error {
				return c.stream.Send(&wire.FromManager{Message: &wire.FromManager_Delta{Delta: d}})
			})
		}
		if err != nil {
			c.outErr <- err
			return
		}
	}
}

// messageBytes is about the size at which a delta goes on in another message.
const messageBytes = 1 << 20

// messages yields the delta as one or more messages.
func (d *delta) messages(send func(*wire.Delta) error) error {
	hash := d.to.records.Hash()
	m := &wire.Delta{}
	size := 0
	for _, r := range d.upserts {
		if size > 0 && size+len(r.JSON) > messageBytes {
			m.More = true
			if err := send(m); err != nil {
				return err
			}
			m, size = &wire.Delta{}, 0
		}
		m.Upserts = append(m.Upserts, wire.EncodeRecord(r))
		size += len(r.JSON)
	}
	for _, key := range d.deletes {
		m.Deletes = append(m.Deletes, key[:]...)
	}
	m.Position, m.SnapshotHash = wire.EncodePosition(d.to.position), wire.EncodeHash(hash)
	return send(m)
}
