// SPDX-License-Identifier: Apache-2.0

// Package pipeline turns configured plugins into plans and runs their phases
// on exchanges.
package pipeline

import (
	"cmp"
	"slices"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// Plan is the order in which a route's plugins run: one slot per plugin name,
// by priority. Which instance of a name runs is decided when its slot is
// reached, because only then is it known who was authenticated. A Plan is
// immutable and safe for concurrent use.
type Plan struct {
	slots []slot
	needs plugin.Needs
	// buffered says that some instance has a Response phase.
	buffered bool
}

// slot holds the instances of one plugin name that may apply.
type slot struct {
	// only is the single instance that applies whoever is authenticated; nil
	// when variants must be compared.
	only     *Instance
	variants []variant
}

// variant is an instance with what its scope asks of the identity.
type variant struct {
	instance  *Instance
	rank      rank
	consumer  entity.ID
	group     entity.ID
	groupName string
}

// rank orders the scopes of a plugin: the smallest that applies wins (Kong's
// plugin precedence, https://docs.konghq.com/gateway/latest/key-concepts/plugins/).
type rank uint8

const (
	rankConsumerRouteService rank = iota
	rankGroupServiceRoute
	rankConsumerRoute
	rankConsumerService
	rankGroupRoute
	rankGroupService
	rankRouteService
	rankConsumer
	rankGroup
	rankRoute
	rankService
	rankGlobal
)

// rankOf returns the rank of a plugin's scope.
func rankOf(p *entity.Plugin) rank {
	route, service := p.Route != nil, p.Service != nil
	switch {
	case p.Consumer != nil:
		return pick4(route, service, rankConsumerRouteService, rankConsumerRoute, rankConsumerService, rankConsumer)
	case p.ConsumerGroup != nil:
		return pick4(route, service, rankGroupServiceRoute, rankGroupRoute, rankGroupService, rankGroup)
	default:
		return pick4(route, service, rankRouteService, rankRoute, rankService, rankGlobal)
	}
}

func pick4(route, service bool, both, onlyRoute, onlyService, neither rank) rank {
	switch {
	case route && service:
		return both
	case route:
		return onlyRoute
	case service:
		return onlyService
	default:
		return neither
	}
}

// compile builds the plan from the instances whose route and service scope
// already fits. Of two instances with the same name and scope the later one
// wins, as in Kong's declarative load. groupName resolves a group's id.
func compile(instances []*Instance, groupName func(entity.ID) string) *Plan {
	byName := map[string][]variant{}
	for _, in := range instances {
		v := variant{instance: in, rank: rankOf(in.Plugin)}
		if ref := in.Plugin.Consumer; ref != nil {
			v.consumer = ref.ID
		}
		if ref := in.Plugin.ConsumerGroup; ref != nil {
			v.group, v.groupName = ref.ID, groupName(ref.ID)
		}
		byName[in.Plugin.Name] = insertVariant(byName[in.Plugin.Name], v)
	}
	plan := &Plan{}
	for _, variants := range byName {
		s := slot{variants: variants}
		if first := variants[0]; first.consumer == "" && first.group == "" {
			// Variants behind one that applies to everybody are never reached.
			s = slot{only: first.instance}
		}
		plan.slots = append(plan.slots, s)
		for _, v := range variants {
			plan.include(v.instance)
		}
	}
	slices.SortFunc(plan.slots, func(a, b slot) int {
		x, y := a.any(), b.any()
		return cmp.Or(cmp.Compare(y.Priority, x.Priority), cmp.Compare(y.Plugin.Name, x.Plugin.Name))
	})
	return plan
}

func insertVariant(variants []variant, v variant) []variant {
	same := func(o variant) bool {
		return o.rank == v.rank && o.consumer == v.consumer && o.group == v.group
	}
	if i := slices.IndexFunc(variants, same); i >= 0 {
		variants[i] = v
		return variants
	}
	i, _ := slices.BinarySearchFunc(variants, v, func(a, b variant) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.groupName, b.groupName), cmp.Compare(a.consumer, b.consumer))
	})
	return slices.Insert(variants, i, v)
}

func (p *Plan) include(in *Instance) {
	n := in.Phases.Needs
	p.needs.MayBlock = p.needs.MayBlock || n.MayBlock
	p.needs.Trailers = p.needs.Trailers || n.Trailers
	p.needs.RequestBody = max(p.needs.RequestBody, n.RequestBody)
	p.needs.ResponseBody = max(p.needs.ResponseBody, n.ResponseBody)
	p.buffered = p.buffered || in.Phases.Response != nil
}

// Needs returns what the plan's instances may depend on, together.
func (p *Plan) Needs() plugin.Needs { return p.needs }

// Empty reports whether no plugin can run.
func (p *Plan) Empty() bool { return len(p.slots) == 0 }

func (s *slot) any() *Instance {
	if s.only != nil {
		return s.only
	}
	return s.variants[0].instance
}

// pick returns the instance that applies to the identity, nil if none does.
func (s *slot) pick(id *plugin.Identity) *Instance {
	if s.only != nil {
		return s.only
	}
	for i := range s.variants {
		v := &s.variants[i]
		switch {
		case v.consumer != "":
			if id.Consumer == nil || id.Consumer.ID != v.consumer {
				continue
			}
		case v.group != "":
			if !slices.ContainsFunc(id.Groups, func(g *entity.ConsumerGroup) bool { return g.ID == v.group }) {
				continue
			}
		}
		return v.instance
	}
	return nil
}
