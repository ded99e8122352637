// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/controllers/gateway"
	"github.com/kong/kong-istio-gateway/controllers/routes"
	"github.com/kong/kong-istio-gateway/controllers/stream"
	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/configsync/server"
	"github.com/kong/kong-istio-gateway/internal/controlplane/streamauth"
	"github.com/kong/kong-istio-gateway/internal/controlplane/streamca"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/operator/mesh"
	"github.com/kong/kong-istio-gateway/internal/operator/render"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

// streamRoots is the Secret, in the manager's namespace, with the roots of the
// stream's certificates.
const streamRoots = "kong-istio-gateway-stream-roots"

// controlPlane is everything between the API server and the proxies.
type controlPlane struct {
	routes    *routes.ControlPlane
	publisher *stream.Publisher
	fleet     *fleet
	trust     *trust
	opened    atomic.Pointer[time.Time]
	ctx       atomic.Pointer[context.Context] // of the leader
}

// newControlPlane makes the control plane and registers what it runs.
func newControlPlane(mgr ctrl.Manager, o options) (controlPlaneParts, error) {
	log := slog.New(logr.ToSlogHandler(mgr.GetLogger().WithName("controlplane")))
	cp := &controlPlane{trust: newTrust()}
	srv, err := cp.newServer(mgr, o, log)
	if err != nil {
		return controlPlaneParts{}, err
	}
	cp.fleet = newFleet(srv.Facts, cp.openedAt, clock.RealClock{})

	objects, reader, writer, err := routeClients(mgr)
	if err != nil {
		return controlPlaneParts{}, err
	}
	c := stream.Config{
		Server: srv, Reader: mgr.GetAPIReader(), Writer: writer, Logger: log,
		OnSaved: func(key types.NamespacedName) {
			cp.fleet.changed(configsync.Gateway{Namespace: key.Namespace, Name: key.Name})
		},
	}
	if o.leaderElect {
		c.Lease = types.NamespacedName{Namespace: o.namespace, Name: leaseName}
	}
	cp.publisher = stream.New(c)
	cp.routes = routes.New(routes.Config{
		Cache: objects, Reader: reader, Writer: writer,
		Schemas: schemas.All(), Publisher: cp.publisher, Logger: log,
	})
	for _, r := range []manager.Runnable{&warm{objects}, cp.routes} {
		if err := mgr.Add(r); err != nil {
			return controlPlaneParts{}, err
		}
	}
	return controlPlaneParts{
		Routes: &routeAdapter{cp.routes, o.clusterDomain},
		Fleet:  &savedFleet{cp.fleet, cp.publisher},
		Trust:  cp.trust, Objects: objects,
	}, nil
}

// newServer makes the stream's server with its authority, both of the leader.
func (cp *controlPlane) newServer(mgr ctrl.Manager, o options, log *slog.Logger) (*server.Server, error) {
	authority := streamca.New(streamca.Config{
		Store: &streamca.SecretStore{
			Reader: mgr.GetAPIReader(), Writer: mgr.GetClient(), Name: types.NamespacedName{Namespace: o.namespace, Name: streamRoots},
		},
		ServerNames: []string{o.streamHost()}, OnBundle: cp.trust.set, Logger: log,
	})
	known, err := configsync.Schemas(schemas.All())
	if err != nil {
		return nil, fmt.Errorf("plugin schemas: %w", err)
	}
	srv := server.New(server.Config{
		TLS: authority.TLSConfig(),
		Authenticator: streamauth.New(streamauth.Config{
			Creator: mgr.GetClient(), Reader: mgr.GetAPIReader(), Audience: render.TokenAudience,
		}),
		Schemas: known, OnChange: cp.fleetChanged,
		OnAhead: func(g configsync.Gateway, p configsync.Position) { cp.publisher.Ahead(g, p) },
		Logger:  log,
	})
	// Both run on the leader only, as runnables do unless they say otherwise.
	if err := mgr.Add(manager.RunnableFunc(authority.Run)); err != nil {
		return nil, err
	}
	return srv, mgr.Add(manager.RunnableFunc(func(ctx context.Context) error { return cp.serve(ctx, srv, o.streamAddress) }))
}

// serve streams until ctx ends.
func (cp *controlPlane) serve(ctx context.Context, srv *server.Server, address string) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen for proxies on %s (--config-stream-bind-address): %w", address, err)
	}
	cp.ctx.Store(&ctx)
	now := time.Now()
	cp.opened.Store(&now)
	return srv.Serve(ctx, l)
}

func (cp *controlPlane) openedAt() time.Time {
	if t := cp.opened.Load(); t != nil {
		return *t
	}
	return time.Time{}
}

// fleetChanged is the server's OnChange.
func (cp *controlPlane) fleetChanged(g configsync.Gateway) {
	if ctx := cp.ctx.Load(); ctx != nil {
		cp.routes.FleetChanged(*ctx, types.NamespacedName{Namespace: g.Namespace, Name: g.Name})
	}
	cp.fleet.moved(g)
}

