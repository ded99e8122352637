// SPDX-License-Identifier: Apache-2.0

package routes

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/controlplane/snapshot"
	"github.com/kong/kong-istio-gateway/internal/controlplane/store"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// FieldOwner is the field manager of what this package writes.
const FieldOwner = "kong-istio-gateway-routes"

// GatewaySpec is what the control plane must know about one KongIstioGateway.
type GatewaySpec struct {
	Key types.NamespacedName
	UID types.UID
	// IngressClassName is the class that the gateway owns.
	IngressClassName string
	// MeshMode is the mode in force: "sidecar", "ambient" or "none".
	MeshMode string
	// ScopeFrozen says that the egress scope is not written at present, because
	// the gateway is paused: what the scope in force does not cover is held.
	ScopeFrozen bool
	// ServiceHost sends the Service's name as Host to backends in the mesh.
	ServiceHost bool
	// ClusterDomain is "cluster.local" when empty.
	ClusterDomain string
	// StreamPorts are those of the gateway's listeners for stream routes.
	StreamPorts StreamPorts
	// Addresses are written to the status of the gateway's routes.
	Addresses []networkingv1.IngressLoadBalancerIngress
	// RunWithoutBrokenPlugins serves routes without plugins that have no usable
	// version, as Kong's ingress controller does.
	RunWithoutBrokenPlugins bool
}

func (s GatewaySpec) settings() fragment.Settings {
	return fragment.Settings{
		Class: s.IngressClassName, Mesh: s.meshed(), ServiceHost: s.ServiceHost,
		ClusterDomain: s.ClusterDomain, LocalRefused: true, RunWithoutBrokenPlugins: s.RunWithoutBrokenPlugins,
	}
}

func (s GatewaySpec) meshed() bool { return s.MeshMode == "sidecar" || s.MeshMode == "ambient" }

func (s GatewaySpec) equal(other GatewaySpec) bool {
	addresses := slices.EqualFunc(s.Addresses, other.Addresses, func(a, b networkingv1.IngressLoadBalancerIngress) bool {
		return a.IP == b.IP && a.Hostname == b.Hostname
	})
	return addresses && s.StreamPorts.equal(other.StreamPorts) && s.UID == other.UID && s.MeshMode == other.MeshMode && s.ScopeFrozen == other.ScopeFrozen && s.settings() == other.settings()
}

// Facts is what the control plane says about one gateway.
type Facts struct {
	// Synced is true once caches are filled and the gateway's routes are
	// published: the rest is then the truth.
	Synced         bool
	AttachedRoutes int32
	// Problems are sorted by object: the first ones, as many as the gateway's
	// status shows. MoreProblems is how many there are beyond them.
	Problems     []fragment.Problem
	MoreProblems int
	// Backends are what the egress scope must cover.
	Backends []fragment.Backend
}

// Publisher streams configuration to the proxies. Calls for one gateway come
// one after the other, Open first and Close last.
type Publisher interface {
	// Open readies a gateway and returns what a predecessor published for it.
	Open(ctx context.Context, spec GatewaySpec) ([]fragment.Fragment, error)
	// Configure tells the gateway's settings.
	Configure(spec GatewaySpec) error
	// Apply takes over changed fragments, Scope how the egress scope covers each
	// upstream address. Both take effect with Publish.
	Apply(key types.NamespacedName, changed []fragment.Fragment, removed []fragment.Owner) error
	Scope(key types.NamespacedName, addresses map[string]configsync.ScopeEntry) error
	// Publish makes what was applied the newest configuration and returns its
	// position.
	Publish(key types.NamespacedName) (configsync.Position, error)
	// Owner returns the fragment that an entity came with.
	Owner(key types.NamespacedName, e entity.Key) (fragment.Owner, bool)
	// Fleet returns what the connected proxies say.
	Fleet(key types.NamespacedName) Fleet
	// Close forgets a gateway.
	Close(key types.NamespacedName)
}

// Fleet is what a gateway's connected proxies say. Lists of texts are sorted
// and name nothing twice.
type Fleet struct {
	// Acknowledged is the position that all of them have reached, the zero
	// position without proxies.
	Acknowledged configsync.Position
	// Rejected is what any of them leaves out, or is not sent because its
	// version does not know it.
	Rejected []configsync.Rejection
	// ScopePending are upstream addresses ("ip:port") that any of them uses
	// although its sidecar has no listener for them.
	ScopePending []string
	// Errors are current troubles of any of them.
	Errors []string
}

