// SPDX-License-Identifier: Apache-2.0

// Package stream publishes the gateways' configurations: on the stream to the
// proxies, and in Secrets for proxies that start while the manager is away.
package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/controllers/routes"
	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/configsync/server"
	"github.com/kong/kong-istio-gateway/internal/configsync/shard"
	"github.com/kong/kong-istio-gateway/internal/controlplane/snapshot"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Server is the part of the stream server that publishing needs.
type Server interface {
	Publish(configsync.Gateway, configsync.Snapshot) error
	Forget(configsync.Gateway)
	Facts(configsync.Gateway) server.Facts
}

// Config is what a Publisher needs.
type Config struct {
	Server Server
	// Reader reads Secrets and the Lease from the API server, not from a cache.
	Reader client.Reader
	// Writer writes the snapshot Secrets.
	Writer client.Client
	// Lease is the manager's, whose transitions count the leaders; empty
	// without leader election.
	Lease types.NamespacedName
	// OnSaved is told that the outcome of saving a gateway's snapshot changed.
	OnSaved func(types.NamespacedName)
	// Logger defaults to slog.Default.
	Logger *slog.Logger
}

// Publisher implements routes.Publisher. It is safe for concurrent use.
type Publisher struct {
	config Config
	log    *slog.Logger

	mu       sync.Mutex
	gateways map[types.NamespacedName]*gateway
}

// gateway is what is published for one KongIstioGateway.
type gateway struct {
	uid     types.UID
	builder *snapshot.Builder
	saver   *snapshot.Saver
	end     context.CancelFunc
	saved   atomic.Pointer[string] // why saving failed
}

// New returns a publisher without gateways.
func New(c Config) *Publisher {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return &Publisher{config: c, log: c.Logger, gateways: make(map[types.NamespacedName]*gateway)}
}

// Open implements routes.Publisher. The context bounds the gateway's saver, too.
func (p *Publisher) Open(ctx context.Context, spec routes.GatewaySpec) ([]fragment.Fragment, error) {
	stored, err := p.stored(ctx, spec.Key)
	if err != nil {
		return nil, err
	}
	transitions, err := p.transitions(ctx)
	if err != nil {
		return nil, err
	}
	restored, err := snapshot.Restore(stored)
	if err != nil {
		p.log.Warn("Parts of what was published before cannot be read and are left out", "gateway", spec.Key, "error", err)
	}
	g := &gateway{uid: spec.UID, builder: snapshot.NewBuilder(snapshot.NextTerm(transitions, stored.Position))}
	g.saver = snapshot.NewSaver(stored, g.builder.Export,
		func(ctx context.Context, shards [][]byte) error { return p.save(ctx, spec.Key, g.uid, shards) },
		func(err error) { p.savedWith(spec.Key, g, err) })
	ctx, g.end = context.WithCancel(ctx)
	go g.saver.Run(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.gateways[spec.Key]; old != nil {
		old.end()
	}
	p.gateways[spec.Key] = g
	return restored, nil
}

// transitions returns how often the Lease changed hands.
func (p *Publisher) transitions(ctx context.Context) (int64, error) {
	if p.config.Lease.Name == "" {
		return 0, nil
	}
	var lease coordinationv1.Lease
	if err := p.config.Reader.Get(ctx, p.config.Lease, &lease); err != nil {
		return 0, fmt.Errorf("read Lease %s: %w", p.config.Lease, client.IgnoreNotFound(err))
	}
	if lease.Spec.LeaseTransitions == nil {
		return 0, nil
	}
	return int64(*lease.Spec.LeaseTransitions), nil
}

// stored returns the snapshot in a gateway's Secrets; an empty one when there
// is none, or when it cannot be read: it will be written anew.
func (p *Publisher) stored(ctx context.Context, key types.NamespacedName) (shard.Snapshot, error) {
	shards := make([][]byte, shard.MaxShards)
	for i := range shards {
		var s corev1.Secret
		name := types.NamespacedName{Namespace: key.Namespace, Name: shard.SecretName(key.Name, i)}
		err := p.config.Reader.Get(ctx, name, &s)
		if apierrors.IsNotFound(err) {
			break // there are no gaps
		}
		if err != nil {
			return shard.Snapshot{}, fmt.Errorf("read Secret %s: %w", name, err)
		}
		shards[i] = s.Data[shard.SecretKey]
	}
	snap, damaged := shard.Decode(shards)
	if damaged != nil {
		if !errors.Is(damaged, shard.ErrNone) {
			p.log.Warn("The stored snapshot cannot be read; it is written anew", "gateway", key, "error", damaged)
		}
		snap = shard.Snapshot{}
	}
	return snap, nil
}

// save writes the shards into Secrets, the first one last, and deletes Secrets
// past the last one.
func (p *Publisher) save(ctx context.Context, key types.NamespacedName, uid types.UID, shards [][]byte) error {
	for i := shard.MaxShards - 1; i >= 0; i-- {
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: shard.SecretName(key.Name, i)}}
		if i >= len(shards) {
			if err := client.IgnoreNotFound(p.config.Writer.Delete(ctx, s)); err != nil {
				return fmt.Errorf("delete Secret %s/%s: %w", s.Namespace, s.Name, err)
			}
			continue
		}
		if err := p.config.Writer.Apply(ctx, snapshotSecret(key, uid, i, shards[i]), client.FieldOwner(routes.FieldOwner), client.ForceOwnership); err != nil {
			return fmt.Errorf("write Secret %s/%s: %w", s.Namespace, s.Name, err)
		}
	}
	return nil
}