// routeClients returns the cache of the objects that routes are made of, apart
// from the operator's, which holds the objects that it renders, a reader past
// it, and a client that writes to them.
func routeClients(mgr ctrl.Manager) (cache.Cache, client.Reader, client.Client, error) {
	scheme, err := routes.Scheme()
	if err != nil {
		return nil, nil, nil, err
	}
	options := routes.CacheOptions(scheme)
	options.HTTPClient = mgr.GetHTTPClient()
	objects, err := cache.New(mgr.GetConfig(), options)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("cache of routes: %w", err)
	}
	// Secrets are read one by one, a few at once, and a new leader publishes nothing before it has all of them: hundreds
	// of reads must not wait for their turn.
	unlimited := rest.CopyConfig(mgr.GetConfig())
	unlimited.QPS = -1
	reader, err := client.New(unlimited, client.Options{HTTPClient: mgr.GetHTTPClient(), Scheme: scheme})
	if err != nil {
		return nil, nil, nil, fmt.Errorf("reader for routes: %w", err)
	}
	writer, err := client.New(mgr.GetConfig(), client.Options{HTTPClient: mgr.GetHTTPClient(), Scheme: scheme})
	if err != nil {
		return nil, nil, nil, fmt.Errorf("client for routes: %w", err)
	}
	return objects, reader, writer, nil
}

// warm runs a cache on standbys too.
type warm struct{ cache.Cache }

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (*warm) NeedLeaderElection() bool { return false }

// routeAdapter speaks the reconciler's language. It implements gateway.Routes.
type routeAdapter struct {
	routes        *routes.ControlPlane
	clusterDomain string
}

// SetGateway implements gateway.Routes.
func (a *routeAdapter) SetGateway(r gateway.Routing) {
	spec := routes.GatewaySpec{
		Key: r.Key, UID: r.UID, IngressClassName: r.IngressClassName, ClusterDomain: a.clusterDomain,
		ScopeFrozen: r.ScopeFrozen,
		ServiceHost: r.UpstreamHost == v1alpha1.UpstreamHostService, MeshMode: "none",
	}
	switch r.Mesh {
	case v1alpha1.MeshSidecar:
		spec.MeshMode = "sidecar"
	case v1alpha1.MeshAmbient:
		spec.MeshMode = "ambient"
	}
	for _, address := range r.Addresses {
		entry := networkingv1.IngressLoadBalancerIngress{IP: address.Value}
		if address.Type == v1alpha1.AddressTypeHostname {
			entry = networkingv1.IngressLoadBalancerIngress{Hostname: address.Value}
		}
		spec.Addresses = append(spec.Addresses, entry)
	}
	spec.StreamPorts = streamPorts(r.Listeners)
	a.routes.SetGateway(spec)
}

// streamPorts are the ports of the listeners for stream routes.
func streamPorts(listeners []v1alpha1.Listener) (ports routes.StreamPorts) {
	for _, l := range listeners {
		switch l.Protocol {
		case v1alpha1.ProtocolTCP, v1alpha1.ProtocolTLS:
			ports.TCP = append(ports.TCP, l.Port)
		case v1alpha1.ProtocolUDP:
			ports.UDP = append(ports.UDP, l.Port)
		}
	}
	return ports
}

// RemoveGateway implements gateway.Routes.
func (a *routeAdapter) RemoveGateway(key types.NamespacedName) { a.routes.RemoveGateway(key) }

// SetEgress implements gateway.Routes.
func (a *routeAdapter) SetEgress(key types.NamespacedName, hashes map[string]string) {
	a.routes.SetEgress(key, hashes)
}

// Changes implements gateway.Routes.
func (a *routeAdapter) Changes() <-chan event.GenericEvent { return a.routes.Changes() }

// Facts implements gateway.Routes.
func (a *routeAdapter) Facts(key types.NamespacedName) gateway.RouteFacts {
	facts := a.routes.Facts(key)
	out := gateway.RouteFacts{Synced: facts.Synced, AttachedRoutes: facts.AttachedRoutes, MoreProblems: facts.MoreProblems}
	for _, p := range facts.Problems {
		out.Problems = append(out.Problems, problemOf(p))
	}
	for _, b := range facts.Backends {
		if b.ExternalName != "" || b.Protocol == string(entity.ProtocolUDP) {
			continue // outside the cluster, or not captured by sidecars: nothing to cover
		}
		backend := mesh.Backend{Namespace: b.Namespace, Service: b.Service, Port: b.Port, L4: isL4(b.Protocol)}
		if b.ClusterIP != "" {
			backend.ClusterIPs = []string{b.ClusterIP}
		}
		out.Backends = append(out.Backends, backend)
	}
	return out
}

// isL4 reports whether a Kong protocol is a stream of bytes.
func isL4(protocol string) bool {
	switch protocol {
	case "tcp", "tls", "tls_passthrough":
		return true
	}
	return false
}

// problemOf puts a problem into the form of the gateway's status.
func problemOf(p fragment.Problem) v1alpha1.Problem {
	message := p.Message
	if p.Fix != "" {
		message += " (" + p.Fix + ")"
	}
	return v1alpha1.Problem{
		Object: v1alpha1.ProblemObject{Group: p.Object.Group, Kind: p.Object.Kind, Namespace: p.Object.Namespace, Name: p.Object.Name},
		Field:  cut(p.Field, maxProblemField), Reason: p.Reason, Message: cut(message, maxProblemMessage),
	}
}

// Limits of the API's problem entries, in characters.
const (
	maxProblemField   = 512
	maxProblemMessage = 1024
)

// cut shortens text to at most limit characters.
func cut(text string, limit int) string {
	runes := []rune(text)
	if len(runes) <= limit {
		return text
	}
	return string(runes[:limit-3]) + "..."
}

// savedFleet adds what is known about the snapshot Secrets. It implements
// gateway.Fleet.
type savedFleet struct {
	*fleet
	publisher *stream.Publisher
}

// Facts implements gateway.Fleet.
func (f *savedFleet) Facts(key types.NamespacedName) gateway.FleetFacts {
	facts := f.fleet.Facts(key)
	facts.TooLarge = f.publisher.TooLarge(key)
	return facts
}