// Config is what a ControlPlane needs.
type Config struct {
	// Cache brings the objects; it is started by its owner. Its scheme holds
	// the store's kinds and CustomResourceDefinition.
	Cache cache.Cache
	// Reader reads Secrets from the API server, not from a cache.
	Reader client.Reader
	// Writer writes statuses and events.
	Writer    client.Client
	Schemas   entity.SchemaSet
	Publisher Publisher
	// Logger defaults to slog.Default.
	Logger *slog.Logger
}

// patience is how long the first publication of a gateway waits for Secrets
// while none of them can be read.
const patience = 10 * time.Second

// ControlPlane compiles and publishes routes. Its methods are safe for
// concurrent use.
type ControlPlane struct {
	config  Config
	log     *slog.Logger
	store   *store.Store
	kick    chan struct{}
	changes chan event.GenericEvent

	kinds    workqueue.TypedRateLimitingInterface[string] // names of CRDs
	watched  map[store.Kind]toolscache.ResourceEventHandlerRegistration
	opens    workqueue.TypedRateLimitingInterface[types.NamespacedName]
	secrets  workqueue.TypedRateLimitingInterface[store.SecretRequest]
	statuses workqueue.TypedRateLimitingInterface[store.Key]
	events   workqueue.TypedRateLimitingInterface[fragment.Problem]
	recorded recorded

	mu       sync.Mutex
	gateways map[types.NamespacedName]*gatewayState
	notices  notices
}

// gatewayState is guarded by ControlPlane.mu.
type gatewayState struct {
	spec   GatewaySpec
	opened bool
	since  time.Time // when it was opened, or a Secret was read for it last
	// pending is how many units waited for Secrets then.
	pending int

	summary   store.Summary
	published bool
	unsent    bool                // something was applied and not published
	position  configsync.Position // of what was published last
	fragments map[fragment.Owner]fragment.Fragment
	egress    map[string]string
	scopeTold bool // egress is what SetEgress told
	rescope   bool // the egress scope may have changed

	states map[fragment.Owner]*objectState
	// policies are the units of Services by the KongUpstreamPolicy they name.
	policies map[store.Key]map[fragment.Owner]struct{}
	awaiting queue
	acked    configsync.Position
	fleet    Fleet
	// problems are all there are, revised says that they are others than the
	// gateway's listeners know; reported are those that are not of translation.
	problems problemSet
	revised  bool
	reported map[source][]fragment.Problem
}

// New returns a control plane for a scheme that holds the kinds of Scheme.
func New(c Config) *ControlPlane {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return &ControlPlane{
		config: c, log: c.Logger, store: store.New(c.Schemas),
		kick: make(chan struct{}, 1), changes: make(chan event.GenericEvent, 1024),
		kinds:    workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]()),
		watched:  make(map[store.Kind]toolscache.ResourceEventHandlerRegistration),
		opens:    workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[types.NamespacedName]()),
		secrets:  workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[store.SecretRequest]()),
		statuses: workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[store.Key]()),
		events:   workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[fragment.Problem]()),
		recorded: make(recorded), notices: newNotices(),
		gateways: make(map[types.NamespacedName]*gatewayState),
	}
}

// SetGateway adds a gateway or changes what is known about it. It does not
// block on anything.
func (c *ControlPlane) SetGateway(spec GatewaySpec) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.gateways[spec.Key]
	if g != nil && g.spec.UID != spec.UID {
		c.removeLocked(spec.Key)
		g = nil
	}
	if g == nil {
		g = &gatewayState{
			fragments: make(map[fragment.Owner]fragment.Fragment), states: make(map[fragment.Owner]*objectState),
			policies: make(map[store.Key]map[fragment.Owner]struct{}), reported: make(map[source][]fragment.Problem),
		}
		c.gateways[spec.Key] = g
	} else if g.spec.equal(spec) {
		return
	}
	g.spec = spec
	c.opens.Add(spec.Key)
}

// RemoveGateway forgets a gateway.
func (c *ControlPlane) RemoveGateway(key types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removeLocked(key)
}

