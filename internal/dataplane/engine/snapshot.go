// SPDX-License-Identifier: Apache-2.0

package engine

import (
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
	router    *router.Router
	plans     *pipeline.Plans
	instances pipeline.Instances
	certs     *tlscert.Set
	cas       *tlscert.CAs
	asks      clientAsks
	balancers []*balancer.Balancer
	// balanced are the upstream entities with their balancers, by name.
	balanced map[string]balancedUpstream
	// chosen are the balancers of hosts that plugins chose.
	chosen chosenHosts
	people *directory
	set    *entity.Set
	// retired is set when a newer snapshot took its place.
	retired atomic.Bool
}

// routed is what the router hands back for a matched route.
type routed struct {
	plan    atomic.Pointer[pipeline.Plan]
	service *service
	// broken says that the route's service cannot be used.
	broken bool
}

// close gives back what the snapshot holds beside plugin instances.
func (s *snapshot) close() {
	for _, b := range s.balancers {
		b.Close()
	}
	s.chosen.close()
}

// planOf returns the route's plan, compiled on its first request: a change of
// a global plugin must not cost work for every route at once.
func (s *snapshot) planOf(r *router.Route) *pipeline.Plan {
	data := r.Data.(*routed)
	if p := data.plan.Load(); p != nil {
		return p
	}
	p := s.plans.For(r.Entity, r.Service)
	data.plan.Store(p)
	return p
}

// build makes a snapshot of a set, carrying plugin instances over from
// previous, which may be nil. Entities that cannot run are reported; what
// depends on them answers an error.
func (e *Engine) build(previous *snapshot, set *entity.Set) (*snapshot, []pipeline.Rejection) {
	next := &snapshot{set: set, instances: make(pipeline.Instances, len(set.Plugins)), people: newDirectory(set, e.options.Schemas)}
	rejected := e.configure(previous, next)
	rejected = append(rejected, next.certificates(previous)...)
	services, problems := e.services(next)
	rejected = append(rejected, problems...)
	return next, append(rejected, next.route(services)...)
}

// configure makes or carries over the plugin instances.
func (e *Engine) configure(previous, next *snapshot) (rejected []pipeline.Rejection) {
	for _, p := range next.set.Plugins {
		var old *pipeline.Instance
		if previous != nil {
			old = previous.instances[p.ID]
		}
		instance, problem := e.catalog.Configure(p, old)
		if problem != nil {
			rejected = append(rejected, *problem)
		}
		next.instances[p.ID] = instance
	}
	ordered := make([]*pipeline.Instance, 0, len(next.set.Plugins))
	for _, p := range next.set.Plugins {
		ordered = append(ordered, next.instances[p.ID])
	}
	next.plans = pipeline.NewPlans(ordered...)
	return rejected
}

// certificates parses the certificates of the set.
func (s *snapshot) certificates(previous *snapshot) (rejected []pipeline.Rejection) {
	var old *tlscert.Set
	if previous != nil {
		old = previous.certs
	}
	var unusable, untrusted []tlscert.Problem
	s.certs, unusable = tlscert.NewSet(old, s.set.Certificates, s.set.SNIs)
	s.cas, untrusted = tlscert.NewCAs(s.set.CACertificates)
	s.asks = newClientAsks(s.set, func(id entity.ID) *pipeline.Instance { return s.instances[id] })
	for _, p := range append(unusable, untrusted...) {
		rejected = append(rejected, pipeline.Rejection{Key: entity.Key{Kind: p.Kind, ID: p.ID}, Name: string(p.ID), Field: p.Field, Reason: p.Err.Error()})
	}
	return rejected
}

// route compiles the router. A route whose service cannot be used stays, so
// that its requests do not fall through to a route that was not meant for them.
func (s *snapshot) route(services map[entity.ID]*service) (rejected []pipeline.Rejection) {
	items := make([]router.Item, 0, len(s.set.Routes))
	for _, r := range s.set.Routes {
		if router.StreamRoute(r) {
			continue // for the stream half of the gateway
		}
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
	routes, unroutable := router.New(items)
	for _, p := range unroutable {
		rejected = append(rejected, pipeline.Rejection{
			Key:  entity.Key{Kind: entity.KindRoute, ID: p.RouteID},
			Name: p.RouteName, Field: p.Field, Reason: p.Err.Error(),
		})
	}
	s.router = routes
	return rejected
}

func rejection(e entity.Entity, name, field, reason string) pipeline.Rejection {
	return pipeline.Rejection{Key: entity.KeyOf(e), Name: name, Field: field, Reason: reason}
}
