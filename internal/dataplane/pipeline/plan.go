// SPDX-License-Identifier: Apache-2.0

// Package pipeline turns configured plugins into plans and runs their phases
// on exchanges.
package pipeline

import (
	"cmp"
	"slices"

	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// Plan is the order in which a route's plugins run: one slot per plugin name,
// by priority. Which instance of a name runs is decided when its slot is
// reached, because only then is it known who was authenticated. A Plan is
// immutable and safe for concurrent use.
type Plan struct {
	slots []slot
	needs plugin.Needs
}

// slot holds the instances of one plugin name that may apply.
type slot struct {
	// only is the single instance that applies whoever is authenticated; nil
	// when that decides.
	only   *Instance
	layers *layers
}

// layers are the instances of one name that apply to a route, by the width of
// their scope. The narrowest that applies wins (Kong's plugin precedence,
// https://docs.konghq.com/gateway/latest/key-concepts/plugins/#precedence).
type layers struct {
	routeService, route, service *variants
	// anywhere is nil when the plugin of route and service goes first for
	// everybody.
	anywhere *variants
	// rest is what applies to those for whom there is nothing in particular.
	rest *Instance
}

// newSlot returns the slot of a name in its four scopes, of which some are nil.
func newSlot(routeService, route, service, anywhere *variants) slot {
	l := layers{routeService: routeService, route: route, service: service, anywhere: anywhere}
	if l.rest = routeService.forEveryone(); l.rest != nil {
		l.anywhere = nil
	} else {
		l.rest = cmp.Or(route.forEveryone(), service.forEveryone(), anywhere.forEveryone())
	}
	if l.routeService.particular() || l.route.particular() || l.service.particular() || l.anywhere.particular() {
		return slot{layers: &l}
	}
	return slot{only: l.rest}
}

// pick returns the instance that applies to the identity, nil if none does.
func (s *slot) pick(id *plugin.Identity) *Instance {
	if s.only != nil {
		return s.only
	}
	l, who := s.layers, id.Consumer
	if who == nil && len(id.Groups) == 0 {
		return l.rest
	}
	if in := l.routeService.forConsumer(who); in != nil {
		return in
	}
	if in := l.routeService.forGroups(id.Groups); in != nil {
		return in
	}
	if in := cmp.Or(l.route.forConsumer(who), l.service.forConsumer(who)); in != nil {
		return in
	}
	if in := cmp.Or(l.route.forGroups(id.Groups), l.service.forGroups(id.Groups)); in != nil {
		return in
	}
	if in := cmp.Or(l.anywhere.forConsumer(who), l.anywhere.forGroups(id.Groups)); in != nil {
		return in
	}
	return l.rest
}

// compile builds the plan of a route from the scopes that it is in.
func compile(routeService, route, service, anywhere *scoped) *Plan {
	type ordered struct {
		slot
		name     string
		priority int
	}
	var all []ordered
	seen := map[string]bool{}
	plan := &Plan{}
	for _, s := range []*scoped{routeService, route, service, anywhere} {
		if s == nil {
			continue
		}
		for _, v := range s.names {
			plan.include(v)
			if seen[v.name] {
				continue
			}
			seen[v.name] = true
			all = append(all, ordered{
				slot: newSlot(routeService.of(v.name), route.of(v.name), service.of(v.name), anywhere.of(v.name)),
				name: v.name, priority: v.any().Priority,
			})
		}
	}
	slices.SortFunc(all, func(a, b ordered) int {
		return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(b.name, a.name))
	})
	for _, o := range all {
		plan.slots = append(plan.slots, o.slot)
	}
	return plan
}

// unrouted builds the plan of requests that match no route.
func unrouted(anywhere *scoped) *Plan {
	global := &scoped{}
	if anywhere != nil {
		for _, v := range anywhere.names {
			if in := v.forEveryone(); in != nil {
				global.names = append(global.names, &variants{name: v.name, everyone: v.everyone, needs: map[plugin.Needs]int{in.Phases.Needs: 1}})
			}
		}
	}
	return compile(nil, nil, nil, global)
}

func (p *Plan) include(v *variants) {
	for n := range v.needs {
		p.needs.MayBlock = p.needs.MayBlock || n.MayBlock
		p.needs.Trailers = p.needs.Trailers || n.Trailers
		p.needs.RequestBody = max(p.needs.RequestBody, n.RequestBody)
		p.needs.ResponseBody = max(p.needs.ResponseBody, n.ResponseBody)
	}
}

// Needs returns what the plan's instances may depend on, together.
func (p *Plan) Needs() plugin.Needs { return p.needs }
