// SPDX-License-Identifier: Apache-2.0

package routes

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/controlplane/store"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// open readies a gateway, or hands on its changed settings.
func (c *ControlPlane) open(ctx context.Context, key types.NamespacedName) error {
	c.mu.Lock()
	g := c.gateways[key]
	if g == nil {
		c.mu.Unlock()
		return nil
	}
	spec, opened := g.spec, g.opened
	c.mu.Unlock()
	var restored []fragment.Fragment
	if !opened {
		var err error
		if restored, err = c.config.Publisher.Open(ctx, spec); err != nil {
			c.log.Error("Reading what was published before failed; the gateway's routes wait for it", "gateway", key, "error", err)
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gateways[key] != g {
		if !opened {
			c.config.Publisher.Close(key)
		}
		return nil
	}
	if !g.opened {
		g.opened, g.since = true, time.Now()
	}
	if err := c.config.Publisher.Configure(g.spec); err != nil {
		c.log.Error("Setting up the gateway's stream failed", "gateway", key, "error", err)
		return err
	}
	g.unsent, g.rescope, g.revised = true, true, true
	c.store.SetGateway(key, g.spec.settings())
	if len(restored) > 0 {
		c.store.Restore(key, restored)
	}
	for owner, s := range g.states {
		if isRoute(owner) { // their addresses, and the gateway's listeners, may have changed
			c.enqueue(s.ObjectState)
			c.reach(g, s.ObjectState)
		}
	}
	c.wake()
	return nil
}

// deliver publishes what changed.
func (c *ControlPlane) deliver(ctx context.Context) {
	changed := c.publish()
	for _, key := range changed {
		c.changed(ctx, key)
	}
	for _, request := range c.store.WantedSecrets() {
		c.secrets.Add(request)
	}
}

// publish takes what the store delivers to the publisher and returns the
// gateways whose facts changed.
func (c *ControlPlane) publish() []types.NamespacedName {
	c.mu.Lock()
	defer c.mu.Unlock()
	facts := make(map[types.NamespacedName]bool)
	for _, d := range c.store.Deliver() {
		g := c.gateways[d.Gateway]
		if g == nil {
			continue
		}
		c.take(d, g)
		if d.SummaryChanged.Any() {
			facts[d.Gateway] = true
		}
		if d.SummaryChanged.Backends {
			g.rescope = true
		}
	}
	for key, g := range c.gateways {
		sent := c.send(key, g)
		if sent || g.revised {
			facts[key] = true
		}
		g.revised = false
	}
	if len(c.notices.since) > 0 {
		c.tell()
	}
	return slices.SortedFunc(maps.Keys(facts), func(a, b types.NamespacedName) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}

// take hands a delivery's fragments to the publisher.
func (c *ControlPlane) take(d store.Delivery, g *gatewayState) {
	for _, f := range d.Changed {
		g.fragments[f.Owner] = f
	}
	for _, o := range d.Removed {
		delete(g.fragments, o)
	}
	g.summary = d.Summary
	c.revise(g, d.Problems.Came, d.Problems.Went)
	if len(d.Changed)+len(d.Removed) > 0 {
		g.unsent = true
		if err := c.config.Publisher.Apply(d.Gateway, d.Changed, d.Removed); err != nil {
			c.log.Error("Entities could not be taken into the gateway's configuration", "gateway", d.Gateway, "error", err)
		}
	}
	for _, s := range d.States {
		if old := g.states[s.Owner]; old != nil {
			c.enqueue(old.ObjectState)
		}
		g.setState(s)
		c.enqueue(s)
		c.reach(g, s)
	}
}

// reach reports what of a unit with stream routes nobody can reach.
func (c *ControlPlane) reach(g *gatewayState, s store.ObjectState) {
	if isStream(s.Owner) {
		c.report(g, source{reasonListenerNotFound, s.Owner}, g.unreachable(s))
	}
}

// send publishes a gateway's configuration if there is anything new. The first
// time it waits until all Secrets are read: a configuration that lacks what
// depends on them would take it away from the proxies.
func (c *ControlPlane) send(key types.NamespacedName, g *gatewayState) (factsChanged bool) {
	if !g.opened {
		return false
	}
	if !g.published && g.summary.PendingSecrets > 0 {
		if g.summary.PendingSecrets != g.pending { // they are being read
			g.pending, g.since = g.summary.PendingSecrets, time.Now()
		}
		if wait := patience - time.Since(g.since); wait > 0 {
			time.AfterFunc(wait+time.Millisecond, c.wake)
			return false
		}
		c.log.Warn("Some Secrets could not be read in time; what needs them is left out", "gateway", key, "units", g.summary.PendingSecrets)
	}
	if g.rescope {
		g.rescope, g.unsent = false, true
		factsChanged = c.report(g, source{name: reasonScopePending}, g.scopeProblems())
		if err := c.config.Publisher.Scope(key, g.scope()); err != nil {
			c.log.Error("Setting the egress scope failed", "gateway", key, "error", err)
		}
	}
	if g.unsent {
		position, err := c.config.Publisher.Publish(key)
		if err != nil {
			c.log.Error("Publishing the gateway's configuration failed", "gateway", key, "error", err)
			return factsChanged
		}
		g.unsent, g.position = false, position
	}
	g.number(g.position)
	first := !g.published
	g.published = true
	return first || factsChanged
}

// scope returns the addresses that the sidecar has, or will have, a
// listener for, with the hash of the egress entry where it is written.
func (g *gatewayState) scope() map[string]configsync.ScopeEntry {
	scope := make(map[string]configsync.ScopeEntry)
	if !g.spec.meshed() {
		return scope
	}
	for _, b := range g.summary.Backends {
		if b.ClusterIP == "" || b.Protocol == string(entity.ProtocolUDP) {
			continue // not captured by the sidecar
		}
		for _, address := range b.Addresses {
			scope[address] = configsync.ScopeEntry{EgressHash: g.egress[address], Held: g.held(address)}
		}
	}
	return scope
}

// held reports whether what is new behind an address has to wait: it needs an
// entry of the egress scope, which is frozen without it.
func (g *gatewayState) held(address string) bool {
	_, covered := g.egress[address]
	return g.spec.ScopeFrozen && g.scopeTold && !covered
}
