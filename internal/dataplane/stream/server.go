// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/dataplane/listener"
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/dataplane/tlscert"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Dialer opens connections; dataplane/dial implements it.
type Dialer interface {
	DialTimeout(ctx context.Context, network, address string, timeout time.Duration) (net.Conn, error)
}

// Options are what a Server is made of.
type Options struct {
	Settings Settings
	Catalog  *pipeline.Catalog
	Schemas  entity.SchemaSet
	Dialer   Dialer
	// Resolve asks for the addresses of a name.
	Resolve balancer.Resolve
	// PeerStates is what is known about targets, whose active health checks are
	// the caller's; nil for what sessions find out alone.
	PeerStates *balancer.Store
	// ServerTLS is how TLS is terminated, with the gateway's certificates. It
	// offers no application protocol.
	ServerTLS *tls.Config
	// Handshakes bounds how many of them compute at the same time, together
	// with those of others that share it; nil for no bound.
	Handshakes tlscert.Gate
	// ClientTLS returns the settings for a service with TLS, for the caller to
	// change. client and roots are its own, nil for those of the gateway.
	ClientTLS func(s *entity.Service, client *tls.Certificate, roots *x509.CertPool) *tls.Config
	Logger    *slog.Logger
}

// Server serves the stream routes of one gateway. Its methods are safe for
// concurrent use.
type Server struct {
	options    Options
	settings   *Settings
	tls        *tls.Config
	peerStates *balancer.Store
	log        *slog.Logger
	warnings   warnings
	stats      Stats

	context context.Context //nolint:containedctx // the server's own life: Drain ends it
	cut     context.CancelFunc

	current  atomic.Pointer[snapshot]
	applying sync.Mutex
	// base is the latest whole configuration, or nil when known has all of it,
	// with changes since. Both are guarded by applying.
	base   *entity.Set
	known  map[entity.Key]placed
	places int

	conns registry

	// accepting are the loops that accept connections, serving is everything else
	// that ends with the server.
	accepting sync.WaitGroup
	serving   sync.WaitGroup

	mu        sync.Mutex
	listeners []*net.TCPListener
	specs     []listener.Spec // of listeners
	udp       []*udpListener
	addresses []net.Addr
	poller    *poller
}

const (
	// acceptPause is the wait after an accept that failed.
	acceptPause = 20 * time.Millisecond
	// acceptGrace is how long a listener that is to be closed still accepts:
	// connections in the kernel's queue were promised service.
	acceptGrace = 50 * time.Millisecond
	// closeGrace is how long Drain waits for sessions that it cut: only a plugin
	// that ignores its context takes longer.
	closeGrace = 2 * time.Second
)

// New returns a server that runs an empty configuration.
func New(options Options) *Server {
	s := &Server{
		options:    options,
		settings:   &options.Settings,
		peerStates: cmp.Or(options.PeerStates, &balancer.Store{}),
		log:        options.Logger,
	}
	s.context, s.cut = context.WithCancel(context.Background())
	s.conns.limit = s.settings.WorkerConnections
	s.tls = s.serverTLS()
	s.Apply(&entity.Set{})
	return s
}

// handshakeSnapshot is the context key under which a handshake finds the
// configuration that its session holds.
type handshakeSnapshot struct{}

// serverTLS is the TLS of listeners: global plugins may have a certificate
// before the gateway's own are looked at.
func (s *Server) serverTLS() *tls.Config {
	if s.options.ServerTLS == nil {
		return nil
	}
	config := s.options.ServerTLS.Clone()
	own := config.GetCertificate
	config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if held, ok := hello.Context().Value(handshakeSnapshot{}).(*snapshot); ok {
			if cert, err := held.global.Certificate(hello.Context(), hello); cert != nil || err != nil {
				return cert, err
			}
		}
		if own == nil {
			return nil, nil // one of config.Certificates
		}
		return own(hello)
	}
	return config
}

