// SPDX-License-Identifier: Apache-2.0

// Package server is the manager's end of the configuration stream. Only the
// leading manager serves it. Each proxy gets its own gateway's snapshot, as the
// difference to what it holds; a proxy that is slow holds up nobody and is sent
// the newest state when it is ready for more.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/configsync/wire"
)

// Identity is who opened a stream, as the authenticator found out. The pod
// lives in the gateway's namespace.
type Identity struct {
	Gateway configsync.Gateway
	PodName string
	PodUID  string
}

// Authenticator finds out who a token belongs to. An error refuses the stream;
// its text goes to the proxy and must hold no secret. An error that wraps
// ErrUnavailable says that nothing is wrong with the token and the proxy is to
// try again.
type Authenticator interface {
	Authenticate(ctx context.Context, token string) (Identity, error)
}

// ErrUnavailable says that an Authenticator could not find out.
var ErrUnavailable = errors.New("cannot authenticate now")

// Config is what a Server needs. TLS and Authenticator are required.
type Config struct {
	// TLS brings the server's certificate; GetCertificate or
	// GetConfigForClient make it change without a restart.
	TLS           *tls.Config
	Authenticator Authenticator
	// Schemas are what this manager understands: what a proxy announces with
	// the same hashes is not looked into.
	Schemas []configsync.Schema
	// OnChange is called when the facts of a gateway may have changed, from one
	// goroutine, coalesced; it asks Facts for them.
	OnChange func(configsync.Gateway)
	// OnAhead is called when a proxy of a gateway holds a later position than
	// the newest published one. Either another manager leads, or the count of
	// terms was lost (the Lease was deleted): whoever leads then publishes
	// under a higher term.
	OnAhead func(configsync.Gateway, configsync.Position)
	// Logger defaults to slog.Default.
	Logger *slog.Logger
}

// Timings of a stream.
const (
	helloTimeout      = 10 * time.Second
	keepaliveTime     = 20 * time.Second
	keepaliveTimeout  = 10 * time.Second
	connectionAge     = time.Hour // then the proxy connects, and is authenticated, anew
	connectionGrace   = 5 * time.Second
	stopTimeout       = 5 * time.Second
	maxFromProxy      = 32 << 20 // a Hello that lists what more than a million records hold
	maxConcurrentCall = 4
)

var (
	errReplaced  = status.Error(codes.Aborted, "the same pod opened another stream")
	errEnded     = status.Error(codes.Canceled, "the stream has ended")
	errForgotten = status.Error(codes.NotFound, "the gateway is gone")
	errStopping  = status.Error(codes.Unavailable, "this manager stops leading")
)

// Server serves the stream. Its methods are safe for concurrent use.
type Server struct {
	wire.UnimplementedConfigSyncServer
	config Config
	log    *slog.Logger

	mu    sync.Mutex
	hubs  map[configsync.Gateway]*hub
	dirty map[configsync.Gateway]bool
	tell  chan struct{}
}

// New returns a server that serves nothing yet.
func New(c Config) *Server {
	s := &Server{
		config: c, log: c.Logger, hubs: make(map[configsync.Gateway]*hub),
		dirty: make(map[configsync.Gateway]bool), tell: make(chan struct{}, 1),
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	return s
}

// Publish makes a snapshot the one that the gateway's proxies are to hold. It
// does not wait for any proxy. It fails when the position does not follow the
// last one; publishing the same snapshot again does nothing.
func (s *Server) Publish(g configsync.Gateway, snap configsync.Snapshot) error {
	return s.hub(g).publish(snap, time.Now())
}

// Forget drops a gateway and ends its streams.
func (s *Server) Forget(g configsync.Gateway) {
	s.mu.Lock()
	h := s.hubs[g]
	delete(s.hubs, g)
	s.mu.Unlock()
	if h != nil {
		h.close(errForgotten)
	}
}

// Facts returns what is known about a gateway's proxies.
func (s *Server) Facts(g configsync.Gateway) Facts {
	s.mu.Lock()
	h := s.hubs[g]
	s.mu.Unlock()
	if h == nil {
		return Facts{}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.facts()
}

// hub returns a gateway's hub. Proxies may come before the first snapshot.
func (s *Server) hub(g configsync.Gateway) *hub {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hubs[g]
	if h == nil {
		h = newHub(s.config.Schemas, func() { s.changed(g) })
		s.hubs[g] = h
	}
	return h
}

func (s *Server) changed(g configsync.Gateway) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirty[g] = true
	select {
	case s.tell <- struct{}{}:
	default:
	}
}

// notify calls OnChange until ctx ends.
func (s *Server) notify(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.tell:
		}
		s.mu.Lock()
		dirty := s.dirty
		s.dirty = make(map[configsync.Gateway]bool)
		s.mu.Unlock()
		if s.config.OnChange == nil {
			continue
		}
		for g := range dirty {
			s.config.OnChange(g)
		}
	}
}

// Serve accepts streams until ctx ends or the listener fails; it closes the
// listener and returns when everything it started has ended. It is called once.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	g := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(s.config.TLS)),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time: keepaliveTime, Timeout: keepaliveTimeout,
			MaxConnectionAge: connectionAge, MaxConnectionAgeGrace: connectionGrace,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepaliveTime / 2, PermitWithoutStream: true}),
		grpc.MaxRecvMsgSize(maxFromProxy),
		grpc.MaxConcurrentStreams(maxConcurrentCall),
		grpc.ConnectionTimeout(helloTimeout),
		grpc.WaitForHandlers(true),
	)
	wire.RegisterConfigSyncServer(g, s)
	wg.Go(func() { s.notify(ctx) })
	wg.Go(func() {
		<-ctx.Done()
		s.stop(g)
	})
	err := g.Serve(l)
	cancel()
	wg.Wait()
	if errors.Is(err, grpc.ErrServerStopped) {
		return nil // ctx had ended before the listener was asked
	}
	return err
}

// stop ends every stream so that the proxies look for the next leader at once.
func (s *Server) stop(g *grpc.Server) {
	s.mu.Lock()
	hubs := s.hubs
	s.hubs = make(map[configsync.Gateway]*hub)
	s.mu.Unlock()
	for _, h := range hubs {
		h.close(errStopping)
	}
	force := time.AfterFunc(stopTimeout, g.Stop)
	defer force.Stop()
	g.GracefulStop()
}
