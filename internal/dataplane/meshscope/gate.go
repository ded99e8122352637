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
	// Apply makes a change of the running configuration. later says that it
	// comes after Gate.Apply returned, because what waited may be served now.
	Apply func(d entity.Delta, later bool)
	// Retire makes older connections to an address unfit for reuse.
	Retire func(netip.AddrPort)
	// Wait bounds how long an address is waited for (default 5 s), Poll is the
	// time between two questions (default 50 ms).
	Wait, Poll time.Duration
	Logger     *slog.Logger
}

// Change is what changes from one configuration to the next.
type Change struct {
	entity.Delta
	// Scopes are the addresses of which the scope came, changed or went.
	Scopes []netip.AddrPort
}

// Gate applies changes and holds back what the sidecar is not ready
// for. Its work depends on what changes and on what waits. Its methods are safe
// for concurrent use, but Apply is called once at a time.
type Gate struct {
	options Options

	mu sync.Mutex
	// next is the configuration as it should be, applied as it runs. They differ
	// in the entities that are held, which come with the services that routes
	// among them lead to in either; heldBy are these routes by service.
	next    *model
	applied *model
	held    map[entity.Key][]entity.ID
	heldBy  links[entity.ID]
	started bool
	settled bool
	scope   func(netip.AddrPort) (Scope, bool)
	hashes  map[netip.AddrPort]string
	// named counts the entities of next that name an address.
	named map[netip.AddrPort]int
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
		next:    newModel(),
		applied: newModel(),
		held:    map[entity.Key][]entity.ID{},
		heldBy:  links[entity.ID]{},
		named:   map[netip.AddrPort]int{},
		hashes:  map[netip.AddrPort]string{},
		ready:   map[netip.AddrPort]bool{},
		overdue: map[netip.AddrPort]time.Time{},
		waiting: map[netip.AddrPort]time.Time{},
		closed:  make(chan struct{}),
	}
}

// Apply takes a change with the scope of all addresses. What may be served is
// served when it returns; the rest follows by itself.
func (g *Gate) Apply(ctx context.Context, c Change, scope func(netip.AddrPort) (Scope, bool)) {
	g.mu.Lock()
	g.scope = scope
	addresses, left := g.take(c)
	ask := g.mustAsk(addresses)
	g.mu.Unlock()
	var listeners map[netip.AddrPort]bool
	if ask {
		listeners = g.ask(ctx)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.settle(addresses, c.Delta, left, listeners, time.Now(), false)
	if len(g.waiting) > 0 && !g.polling {
		g.polling = true
		g.done.Add(1)
		go g.poll()
	}
}

// take brings next up to date and returns the addresses to look at, and what the
// old versions of entities led to: it may be held for nothing now.
func (g *Gate) take(c Change) (addresses []netip.AddrPort, left []entity.Key) {
	addresses = slices.Clone(c.Scopes)
	name := func(e entity.Entity, by int) {
		if a, ok := addressIn(e); ok {
			g.named[a] += by
			addresses = append(addresses, a)
		}
	}
	set := func(key entity.Key, e entity.Entity) {
		if !routing(key.Kind) {
			return
		}
		old := g.next.set(key, e)
		name(old, -1)
		name(e, 1)
		if len(g.held) > 0 {
			left = append(left, g.next.next(old)...)
		}
	}
	for _, key := range c.Removed {
		set(key, nil)
	}
	for _, e := range c.Put {
		set(entity.KeyOf(e), e)
	}
	for _, a := range addresses {
		if g.named[a] == 0 {
			// An address that comes back later must show its listener anew.
			delete(g.named, a)
			delete(g.ready, a)
			delete(g.hashes, a)
			delete(g.waiting, a)
			delete(g.overdue, a)
		}
	}
	return addresses, left
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