// Listen opens the sockets of specs and serves them until Drain. It is called
// once.
func (s *Server) Listen(ctx context.Context, specs []listener.Spec) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, spec := range specs {
		if err := s.open(ctx, spec); err != nil {
			for _, l := range s.listeners {
				_ = l.Close()
			}
			for _, u := range s.udp {
				_ = u.conn.Close()
			}
			return fmt.Errorf("stream_listen %s: %w", spec.Address, err)
		}
	}
	if len(s.udp) > 0 {
		var err error
		if s.poller, err = newPoller(); err != nil {
			return fmt.Errorf("stream_listen: %w", err)
		}
		s.serving.Go(s.poller.run)
	}
	for i, l := range s.listeners {
		s.accepting.Go(func() { s.accept(l, &s.specs[i]) })
	}
	for _, u := range s.udp {
		s.serving.Go(u.receive)
	}
	return nil
}

// open opens the socket of a spec. The caller holds mu.
func (s *Server) open(ctx context.Context, spec listener.Spec) error {
	if spec.UDP {
		conn, err := listener.UDP(ctx, spec)
		if err != nil {
			return err
		}
		u, err := newUDPListener(s, conn)
		if err != nil {
			_ = conn.Close()
			return err
		}
		s.udp = append(s.udp, u)
		s.addresses = append(s.addresses, conn.LocalAddr())
		return nil
	}
	l, err := listener.TCP(ctx, spec)
	if err != nil {
		return err
	}
	s.listeners, s.specs = append(s.listeners, l), append(s.specs, spec)
	s.addresses = append(s.addresses, l.Addr())
	return nil
}

// Addresses returns where the server listens, in the order of the specs.
func (s *Server) Addresses() []net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]net.Addr(nil), s.addresses...)
}

// Stats returns the counters of the server.
func (s *Server) Stats() *Stats { return &s.stats }

func (s *Server) accept(l *net.TCPListener, spec *listener.Spec) {
	for {
		socket, err := l.AcceptTCP()
		switch {
		case err == nil:
			s.start(socket, spec)
		case errors.Is(err, net.ErrClosed) || isTimeout(err):
			return
		default:
			// Out of descriptors or memory: connections wait in the kernel's
			// queue until some of ours are closed.
			s.log.Error("accept failed", "listener", spec.Address, "error", err)
			select {
			case <-time.After(acceptPause):
			case <-s.context.Done():
				return
			}
		}
	}
}

// start serves a connection, unless there are too many.
func (s *Server) start(socket *net.TCPConn, spec *listener.Spec) {
	c := newConn(s, socket, spec)
	if !s.conns.add(c) {
		s.stats.refused[TCP].Add(1)
		_ = socket.Close()
		return
	}
	s.stats.begin(TCP)
	s.serving.Go(c.serve)
}

// Drain stops accepting and lets sessions go on until they end or ctx does;
// then what is left is cut off, and the error is that of ctx. It is called
// once.
func (s *Server) Drain(ctx context.Context) error {
	s.stopAccepting()
	done := make(chan struct{})
	go func() {
		s.conns.wait()
		for _, u := range s.udp {
			u.sessions.wait()
		}
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.cut()
	s.conns.closeAll()
	for _, u := range s.udp {
		u.closeAll()
	}
	if s.poller != nil {
		s.poller.close()
	}
	return errors.Join(err, s.finish())
}

// finish waits for what was cut off and gives the configuration back.
func (s *Server) finish() error {
	done := make(chan struct{})
	go func() {
		s.serving.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(closeGrace):
		// Instances of plugins that hang are not closed: they are in use.
		s.log.Error("sessions do not end")
		return nil
	}
	s.applying.Lock()
	defer s.applying.Unlock()
	s.current.Load().release()
	return nil
}

// stopAccepting empties the kernel's queues and closes the listeners. Sockets
// of UDP go on for the sessions that there are.
func (s *Server) stopAccepting() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.udp {
		u.draining.Store(true)
		for _, session := range u.sessions.list() {
			session.hurry()
		}
	}
	for _, l := range s.listeners {
		listener.StopHandshakes(l)
		_ = l.SetDeadline(time.Now().Add(acceptGrace))
	}
	s.accepting.Wait()
	for i, l := range s.listeners {
		for listener.Queued(l) {
			_ = l.SetDeadline(time.Now().Add(time.Second))
			socket, err := l.AcceptTCP()
			if err != nil {
				break
			}
			s.start(socket, &s.specs[i])
		}
		_ = l.Close()
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
