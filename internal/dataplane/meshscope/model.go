// SPDX-License-Identifier: Apache-2.0

package meshscope

import (
	"net/netip"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// model is a configuration that changes, as far as routing goes, with what
// leads from one entity to another. It is used by one goroutine at a time.
type model struct {
	all       map[entity.Key]entity.Entity
	routes    links[entity.ID] // by service
	services  links[string]    // by host
	upstreams links[string]    // by name
	targets   links[entity.ID] // by upstream
}

// links find ids by what they refer to.
type links[K comparable] map[K]map[entity.ID]bool

func (l links[K]) set(key K, id entity.ID, there bool) {
	switch {
	case !there:
		delete(l[key], id)
		if len(l[key]) == 0 {
			delete(l, key)
		}
	case l[key] == nil:
		l[key] = map[entity.ID]bool{id: true}
	default:
		l[key][id] = true
	}
}

func newModel() *model {
	return &model{
		all: map[entity.Key]entity.Entity{}, routes: links[entity.ID]{}, services: links[string]{},
		upstreams: links[string]{}, targets: links[entity.ID]{},
	}
}

// routing reports whether an entity is one that a model holds.
func routing(kind entity.Kind) bool {
	switch kind {
	case entity.KindRoute, entity.KindService, entity.KindUpstream, entity.KindTarget:
		return true
	}
	return false
}

// set puts an entity, or removes it if e is nil, and returns the old one.
func (m *model) set(key entity.Key, e entity.Entity) (old entity.Entity) {
	if old = m.all[key]; old != nil {
		m.link(old, false)
		delete(m.all, key)
	}
	if e != nil {
		m.all[key] = e
		m.link(e, true)
	}
	return old
}

func (m *model) link(e entity.Entity, there bool) {
	switch e := e.(type) {
	case *entity.Route:
		if e.Service != nil {
			m.routes.set(e.Service.ID, e.ID, there)
		}
	case *entity.Service:
		m.services.set(e.Host, e.ID, there)
	case *entity.Upstream:
		m.upstreams.set(e.Name, e.ID, there)
	case *entity.Target:
		if e.Upstream != nil {
			m.targets.set(e.Upstream.ID, e.ID, there)
		}
	}
}

// group is all that decides together whether traffic may go somewhere: hosts
// and what is behind them, and the services that lead there.
type group map[entity.Key]bool

// around adds to the group what a key stands for and everything that it leads
// to, and with routes everything that leads there.
func (g group) around(key entity.Key, routes bool, models ...*model) {
	if g[key] {
		return
	}
	g[key] = true
	for _, m := range models {
		switch e := m.all[key].(type) {
		case *entity.Route:
			if e.Service != nil {
				g.around(entity.Key{Kind: entity.KindService, ID: e.Service.ID}, routes, models...)
			}
		case *entity.Service:
			g.host(e.Host, routes, models...)
		case *entity.Upstream:
			g.host(e.Name, routes, models...)
		case *entity.Target:
			if e.Upstream != nil {
				g.around(entity.Key{Kind: entity.KindUpstream, ID: e.Upstream.ID}, routes, models...)
			}
		}
		switch key.Kind {
		case entity.KindService:
			if routes {
				g.each(m.routes[key.ID], entity.KindRoute, routes, models)
			}
		case entity.KindUpstream:
			g.each(m.targets[key.ID], entity.KindTarget, routes, models)
		}
	}
}

// host adds the upstreams of a name with the services that lead there. Services
// whose host is no upstream do not depend on each other.
func (g group) host(host string, routes bool, models ...*model) {
	named := false
	for _, m := range models {
		named = named || len(m.upstreams[host]) > 0
		g.each(m.upstreams[host], entity.KindUpstream, routes, models)
	}
	for _, m := range models {
		if named {
			g.each(m.services[host], entity.KindService, routes, models)
		}
	}
}

func (g group) each(ids map[entity.ID]bool, kind entity.Kind, routes bool, models []*model) {
	for id := range ids {
		g.around(entity.Key{Kind: kind, ID: id}, routes, models...)
	}
}

// next returns what an entity leads to, or what leads to a host through it.
func (m *model) next(e entity.Entity) (keys []entity.Key) {
	add := func(kind entity.Kind, ids map[entity.ID]bool) {
		for id := range ids {
			keys = append(keys, entity.Key{Kind: kind, ID: id})
		}
	}
	switch e := e.(type) {
	case *entity.Route:
		if e.Service != nil {
			keys = append(keys, entity.Key{Kind: entity.KindService, ID: e.Service.ID})
		}
	case *entity.Service:
		add(entity.KindUpstream, m.upstreams[e.Host])
	case *entity.Upstream:
		add(entity.KindService, m.services[e.Name])
	case *entity.Target:
		if e.Upstream != nil {
			keys = append(keys, entity.Key{Kind: entity.KindUpstream, ID: e.Upstream.ID})
		}
	}
	return keys
}

// part returns what a model holds of a group.
func (m *model) part(g group) *entity.Set {
	set := &entity.Set{}
	for key := range g {
		if e := m.all[key]; e != nil {
			set.Add(e)
		}
	}
	return set
}

// addressIn returns the address that a target or service names.
func addressIn(e entity.Entity) (netip.AddrPort, bool) {
	switch e := e.(type) {
	case *entity.Target:
		return addressOf(e)
	case *entity.Service:
		return serviceAddress(e)
	}
	return netip.AddrPort{}, false
}
