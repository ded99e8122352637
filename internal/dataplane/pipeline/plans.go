// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"slices"
	"sync/atomic"

	"github.com/kong/kong-istio-gateway/internal/dataplane/persistent"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Plans makes plans from the instances of one snapshot. It is immutable and
// safe for concurrent use; the next version shares with it what stays.
type Plans struct {
	// version differs from that of all other Plans with other content.
	version   uint64
	unrouted  *Plan
	scopes    persistent.Map[scope, *scoped]
	instances persistent.Map[entity.ID, placed]
}

var versions atomic.Uint64

// NewPlans returns the plans of instances, which are in order: of two with the
// same name and scope the later one runs.
func NewPlans(instances ...*Instance) *Plans {
	e := (&Plans{}).Edit()
	for i, in := range instances {
		e.Put(in, i)
	}
	return e.Done()
}

// Unrouted returns the plan of requests that match no route: global plugins.
func (p *Plans) Unrouted() *Plan { return p.unrouted }

// Instance returns the instance of a plugin, nil if there is none.
func (p *Plans) Instance(id entity.ID) *Instance { return p.instances.At(id).instance }

// Each yields every instance, in no particular order.
func (p *Plans) Each(yield func(*Instance) bool) {
	for _, in := range p.instances.All() {
		if !yield(in.instance) {
			return
		}
	}
}

// For compiles the plan of a route and its service, which may be nil.
func (p *Plans) For(route *entity.Route, service *entity.Service) *Plan {
	return compile(p.around(route, service))
}

// around returns the scopes that a route is in.
func (p *Plans) around(route *entity.Route, service *entity.Service) (routeService, onlyRoute, onlyService, anywhere *scoped) {
	if service != nil {
		routeService = p.scopes.At(scope{route.ID, service.ID})
		onlyService = p.scopes.At(scope{service: service.ID})
	}
	return routeService, p.scopes.At(scope{route: route.ID}), onlyService, p.scopes.At(scope{})
}

// PlanCache remembers the plan of one route from one Plans to the next. The
// zero value is ready. It is safe for concurrent use.
type PlanCache struct{ latest atomic.Pointer[cachedPlan] }

type cachedPlan struct {
	version uint64
	plan    *Plan
	// What it was made of.
	routeService, route, service, anywhere *scoped
}

// Cached is For with a cache: it compiles only what was changed since, so that
// a change of a global plugin costs no work for routes that nobody uses.
func (p *Plans) Cached(cache *PlanCache, route *entity.Route, service *entity.Service) *Plan {
	known := cache.latest.Load()
	if known != nil && known.version == p.version {
		return known.plan
	}
	now := &cachedPlan{version: p.version}
	now.routeService, now.route, now.service, now.anywhere = p.around(route, service)
	if known != nil && now.routeService == known.routeService && now.route == known.route &&
		now.service == known.service && now.anywhere == known.anywhere {
		now.plan = known.plan
	} else {
		now.plan = compile(now.routeService, now.route, now.service, now.anywhere)
	}
	cache.latest.Store(now)
	return now.plan
}

// Forget lets go of the plan: its instances may be gone.
func (c *PlanCache) Forget() { c.latest.Store(nil) }

// ForgetOutdated has a cache let go of a plan that was not used since these
// Plans took the place of others.
func (p *Plans) ForgetOutdated(c *PlanCache) {
	if known := c.latest.Load(); known != nil && known.version != p.version {
		c.latest.CompareAndSwap(known, nil)
	}
}

// PlansEdit collects changes to a Plans. It is not safe for concurrent use.
type PlansEdit struct {
	from      *Plans
	scopes    persistent.Edit[scope, *scoped]
	instances persistent.Edit[entity.ID, placed]
	changed   bool
}

// Edit starts a set of changes to p, which itself never changes.
func (p *Plans) Edit() *PlansEdit {
	return &PlansEdit{from: p, scopes: p.scopes.Edit(), instances: p.instances.Edit()}
}

// Instance returns the instance of a plugin as it is now, nil if there is none.
func (e *PlansEdit) Instance(id entity.ID) *Instance { return e.instances.At(id).instance }

// Put sets the instance of its plugin. Of two with the same name and scope the
// one with the larger order, or else the larger id, runs. Disabled plugins and
// those of stream protocols only are no part of any plan.
func (e *PlansEdit) Put(in *Instance, order int) {
	next := placed{in, order}
	if old, ok := e.instances.Get(in.Plugin.ID); ok {
		if old == next {
			return
		}
		e.leave(old)
	}
	e.instances.Put(in.Plugin.ID, next)
	if runsOnHTTP(in.Plugin) {
		e.change(in.Plugin, func(r rivals) rivals { return r.with(next) })
	}
}

// Remove takes a plugin's instance out.
func (e *PlansEdit) Remove(id entity.ID) {
	if old, ok := e.instances.Get(id); ok {
		e.leave(old)
		e.instances.Delete(id)
	}
}

func (e *PlansEdit) leave(old placed) {
	if runsOnHTTP(old.instance.Plugin) {
		e.change(old.instance.Plugin, func(r rivals) rivals { return r.without(old.id()) })
	}
}

func (e *PlansEdit) change(p *entity.Plugin, edit func(rivals) rivals) {
	e.changed = true
	key := scopeOf(p)
	if next := e.scopes.At(key).change(p, edit); next != nil {
		e.scopes.Put(key, next)
	} else {
		e.scopes.Delete(key)
	}
}

// Done returns the plans with the changes.
func (e *PlansEdit) Done() *Plans {
	next := &Plans{version: e.from.version, unrouted: e.from.unrouted, scopes: e.scopes.Done(), instances: e.instances.Done()}
	if e.changed {
		next.version = versions.Add(1)
	}
	if anywhere := next.scopes.At(scope{}); next.unrouted == nil || anywhere != e.from.scopes.At(scope{}) {
		next.unrouted = unrouted(anywhere)
	}
	e.changed = false
	return next
}

func runsOnHTTP(p *entity.Plugin) bool {
	if p.Enabled != nil && !*p.Enabled {
		return false
	}
	return len(p.Protocols) == 0 || slices.ContainsFunc(p.Protocols, func(proto entity.Protocol) bool {
		switch proto {
		case entity.ProtocolHTTP, entity.ProtocolHTTPS, entity.ProtocolGRPC, entity.ProtocolGRPCS:
			return true
		}
		return false
	})
}
