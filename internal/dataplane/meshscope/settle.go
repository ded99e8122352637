// SPDX-License-Identifier: Apache-2.0

package meshscope

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// mustAsk reports whether the listener of one of the addresses has not been
// seen. A sidecar that does not answer must not slow down the changes that do
// not depend on it.
func (g *Gate) mustAsk(addresses []netip.AddrPort) bool {
	return g.options.Listeners != nil && slices.ContainsFunc(addresses, func(a netip.AddrPort) bool {
		if g.named[a] == 0 || g.ready[a] {
			return false
		}
		_, covered := g.scope(a)
		return covered
	})
}

func (g *Gate) ask(ctx context.Context) map[netip.AddrPort]bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	listeners, err := g.options.Listeners(ctx)
	if err != nil {
		g.options.Logger.Debug("sidecar does not say its listeners", "error", err)
	}
	return listeners
}

// poll asks the sidecar again until nothing waits. Envoy's admin interface has
// no way to be told.
func (g *Gate) poll() {
	defer g.done.Done()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	tick := time.NewTicker(g.options.Poll)
	defer tick.Stop()
	for {
		select {
		case <-g.closed:
			return
		case <-tick.C:
		}
		listeners := g.ask(ctx)
		g.mu.Lock()
		addresses := slices.AppendSeq(slices.Collect(maps.Keys(g.waiting)), maps.Keys(g.overdue))
		g.settle(addresses, entity.Delta{}, nil, listeners, time.Now(), true)
		if len(g.waiting) == 0 && len(g.overdue) == 0 {
			g.polling = false
			g.mu.Unlock()
			return
		}
		if len(g.waiting) == 0 {
			// What is overdue is served; its listener is not urgent any more.
			tick.Reset(g.options.Wait)
		} else {
			tick.Reset(g.options.Poll)
		}
		g.mu.Unlock()
	}
}

// settle decides for addresses and applies what of a change may be served, and
// what was held until now. left are entities that something else led to before.
func (g *Gate) settle(addresses []netip.AddrPort, d entity.Delta, left []entity.Key, listeners map[netip.AddrPort]bool, now time.Time, later bool) {
	released := false
	for _, a := range addresses {
		if g.named[a] > 0 {
			before := g.ready[a]
			g.settleAddress(a, listeners[a] || g.options.Listeners == nil, now)
			released = released || g.ready[a] && !before
		}
	}
	served := g.serve(d, left, released)
	if !g.started || !served.Empty() {
		g.started = true
		g.options.Apply(served, later)
	}
	g.settled = g.settled || !g.waitsForSidecar()
}

func (g *Gate) settleAddress(a netip.AddrPort, listening bool, now time.Time) {
	scope, covered := g.scope(a)
	if !covered {
		// Not an address that the sidecar has a listener of its own for: the
		// pods of a headless Service, or something outside the mesh.
		g.ready[a] = true
		delete(g.waiting, a)
		return
	}
	if scope.Held && !g.ready[a] {
		g.waiting[a] = now
		return
	}
	if old, seen := g.hashes[a]; seen && old != scope.Hash {
		g.options.Retire(a)
	}
	g.hashes[a] = scope.Hash
	_, late := g.overdue[a]
	switch {
	case listening:
		if late {
			// Connections opened meanwhile went through the catch-all.
			g.options.Retire(a)
			delete(g.overdue, a)
		}
		g.ready[a] = true
		delete(g.waiting, a)
	case g.ready[a]:
	default:
		since, known := g.waiting[a]
		if !known {
			g.waiting[a] = now
			return
		}
		if now.Sub(since) >= g.options.Wait {
			g.options.Logger.Warn("sidecar shows no listener; the address is used without it", "address", a, "waited", g.options.Wait)
			g.ready[a] = true
			g.overdue[a] = now
			delete(g.waiting, a)
		}
	}
}

// waitsForSidecar reports whether anything waits for its listener. What the
// control plane holds may do so for days, and keeps no proxy from being ready.
func (g *Gate) waitsForSidecar() bool {
	for a := range g.waiting {
		if scope, _ := g.scope(a); !scope.Held {
			return true
		}
	}
	return false
}
