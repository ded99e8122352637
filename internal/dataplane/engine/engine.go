// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/dataplane/tlscert"
	"github.com/kong/kong-istio-gateway/internal/dataplane/upstream"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

const (
	defaultTimeout = 60 * time.Second
	sweepInterval  = 10 * time.Second
	// drainGrace is how long an idle connection is read once more before it is
	// closed: a request may already be under way on it.
	drainGrace = 100 * time.Millisecond
)

// Options are what an Engine is made of.
type Options struct {
	Settings Settings
	Catalog  *pipeline.Catalog
	Schemas  entity.SchemaSet
	Dialer   upstream.Dialer
	// Resolve asks for the addresses of a name.
	Resolve balancer.Resolve
	Logger  *slog.Logger
	// Product is the product token of Server and Via.
	Product string
	// AccessLog receives a line for each request, nil for none.
	AccessLog *AccessLog
}

// Engine serves HTTP for one gateway. Its methods are safe for concurrent use.
type Engine struct {
	options      Options
	settings     *Settings
	catalog      *pipeline.Catalog
	limits       http1.Limits
	answerLimits http1.Limits
	via          []byte
	pools        *upstream.Pools
	peerStates   *balancer.Store
	certs        *tlscert.Store
	log          *slog.Logger
	accessLog    *AccessLog
	stats        *Stats

	context  context.Context
	shutdown context.CancelFunc

	current    atomic.Pointer[snapshot]
	applying   sync.Mutex
	conns      connections
	background sync.WaitGroup
	serving    sync.WaitGroup
	draining   atomic.Bool
	retiring   retirement
	dates      dateClock

	listenersMu sync.Mutex
	listeners   []net.Listener
}

// New returns an engine that runs an empty configuration.
func New(options Options) (*Engine, error) {
	certs, err := tlscert.NewStore(nil)
	if err != nil {
		return nil, err
	}
	e := &Engine{
		options:      options,
		settings:     &options.Settings,
		catalog:      options.Catalog,
		limits:       http1.DefaultLimits(),
		answerLimits: http1.DefaultResponseLimits(),
		via:          []byte("1.1 " + options.Product),
		log:          options.Logger,
		accessLog:    options.AccessLog,
		stats:        newStats(),
		certs:        certs,
	}
	e.limits.Body = options.Settings.ClientMaxBodySize
	e.context, e.shutdown = context.WithCancel(context.Background())
	e.pools = upstream.NewPools(options.Dialer, upstream.Limits{
		Idle:        options.Settings.UpstreamKeepalivePoolSize,
		Requests:    options.Settings.UpstreamKeepaliveMaxRequests,
		IdleTimeout: options.Settings.UpstreamKeepaliveIdleTimeout,
	}, time.Now)
	e.peerStates = &balancer.Store{}
	e.conns.init()
	e.retiring.engine = e
	empty, _ := e.build(nil, &entity.Set{})
	e.current.Store(empty)
	e.certs.Use(empty.certs)
	return e, nil
}

// Apply makes a configuration the running one and returns what of it cannot
// run. Requests under way keep the configuration they started with.
func (e *Engine) Apply(set *entity.Set) []pipeline.Rejection {
	e.applying.Lock()
	defer e.applying.Unlock()
	previous := e.current.Load()
	next, rejected := e.build(previous, set)
	e.current.Store(next)
	e.certs.Use(next.certs)
	e.retiring.retire(previous, next)
	return rejected
}

// Listen opens the sockets of specs and serves them until Shutdown. TLS
// listeners take their certificate from the running configuration.
func (e *Engine) Listen(ctx context.Context, specs []ListenSpec) error {
	secured, err := e.serverTLS()
	if err != nil {
		return err
	}
	for i := range specs {
		l, err := listen(ctx, specs[i].Address)
		if err != nil {
			return fmt.Errorf("proxy_listen %s: %w", specs[i].Address, err)
		}
		e.listenersMu.Lock()
		e.listeners = append(e.listeners, l)
		e.listenersMu.Unlock()
		e.serving.Add(1)
		config := secured
		if !specs[i].TLS {
			config = nil
		}
		go e.accept(l, &specs[i], config)
	}
	e.background.Add(1)
	go e.sweep()
	return nil
}

func (e *Engine) accept(l net.Listener, spec *ListenSpec, config *tls.Config) {
	defer e.serving.Done()
	for {
		nc, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// Out of descriptors or memory: connections wait in the kernel's
			// queue until some of ours are closed.
			e.log.Error("accept failed", "listener", spec.Address, "error", err)
			select {
			case <-time.After(acceptPause):
			case <-e.context.Done():
				return
			}
			continue
		}
		if config != nil {
			nc = tls.Server(nc, config)
		}
		c := newConn(e, spec, nc)
		if !e.conns.add(c) {
			_ = nc.Close()
			continue
		}
		e.serving.Add(1)
		go func() {
			defer e.serving.Done()
			c.serve()
		}()
	}
}

const acceptPause = 20 * time.Millisecond

func (e *Engine) sweep() {
	defer e.background.Done()
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			e.pools.Sweep()
		case <-e.context.Done():
			return
		}
	}
}

// now reads the clock.
func (e *Engine) now() time.Time { return time.Now() }

func (e *Engine) date() []byte { return e.dates.at(time.Now()) }

// fault reports a broken plugin.
func (e *Engine) fault(f *pipeline.Fault, x *pipeline.Exchange) {
	e.log.Error("plugin failed", "plugin", f.Plugin, "phase", f.Phase, "request_id", x.RequestID,
		"error", fmt.Sprint(f.Value), "stack", string(f.Stack))
}

// Stats returns the counters of the engine.
func (e *Engine) Stats() *Stats { return e.stats }

// Retire makes connections to an address that were opened until now unfit for
// further requests: the mesh scope of the address changed.
func (e *Engine) Retire(address netip.AddrPort) { e.pools.Retire(address) }

// Drain stops accepting, lets requests under way finish and closes idle
// connections. It returns when all are closed or ctx ends; then what is left
// is closed at once. Answers sent from now on close their connection.
func (e *Engine) Drain(ctx context.Context) error {
	e.draining.Store(true)
	e.listenersMu.Lock()
	for _, l := range e.listeners {
		_ = l.Close()
	}
	e.listenersMu.Unlock()
	e.conns.closeIdle()
	done := make(chan struct{})
	go func() {
		e.serving.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	e.shutdown()
	e.conns.closeAll()
	<-done
	e.pools.Close()
	e.background.Wait()
	e.retiring.flush()
	return err
}

// AnnounceDrain makes answers close their connection while new ones are still
// accepted: the time a load balancer needs to notice.
func (e *Engine) AnnounceDrain() { e.draining.Store(true) }