// savedWith notes how saving ended.
func (p *Publisher) savedWith(key types.NamespacedName, g *gateway, err error) {
	text := ""
	var large *shard.TooLargeError
	switch {
	case errors.As(err, &large):
		text = large.Error()
	case err != nil:
		p.log.Error("Saving the snapshot failed; it is tried again", "gateway", key, "error", err)
		return
	}
	if old := g.saved.Swap(&text); (old == nil && text != "" || old != nil && *old != text) && p.config.OnSaved != nil {
		p.config.OnSaved(key)
	}
}

// TooLarge says why a gateway's snapshot does not fit its Secrets; empty when
// it does.
func (p *Publisher) TooLarge(key types.NamespacedName) string {
	if g := p.gateway(key); g != nil {
		if text := g.saved.Load(); text != nil {
			return *text
		}
	}
	return ""
}

func (p *Publisher) gateway(key types.NamespacedName) *gateway {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gateways[key]
}

// errClosed is returned for a gateway that is not open.
var errClosed = errors.New("the gateway is not open")

// Configure implements routes.Publisher.
func (p *Publisher) Configure(spec routes.GatewaySpec) error {
	g := p.gateway(spec.Key)
	if g == nil {
		return errClosed
	}
	return g.builder.SetDialPolicy(&configsync.DialPolicy{RefuseLocal: true})
}

// Apply implements routes.Publisher.
func (p *Publisher) Apply(key types.NamespacedName, changed []fragment.Fragment, removed []fragment.Owner) error {
	g := p.gateway(key)
	if g == nil {
		return errClosed
	}
	return g.builder.Apply(changed, removed)
}

// Scope implements routes.Publisher.
func (p *Publisher) Scope(key types.NamespacedName, addresses map[string]configsync.ScopeEntry) error {
	g := p.gateway(key)
	if g == nil {
		return errClosed
	}
	scope := make(map[netip.AddrPort]configsync.ScopeEntry, len(addresses))
	for address, entry := range addresses {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("upstream address %q: %w", address, err)
		}
		scope[at] = entry
	}
	return g.builder.SetScope(scope)
}

// Publish implements routes.Publisher.
func (p *Publisher) Publish(key types.NamespacedName) (configsync.Position, error) {
	g := p.gateway(key)
	if g == nil {
		return configsync.Position{}, errClosed
	}
	snap, fresh := g.builder.Snapshot()
	if !fresh {
		return snap.Position, nil
	}
	if err := p.config.Server.Publish(streamGateway(key), snap); err != nil {
		return configsync.Position{}, err
	}
	g.saver.Changed()
	return snap.Position, nil
}

// Ahead publishes anew after a proxy showed a later position than ours: the
// count of leaders was lost, and only the leader streams.
func (p *Publisher) Ahead(gw configsync.Gateway, seen configsync.Position) {
	key := types.NamespacedName{Namespace: gw.Namespace, Name: gw.Name}
	g := p.gateway(key)
	if g == nil {
		return
	}
	p.log.Warn("A proxy holds a later configuration than this manager's; publishing under a higher term", "gateway", key)
	g.builder.Raise(seen)
	if _, err := p.Publish(key); err != nil {
		p.log.Error("Publishing under a higher term failed", "gateway", key, "error", err)
	}
}

// Owner implements routes.Publisher.
func (p *Publisher) Owner(key types.NamespacedName, e entity.Key) (fragment.Owner, bool) {
	g := p.gateway(key)
	if g == nil {
		return fragment.Owner{}, false
	}
	return g.builder.Owner(e)
}

// Fleet implements routes.Publisher.
func (p *Publisher) Fleet(key types.NamespacedName) routes.Fleet {
	facts := p.config.Server.Facts(streamGateway(key))
	var f routes.Fleet
	for i, proxy := range facts.Proxies {
		if i == 0 || proxy.Position.Compare(f.Acknowledged) < 0 {
			f.Acknowledged = proxy.Position
		}
		for _, pending := range proxy.Report.ScopePending {
			f.ScopePending = append(f.ScopePending, pending.Address.String())
		}
		f.Errors = append(f.Errors, proxy.Report.Errors...)
	}
	for _, r := range facts.Rejections {
		f.Rejected = append(f.Rejected, r.Rejection)
	}
	for _, o := range facts.Omissions {
		f.Rejected = append(f.Rejected, configsync.Rejection{Key: o.Key, Field: o.Field, Reason: o.Reason})
	}
	slices.Sort(f.ScopePending)
	slices.Sort(f.Errors)
	f.ScopePending, f.Errors = slices.Compact(f.ScopePending), slices.Compact(f.Errors)
	return f
}

// Close implements routes.Publisher.
func (p *Publisher) Close(key types.NamespacedName) {
	p.mu.Lock()
	g := p.gateways[key]
	delete(p.gateways, key)
	p.mu.Unlock()
	if g != nil {
		g.end()
		p.config.Server.Forget(streamGateway(key))
	}
}

func streamGateway(key types.NamespacedName) configsync.Gateway {
	return configsync.Gateway{Namespace: key.Namespace, Name: key.Name}
}
