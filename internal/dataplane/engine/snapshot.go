// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"slices"
	"sync/atomic"

	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/dataplane/router"
	"github.com/kong/kong-istio-gateway/internal/dataplane/tlscert"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// snapshot is one running configuration. It is immutable once published, but
// for what it finds out at first use, and shares with its predecessor all that
// did not change.
type snapshot struct {
	tables
	router *router.Router
	plans  *pipeline.Plans
	certs  *tlscert.Set
	cas    *tlscert.CAs
	asks   clientAsks
	people *directory
	// chosen are the balancers of hosts that plugins chose. They do not depend
	// on the configuration: all snapshots have the same.
	chosen *chosenHosts
	// made is what this snapshot has and its predecessor has not, displaced the
	// opposite.
	made, displaced holdings
	// outdated says that plans of any route may hold instances that are gone.
	outdated bool
	// retired is set when a newer snapshot took its place.
	retired atomic.Bool
}

// holdings are what must be closed when nobody uses it any more.
type holdings struct {
	instances []*pipeline.Instance
	balancers []*balancer.Balancer
}

// routed is what the router hands back for a matched route.
type routed struct{ plan pipeline.PlanCache }

func emptySnapshot(flavor router.Flavor) *snapshot {
	return &snapshot{
		router: router.Empty(flavor), plans: pipeline.NewPlans(), certs: &tlscert.Set{}, cas: &tlscert.CAs{},
		people: &directory{}, chosen: &chosenHosts{},
	}
}

// planOf returns the route's plan, compiled on its first request: a change of
// a global plugin must not cost work for every route at once.
func (s *snapshot) planOf(r *router.Route) *pipeline.Plan {
	return s.plans.Cached(&r.Data.(*routed).plan, r.Entity, r.Service)
}

// serviceOf returns the service of a route, nil when it has none that can be
// used. It is looked up so that a change of targets or certificates costs no
// work for the routes that lead there.
func (s *snapshot) serviceOf(r *router.Route) *service {
	if r.Entity.Service == nil {
		return nil
	}
	if st := s.services.At(r.Entity.Service.ID); st != nil {
		return st.runtime
	}
	return nil
}

// balanced returns the upstream that a host names.
func (s *snapshot) balanced(host string) (balancedUpstream, bool) {
	list := s.byName.At(host)
	if len(list) == 0 {
		return balancedUpstream{}, false
	}
	last := list[len(list)-1]
	return balancedUpstream{last.complete, last.balancer}, true
}

// forget has routes let go of plans that hold instances that are gone.
func (s *snapshot) forget(routes map[entity.ID]bool) {
	for id := range routes {
		if st := s.routes.At(id); st != nil {
			st.data.plan.Forget()
		}
	}
}

// forgetOutdated is forget for all routes that were not used since.
func (s *snapshot) forgetOutdated() {
	for _, st := range s.routes.All() {
		s.plans.ForgetOutdated(&st.data.plan)
	}
}

// reportOrder is the order in which kinds of entities are reported.
var reportOrder = []entity.Kind{
	entity.KindPlugin, entity.KindCertificate, entity.KindSNI, entity.KindCACertificate,
	entity.KindUpstream, entity.KindService, entity.KindRoute,
}

// rejections returns everything that cannot run, by kind, and within a kind in
// the order of the set, if it is given, or else by id.
func (s *snapshot) rejections(set *entity.Set) []pipeline.Rejection {
	if s.problems.Len() == 0 {
		return nil
	}
	place := map[entity.Key]int{}
	if set != nil {
		for e := range set.All() {
			place[entity.KeyOf(e)] = len(place)
		}
	}
	var out []pipeline.Rejection
	for _, list := range s.problems.All() {
		out = append(out, list...)
	}
	slices.SortStableFunc(out, func(a, b pipeline.Rejection) int {
		return cmp.Or(
			cmp.Compare(slices.Index(reportOrder, a.Key.Kind), slices.Index(reportOrder, b.Key.Kind)),
			cmp.Compare(place[a.Key], place[b.Key]), cmp.Compare(a.Key.ID, b.Key.ID),
		)
	})
	return out
}
