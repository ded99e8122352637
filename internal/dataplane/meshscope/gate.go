// SPDX-License-Identifier: Apache-2.0

package meshscope

import (
	"context"
	"log/slog"
	"maps"
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

// serve returns what of a change is to be applied now; with released also what
// was held and may be served.
func (g *Gate) serve(d entity.Delta, left []entity.Key, released bool) (out entity.Delta) {
	keys := slices.Clone(left)
	for _, key := range d.Removed {
		if routing(key.Kind) {
			keys = append(keys, key)
		} else {
			out.Removed = append(out.Removed, key)
		}
	}
	for _, e := range d.Put {
		if routing(e.EntityKind()) {
			keys = append(keys, entity.KeyOf(e))
		} else {
			out.Put = append(out.Put, e)
		}
	}
	if released {
		keys = slices.AppendSeq(keys, maps.Keys(g.held))
	}
	decided := group{}
	for _, key := range keys {
		if decided[key] {
			continue
		}
		near := group{}
		near.around(key, false, g.next, g.applied)
		if !g.waitsIn(near) {
			g.emit(&out, key, g.next.all[key])
			continue
		}
		whole := group{}
		whole.around(key, true, g.next, g.applied)
		want := map[entity.Key]entity.Entity{}
		for e := range Hold(g.applied.part(whole), g.next.part(whole), g.waits).All() {
			want[entity.KeyOf(e)] = e
		}
		for key := range whole {
			decided[key] = true
			g.emit(&out, key, want[key])
		}
	}
	return out
}

func (g *Gate) waits(a netip.AddrPort) bool { return g.named[a] > 0 && !g.ready[a] }

// waitsIn reports whether something of a group waits or is held.
func (g *Gate) waitsIn(near group) bool {
	if len(g.held) == 0 && len(g.waiting) == 0 {
		return false
	}
	for key := range near {
		if _, is := g.held[key]; is || key.Kind == entity.KindService && len(g.heldBy[key.ID]) > 0 {
			return true
		}
		if a, ok := addressIn(g.next.all[key]); ok && g.waits(a) {
			return true
		}
	}
	return false
}

// emit adds to a delta that an entity is to be served as e, or no more if that
// is nil.
func (g *Gate) emit(out *entity.Delta, key entity.Key, e entity.Entity) {
	if old := g.applied.all[key]; old != e {
		g.applied.set(key, e)
		if e != nil {
			out.Put = append(out.Put, e)
		} else {
			out.Removed = append(out.Removed, key)
		}
	}
	g.noteHeld(key)
}

// noteHeld notes whether what runs of an entity is not what should.
func (g *Gate) noteHeld(key entity.Key) {
	for _, service := range g.held[key] {
		g.heldBy.set(service, key.ID, false)
	}
	delete(g.held, key)
	if g.applied.all[key] == g.next.all[key] {
		return
	}
	var services []entity.ID
	for _, m := range []*model{g.applied, g.next} {
		if r, ok := m.all[key].(*entity.Route); ok && r.Service != nil {
			services = append(services, r.Service.ID)
			g.heldBy.set(r.Service.ID, key.ID, true)
		}
	}
	g.held[key] = services
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
