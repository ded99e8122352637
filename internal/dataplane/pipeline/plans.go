// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"slices"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Plans compiles plans from the instances of one snapshot. It is immutable and
// safe for concurrent use.
type Plans struct {
	unrouted  *Plan
	byRoute   map[entity.ID][]*Instance
	byService map[entity.ID][]*Instance
	anywhere  []*Instance
	groups    map[entity.ID]string
}

// NewPlans indexes the instances of plugins, in the order of plugins, by their
// scope. Disabled plugins, plugins of stream protocols only and plugins
// without an instance are left out.
func NewPlans(plugins []*entity.Plugin, instances Instances, groups []*entity.ConsumerGroup) *Plans {
	p := &Plans{
		byRoute:   map[entity.ID][]*Instance{},
		byService: map[entity.ID][]*Instance{},
		groups:    make(map[entity.ID]string, len(groups)),
	}
	for _, g := range groups {
		p.groups[g.ID] = g.Name
	}
	var global []*Instance
	for _, e := range plugins {
		in := instances[e.ID]
		if in == nil || !runsOnHTTP(e) {
			continue
		}
		switch {
		case e.Route != nil:
			p.byRoute[e.Route.ID] = append(p.byRoute[e.Route.ID], in)
		case e.Service != nil:
			p.byService[e.Service.ID] = append(p.byService[e.Service.ID], in)
		default:
			p.anywhere = append(p.anywhere, in)
			if e.Consumer == nil && e.ConsumerGroup == nil {
				global = append(global, in)
			}
		}
	}
	p.unrouted = compile(global, p.groupName)
	return p
}

func (p *Plans) groupName(id entity.ID) string { return p.groups[id] }

// Unrouted returns the plan of requests that match no route: global plugins.
func (p *Plans) Unrouted() *Plan { return p.unrouted }

// For compiles the plan of a route and its service, which may be nil.
func (p *Plans) For(route *entity.Route, service *entity.Service) *Plan {
	instances := slices.Clone(p.anywhere)
	var serviceID entity.ID
	if service != nil {
		serviceID = service.ID
		instances = append(instances, p.byService[serviceID]...)
	}
	for _, in := range p.byRoute[route.ID] {
		if ref := in.Plugin.Service; ref == nil || ref.ID == serviceID {
			instances = append(instances, in)
		}
	}
	return compile(instances, p.groupName)
}

func runsOnHTTP(p *entity.Plugin) bool {
	if p.Enabled != nil && !*p.Enabled {
		return false
	}
	return len(p.Protocols) == 0 || slices.ContainsFunc(p.Protocols, func(proto entity.Protocol) bool {
		switch proto {
		case entity.ProtocolHTTP, entity.ProtocolHTTPS, entity.ProtocolGRPC, entity.ProtocolGRPCS,
			entity.ProtocolWS, entity.ProtocolWSS:
			return true
		}
		return false
	})
}
