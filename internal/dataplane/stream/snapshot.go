// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"sync"
	"sync/atomic"

	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/dataplane/router"
	"github.com/kong/kong-istio-gateway/internal/dataplane/tlscert"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// snapshot is one running configuration. It is immutable once published, but
// for what it finds out at first use.
type snapshot struct {
	server    *Server
	router    *router.Stream
	instances map[entity.ID]*held
	ordered   []*pipeline.Instance // in the order of the set
	global    *pipeline.StreamPlan
	balanced  map[string]balancedUpstream
	balancers []*balancer.Balancer
	certs     *tlscert.Set // that services show to upstreams
	cas       *tlscert.CAs

	// uses are the entities that the snapshot was made of or lacks, and hosts the
	// names that an upstream entity would take over.
	uses     map[entity.Key]bool
	hosts    map[string]bool
	rejected []pipeline.Rejection

	// users are the configuration being the running one, and each session that is
	// being opened. At 0 the snapshot is gone for good.
	users atomic.Int64
}

// held is a plugin instance with the number of snapshots and sessions that use
// it.
type held struct {
	*pipeline.Instance
	users atomic.Int64
}

// routed is what the router hands back for a matched route.
type routed struct {
	service *service
	// broken says that the route's service cannot be used.
	broken bool

	once sync.Once
	plan *plan
}

// plan is a route's plugins with what they are held by.
type plan struct {
	*pipeline.StreamPlan
	held []*held
}

// hold makes the plan's instances stay. The caller holds the snapshot.
func (p *plan) hold() {
	for _, h := range p.held {
		h.users.Add(1)
	}
}

func (p *plan) release(s *Server) {
	for _, h := range p.held {
		s.releaseInstance(h)
	}
}

// planOf returns the route's plan, made on its first session.
func (s *snapshot) planOf(r *router.Route) *plan {
	data := r.Data.(*routed)
	data.once.Do(func() {
		data.plan = &plan{StreamPlan: pipeline.NewStreamPlan(s.ordered, r.Entity, r.Service)}
		for _, in := range data.plan.Instances() {
			data.plan.held = append(data.plan.held, s.instances[in.Plugin.ID])
		}
	})
	return data.plan
}

// hold returns the running configuration; release must follow.
func (s *Server) hold() *snapshot {
	for {
		current := s.current.Load()
		for n := current.users.Load(); n > 0; n = current.users.Load() {
			if current.users.CompareAndSwap(n, n+1) {
				return current
			}
		}
	}
}

func (s *snapshot) release() {
	if s.users.Add(-1) > 0 {
		return
	}
	for _, b := range s.balancers {
		b.Close()
	}
	for _, h := range s.instances {
		s.server.releaseInstance(h)
	}
}

// releaseInstance closes an instance after its last user.
func (s *Server) releaseInstance(h *held) {
	if h.users.Add(-1) > 0 || h.Phases.Close == nil {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			s.log.Error("plugin failed", "plugin", h.Plugin.Name, "phase", "close", "error", v)
		}
	}()
	h.Phases.Close()
}

// build makes a snapshot of a set, carrying plugin instances over from
// previous, which may be nil.
func (s *Server) build(previous *snapshot, set *entity.Set) *snapshot {
	next := &snapshot{
		server: s, instances: map[entity.ID]*held{},
		uses: map[entity.Key]bool{}, hosts: map[string]bool{}, balanced: map[string]balancedUpstream{},
	}
	next.users.Store(1)
	var routes []*entity.Route
	for _, r := range set.Routes {
		if router.StreamRoute(r) {
			routes = append(routes, r)
			next.uses[entity.KeyOf(r)] = true
		}
	}
	if len(routes) > 0 {
		next.rejected = next.configure(previous, set)
	}
	next.global = pipeline.NewStreamPlan(next.ordered, nil, nil)
	services, problems := next.services(previous, set, routes)
	next.rejected = append(next.rejected, problems...)
	next.rejected = append(next.rejected, next.route(routes, services)...)
	return next
}

// configure makes or carries over the instances of plugins that take part in
// sessions.
func (s *snapshot) configure(previous *snapshot, set *entity.Set) (rejected []pipeline.Rejection) {
	for _, p := range set.Plugins {
		if !pipeline.RunsOnStream(p, s.server.options.Schemas) {
			continue
		}
		var old *held
		if previous != nil {
			old = previous.instances[p.ID]
		}
		var before *pipeline.Instance
		if old != nil {
			before = old.Instance
		}
		instance, problem := s.server.options.Catalog.Configure(p, before)
		if problem != nil {
			rejected = append(rejected, *problem)
		}
		if old == nil || old.Instance != instance {
			old = &held{Instance: instance}
		}
		old.users.Add(1)
		s.uses[entity.KeyOf(p)] = true
		s.instances[p.ID] = old
		s.ordered = append(s.ordered, instance)
	}
	return rejected
}

// route compiles the router. A route whose service cannot be used stays, so
// that its sessions do not fall through to a route that was not meant for them.
func (s *snapshot) route(routes []*entity.Route, services map[entity.ID]*service) (rejected []pipeline.Rejection) {
	items := make([]router.Item, 0, len(routes))
	for _, r := range routes {
		item := router.Item{Route: r, Data: &routed{}}
		if r.Service != nil {
			runtime := services[r.Service.ID]
			item.Data = &routed{service: runtime, broken: runtime == nil}
			if runtime != nil {
				item.Service = runtime.entity
			} else {
				rejected = append(rejected, rejection(r, r.Name, "service", "the service is missing or cannot be used"))
			}
		}
		items = append(items, item)
	}
	compiled, problems := router.NewStream(items, s.server.options.Settings.RouterFlavor)
	for _, p := range problems {
		rejected = append(rejected, pipeline.Rejection{
			Key:  entity.Key{Kind: entity.KindRoute, ID: p.RouteID},
			Name: p.RouteName, Field: p.Field, Reason: p.Err.Error(),
		})
	}
	s.router = compiled
	return rejected
}

func rejection(e entity.Entity, name, field, reason string) pipeline.Rejection {
	return pipeline.Rejection{Key: entity.KeyOf(e), Name: name, Field: field, Reason: reason}
}
