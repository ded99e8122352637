// SPDX-License-Identifier: Apache-2.0

package meshscope

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Scope says what the control plane knows of an address.
type Scope struct {
	// Hash changes when the egress entry that covers the address does.
	Hash string
	// Held keeps the address from being used until the control plane lets go.
	Held bool
}

// Pending is an address that is used although the sidecar did not show its
// listener in time.
type Pending struct {
	Address netip.AddrPort
	Since   time.Time
}

// Options are what a Gate is made of.
type Options struct {
	// Listeners asks the sidecar which addresses it has listeners for; nil
	// without a sidecar, when every address may be used at once.
	Listeners func(context.Context) (map[netip.AddrPort]bool, error)
	// Apply makes a configuration the running one. later says that it comes
	// after Gate.Apply returned, because what waited may be served now.
	Apply func(set *entity.Set, later bool)
	// Retire makes older connections to an address unfit for reuse.
	Retire func(netip.AddrPort)
	// Wait bounds how long an address is waited for (default 5 s), Poll is the
	// time between two questions (default 50 ms).
	Wait, Poll time.Duration
	Logger     *slog.Logger
}

// Gate applies configurations and holds back what the sidecar is not ready
// for. Its methods are safe for concurrent use.
type Gate struct {
	options Options

	mu      sync.Mutex
	next    *entity.Set
	applied *entity.Set
	started bool
	settled bool
	scope   func(netip.AddrPort) (Scope, bool)
	hashes  map[netip.AddrPort]string
	// ready are the addresses that may be used, overdue those that are used
	// without their listener, waiting since when the others are waited for.
	ready   map[netip.AddrPort]bool
	overdue map[netip.AddrPort]time.Time
	waiting map[netip.AddrPort]time.Time
	polling bool
	closed  chan struct{}
	done    sync.WaitGroup
}

const (
	defaultWait = 5 * time.Second
	defaultPoll = 50 * time.Millisecond
)

// New returns a gate that has applied nothing.
func New(o Options) *Gate {
	if o.Wait == 0 {
		o.Wait = defaultWait
	}
	if o.Poll == 0 {
		o.Poll = defaultPoll
	}
	return &Gate{
		options: o,
		applied: &entity.Set{},
		hashes:  map[netip.AddrPort]string{},
		ready:   map[netip.AddrPort]bool{},
		overdue: map[netip.AddrPort]time.Time{},
		waiting: map[netip.AddrPort]time.Time{},
		closed:  make(chan struct{}),
	}
}

// Apply takes a configuration with the scope of its addresses. What may be
// served is served when it returns; the rest follows by itself.
func (g *Gate) Apply(ctx context.Context, set *entity.Set, scope func(netip.AddrPort) (Scope, bool)) {
	var listeners map[netip.AddrPort]bool
	if g.mustAsk(set, scope) {
		listeners = g.ask(ctx)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.next, g.scope = set, scope
	g.settle(listeners, time.Now(), false)
	if len(g.waiting) > 0 && !g.polling {
		g.polling = true
		g.done.Add(1)
		go g.poll()
	}
}

// Pending returns the addresses that are used without their listener.
func (g *Gate) Pending() []Pending {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]Pending, 0, len(g.overdue))
	for a, since := range g.overdue {
		out = append(out, Pending{a, since})
	}
	return out
}

// Settled reports whether everything of a first configuration came into
// service. It never goes back: what is added later waits by itself, and what
// served before goes on.
func (g *Gate) Settled() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.settled
}

// Close ends waiting. Nothing is applied afterwards.
func (g *Gate) Close() {
	close(g.closed)
	g.done.Wait()
}

// mustAsk reports whether a configuration names addresses whose listeners have
// not been seen. A sidecar that does not answer must not slow down the changes
// that do not depend on it.
func (g *Gate) mustAsk(set *entity.Set, scope func(netip.AddrPort) (Scope, bool)) bool {
	if g.options.Listeners == nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.ContainsFunc(Addresses(set), func(a netip.AddrPort) bool {
		_, covered := scope(a)
		return covered && !g.ready[a]
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
		g.settle(listeners, time.Now(), true)
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

// settle decides for every address and applies what may be served.
func (g *Gate) settle(listeners map[netip.AddrPort]bool, now time.Time, later bool) {
	addresses := Addresses(g.next)
	named := make(map[netip.AddrPort]bool, len(addresses))
	for _, a := range addresses {
		named[a] = true
		g.settleAddress(a, listeners[a] || g.options.Listeners == nil, now)
	}
	for _, m := range []map[netip.AddrPort]time.Time{g.waiting, g.overdue} {
		for a := range m {
			if !named[a] {
				delete(m, a)
			}
		}
	}
	for a := range g.ready {
		if !named[a] {
			// An address that comes back later must show its listener anew.
			delete(g.ready, a)
			delete(g.hashes, a)
		}
	}
	served := Hold(g.applied, g.next, func(a netip.AddrPort) bool { return !g.ready[a] && named[a] })
	if !g.started || !sameRouting(g.applied, served) {
		g.options.Apply(served, later)
		g.applied, g.started = served, true
	}
	g.settled = g.settled || !g.waitsForSidecar()
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

// sameRouting reports whether two sets hold the very same entities.
func sameRouting(a, b *entity.Set) bool {
	return same(a.Routes, b.Routes) && same(a.Services, b.Services) && same(a.Upstreams, b.Upstreams) &&
		same(a.Targets, b.Targets) && same(a.Plugins, b.Plugins) && same(a.Consumers, b.Consumers) &&
		same(a.ConsumerGroups, b.ConsumerGroups) && same(a.Credentials, b.Credentials) &&
		same(a.Certificates, b.Certificates) && same(a.SNIs, b.SNIs) &&
		same(a.CACertificates, b.CACertificates) && same(a.Vaults, b.Vaults)
}

func same[T comparable](a, b []T) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