func (c *ControlPlane) removeLocked(key types.NamespacedName) {
	g := c.gateways[key]
	if g == nil {
		return
	}
	delete(c.gateways, key)
	for _, s := range g.states {
		c.enqueue(s.ObjectState) // what is said of it goes with it
	}
	g.problems.from(fragment.Problem{}, func(p fragment.Problem) bool {
		c.notices.remove(p)
		return true
	})
	c.store.RemoveGateway(key)
	c.config.Publisher.Close(key)
}

// SetEgress tells, per upstream "ip:port", the hash of the egress entry that
// was written for it.
func (c *ControlPlane) SetEgress(key types.NamespacedName, hashes map[string]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if g := c.gateways[key]; g != nil && (!g.scopeTold || !maps.Equal(g.egress, hashes)) {
		g.egress, g.scopeTold, g.rescope = maps.Clone(hashes), true, true
		c.wake()
	}
}

// Facts returns what is known about a gateway.
func (c *ControlPlane) Facts(key types.NamespacedName) Facts {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.gateways[key]
	if g == nil {
		return Facts{}
	}
	first := g.problems.first(v1alpha1.MaxStatusProblems)
	return Facts{
		Synced: g.published, AttachedRoutes: g.summary.AttachedRoutes, Problems: first, MoreProblems: g.problems.len - len(first),
		Backends: g.summary.Backends,
	}
}

// Changes carries an event for each gateway whose Facts changed.
func (c *ControlPlane) Changes() <-chan event.GenericEvent { return c.changes }

// changed tells listeners about a gateway. Nobody listens on a standby, which
// has no gateways either.
func (c *ControlPlane) changed(ctx context.Context, key types.NamespacedName) {
	gw := &v1alpha1.KongIstioGateway{}
	gw.Namespace, gw.Name = key.Namespace, key.Name
	select {
	case c.changes <- event.GenericEvent{Object: gw}:
	case <-ctx.Done():
	}
}

func (c *ControlPlane) wake() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// Start runs until ctx ends. It runs on standbys too: their caches stay warm,
// and without gateways they publish and write nothing.
func (c *ControlPlane) Start(ctx context.Context) error {
	defer c.shutDown()
	if err := c.watch(ctx); err != nil {
		return err
	}
	c.log.Info("The control plane's caches are filled")
	var wg sync.WaitGroup
	wg.Go(func() { work(ctx, c.kinds, c.watchKind) })
	wg.Go(func() { work(ctx, c.opens, c.open) })
	for range secretReaders {
		wg.Go(func() { work(ctx, c.secrets, c.readSecret) })
	}
	wg.Go(func() { work(ctx, c.events, c.writeEvent) })
	for range statusWriters {
		wg.Go(func() { work(ctx, c.statuses, c.writeStatus) })
	}
	changes := make(chan struct{}, 1)
	wg.Go(func() { c.gather(ctx, changes) })
	wg.Go(func() { snapshot.Coalesce(ctx, changes, func() { c.deliver(ctx) }) })
	<-ctx.Done()
	c.shutDown()
	wg.Wait()
	return nil
}

func (c *ControlPlane) shutDown() {
	c.kinds.ShutDown()
	c.opens.ShutDown()
	c.secrets.ShutDown()
	c.statuses.ShutDown()
	c.events.ShutDown()
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (c *ControlPlane) NeedLeaderElection() bool { return false }

// gather joins the two sources of work.
func (c *ControlPlane) gather(ctx context.Context, changes chan<- struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.store.Wake():
		case <-c.kick:
		}
		select {
		case changes <- struct{}{}:
		default:
		}
	}
}

// work runs a queue's items through do; items that fail are tried again, later
// and later.
func work[T comparable](ctx context.Context, q workqueue.TypedRateLimitingInterface[T], do func(context.Context, T) error) {
	for {
		item, shutdown := q.Get()
		if shutdown {
			return
		}
		if err := do(ctx, item); err != nil && ctx.Err() == nil {
			q.AddRateLimited(item)
		} else {
			q.Forget(item)
		}
		q.Done(item)
	}
}

// Scheme returns a scheme for Config.Cache and Config.Writer.
func Scheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	return s, addToScheme(s)
}
