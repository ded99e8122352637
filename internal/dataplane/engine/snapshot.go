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

// snapshot is one running configuration. It is immutable once published.
type snapshot struct {
	router    *router.Router
	plans     *pipeline.Plans
	instances pipeline.Instances
	certs     *tlscert.Set
	cas       *tlscert.CAs
	balancers []*balancer.Balancer
	people    *directory
	set       *entity.Set
	// retired is set when a newer snapshot took its place.
	retired atomic.Bool
}

// routed is what the router hands back for a matched route.
type routed struct {
	plan    atomic.Pointer[pipeline.Plan]
	service *service
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
// previous, which may be nil. Entities that cannot run are left out and
// reported; what depends on them answers an error.
func (e *Engine) build(previous *snapshot, set *entity.Set) (*snapshot, []pipeline.Rejection) {
	var rejected []pipeline.Rejection
	next := &snapshot{set: set, instances: pipeline.Instances{}, people: newDirectory(set, e.options.Schemas)}
	for _, p := range set.Plugins {
		var old *pipeline.Instance
		if previous != nil {
			old = previous.instances[p.ID]
		}
		instance, problem := e.catalog.Configure(p, old)
		if problem != nil {
			rejected = append(rejected, *problem)
			continue
		}
		next.instances[p.ID] = instance
	}
	next.plans = pipeline.NewPlans(set.Plugins, next.instances, set.ConsumerGroups)

	var old *tlscert.Set
	if previous != nil {
		old = previous.certs
	}
	var unusable, untrusted []tlscert.Problem
	next.certs, unusable = tlscert.NewSet(old, set.Certificates, set.SNIs)
	next.cas, untrusted = tlscert.NewCAs(set.CACertificates)
	for _, p := range append(unusable, untrusted...) {
		rejected = append(rejected, pipeline.Rejection{Key: entity.Key{Kind: p.Kind, ID: p.ID}, Name: string(p.ID), Field: p.Field, Reason: p.Err.Error()})
	}
	services, balancers, problems := e.services(next)
	next.balancers = balancers
	rejected = append(rejected, problems...)
	items := make([]router.Item, 0, len(set.Routes))
	for _, r := range set.Routes {
		item := router.Item{Route: r, Data: &routed{}}
		if r.Service != nil {
			runtime, ok := services[r.Service.ID]
			if !ok {
				rejected = append(rejected, rejection(r, r.Name, "service", "no such service"))
				continue
			}
			item.Service, item.Data = runtime.entity, &routed{service: runtime}
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
	next.router = routes
	return next, rejected
}

func rejection(e entity.Entity, name, field, reason string) pipeline.Rejection {
	return pipeline.Rejection{Key: entity.KeyOf(e), Name: name, Field: field, Reason: reason}
}
