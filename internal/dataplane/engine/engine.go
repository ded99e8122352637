// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/dataplane/probe"
	"github.com/kong/kong-istio-gateway/internal/dataplane/tlscert"
	"github.com/kong/kong-istio-gateway/internal/dataplane/upstream"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Kong's defaults for requests without a service.
const (
	defaultTimeout = 60 * time.Second
	defaultRetries = 5
)

// upstreamKeepaliveTime is how long an upstream connection is used at most
// (nginx's keepalive_time, which Kong leaves at its default).
const upstreamKeepaliveTime = time.Hour

// sweepInterval is how often idle upstream connections are looked at.
const sweepInterval = 10 * time.Second

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
	options       Options
	settings      *Settings
	catalog       *pipeline.Catalog
	limits        http1.Limits
	trustedLimits http1.Limits // for peers that may send what sidecars trust
	sidecarLimits http1.Limits // for clients of whom the pod's own sidecar tells
	answerLimits  http1.Limits
	via           []byte
	viaHTTP10     []byte
	viaHTTP2      []byte
	pools         *upstream.Pools
	buffering     budget
	peerStates    *balancer.Store
	certs         *tlscert.Store
	serverTLS     *serverTLS
	upstreamTLS   *upstreamTLS
	log           *slog.Logger
	accessLog     *AccessLog
	stats         *Stats
	// alone says that one goroutine runs at a time (GOMAXPROCS).
	alone bool

	context  context.Context //nolint:containedctx // the engine's own life: Drain ends it
	shutdown context.CancelFunc

	current  atomic.Pointer[snapshot]
	applying sync.Mutex
	retiring retirement
	dates    dateClock

	admission admission

	conns connections
	http2 *http2Server
	// accepting are the loops that accept, serving the connections, background
	// everything else that ends with the engine.
	accepting  sync.WaitGroup
	serving    sync.WaitGroup
	background sync.WaitGroup
	// draining makes answers end their connection, ending closes connections
	// that wait for a request, closing says that what is left is cut off.
	draining atomic.Bool
	ending   atomic.Bool
	closing  atomic.Bool

	listenersMu sync.Mutex
	listeners   []*net.TCPListener
	specs       []ListenSpec
}

// New returns an engine that runs an empty configuration.
func New(options Options) (*Engine, error) {
	e := &Engine{
		options:      options,
		settings:     &options.Settings,
		catalog:      options.Catalog,
		limits:       http1.DefaultLimits(),
		answerLimits: http1.DefaultResponseLimits(),
		via:          []byte("1.1 " + options.Product),
		viaHTTP10:    []byte("1.0 " + options.Product),
		viaHTTP2:     []byte("2 " + options.Product),
		log:          options.Logger,
		accessLog:    options.AccessLog,
		stats:        newStats(),
		alone:        runtime.GOMAXPROCS(0) == 1,
		peerStates:   &balancer.Store{Probe: probe.New(options.Dialer)},
	}
	e.peerStates.Certificate = func(id entity.ID) *tls.Certificate {
		if s := e.current.Load(); s != nil {
			return s.certs.Certificate(id)
		}
		return nil
	}
	err := e.setUpTLS()
	if err != nil {
		return nil, err
	}
	e.limits.Body = options.Settings.ClientMaxBodySize
	if b := options.Settings.LargeClientHeaderBuffers; b.Size > 0 {
		e.limits.RequestLine, e.limits.HeaderLine, e.limits.HeadBytes = b.Size, b.Size, b.Number*b.Size
	}
	e.limits.Fields = options.Settings.MaxHeaders
	e.admission.limit = connectionLimit(options.Settings.WorkerConnections, descriptorLimit())
	e.admission.addresses.limit = options.Settings.ConnectionsPerAddress
	e.buffering.limit = options.Settings.ClientBodyBufferBudget
	e.trustedLimits = e.limits
	e.trustedLimits.Untrusted = false
	e.sidecarLimits = e.limits
	e.sidecarLimits.ClientCert = true
	e.context, e.shutdown = context.WithCancel(context.Background())
	e.pools = upstream.NewPools(options.Dialer, upstream.Limits{
		Idle:        options.Settings.UpstreamKeepalivePoolSize,
		Requests:    options.Settings.UpstreamKeepaliveMaxRequests,
		IdleTimeout: options.Settings.UpstreamKeepaliveIdleTimeout,
		Age:         upstreamKeepaliveTime,
	}, time.Now)
	e.conns.init()
	e.http2 = newHTTP2Server(e)
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
	e.publish(previous, next)
	return rejected
}

// Stats returns the counters of the engine.
func (e *Engine) Stats() *Stats { return e.stats }

// Connections returns the number of open client connections.
func (e *Engine) Connections() int { return e.conns.count() }

// Retire makes connections to an address that were opened until now unfit for
// further requests: the mesh scope of the address changed.
func (e *Engine) Retire(address netip.AddrPort) { e.pools.Retire(address) }

// fault reports a broken plugin.
func (e *Engine) fault(f *pipeline.Fault, x *pipeline.Exchange) {
	if f != nil {
		e.log.Error("plugin failed", "plugin", f.Plugin, "phase", f.Phase, "request_id", x.RequestID,
			"error", fmt.Sprint(f.Value), "stack", string(f.Stack))
	}
}
