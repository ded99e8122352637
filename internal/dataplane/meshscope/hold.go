// SPDX-License-Identifier: Apache-2.0

// Package meshscope lets traffic follow the egress scope of the sidecar: an
// upstream address that is new to the proxy is not used before the sidecar has
// a listener for it, because a request through the sidecar's catch-all leaves
// the mesh, and its connection would stay there for as long as it is used.
package meshscope

import (
	"net/netip"
	"slices"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Hold returns next without what needs an address that waits. What applied
// served in its place goes on: the old targets of an upstream, the old version
// of a route with all it refers to. A route that was applied before is never
// left out, since its requests would fall through to a wider route that other
// plugins guard, or none: with nothing to go to it answers 503. Only a route
// that is new is left out.
func Hold(applied, next *entity.Set, waits func(netip.AddrPort) bool) *entity.Set {
	h := holder{applied: index(applied), next: index(next), waits: waits}
	out := *next
	out.Targets = h.targets(next.Targets)
	if len(h.blocked) == 0 {
		return &out
	}
	out.Routes = nil
	extra := map[entity.Key]bool{}
	for _, r := range next.Routes {
		if !h.blockedRoute(h.next, r) {
			out.Routes = append(out.Routes, r)
			continue
		}
		old := h.applied.routes[r.ID]
		switch {
		case old == nil:
		case h.blockedRoute(h.applied, old) || h.waitsFor(old):
			out.Routes = append(out.Routes, r)
		default:
			out.Routes = append(out.Routes, old)
			h.restore(&out, old, extra)
		}
	}
	return &out
}

func addressOf(t *entity.Target) (netip.AddrPort, bool) {
	a, err := netip.ParseAddrPort(t.Target)
	return a, err == nil
}

func serviceAddress(s *entity.Service) (netip.AddrPort, bool) {
	ip, err := netip.ParseAddr(s.Host)
	if err != nil {
		return netip.AddrPort{}, false
	}
	port := 80
	if s.Port != nil {
		port = *s.Port
	}
	return netip.AddrPortFrom(ip, uint16(port)), true
}

type indexed struct {
	set       *entity.Set
	routes    map[entity.ID]*entity.Route
	services  map[entity.ID]*entity.Service
	upstreams map[string]*entity.Upstream
	targets   map[entity.ID][]*entity.Target
}

func index(set *entity.Set) indexed {
	in := indexed{
		set:       set,
		routes:    make(map[entity.ID]*entity.Route, len(set.Routes)),
		services:  make(map[entity.ID]*entity.Service, len(set.Services)),
		upstreams: make(map[string]*entity.Upstream, len(set.Upstreams)),
		targets:   make(map[entity.ID][]*entity.Target, len(set.Upstreams)),
	}
	for _, r := range set.Routes {
		in.routes[r.ID] = r
	}
	for _, s := range set.Services {
		in.services[s.ID] = s
	}
	for _, u := range set.Upstreams {
		in.upstreams[u.Name] = u
	}
	for _, t := range set.Targets {
		if t.Upstream != nil {
			in.targets[t.Upstream.ID] = append(in.targets[t.Upstream.ID], t)
		}
	}
	return in
}

type holder struct {
	applied, next indexed
	waits         func(netip.AddrPort) bool
	// blocked are the upstreams that have no target to use for now.
	blocked map[entity.ID]bool
}

// targets replaces the targets of upstreams that would need a waiting address
// by those that served before.
func (h *holder) targets(next []*entity.Target) []*entity.Target {
	h.blocked = map[entity.ID]bool{}
	replaced := map[entity.ID]bool{}
	var out []*entity.Target
	for _, t := range next {
		if t.Upstream == nil {
			continue
		}
		id := t.Upstream.ID
		if !h.anyWaits(h.next.targets[id]) {
			out = append(out, t)
			continue
		}
		if replaced[id] || h.blocked[id] {
			continue
		}
		old := h.applied.targets[id]
		if len(old) == 0 || h.anyWaits(old) {
			h.blocked[id] = true
			continue
		}
		replaced[id] = true
		out = append(out, old...)
	}
	for _, s := range h.next.set.Services {
		if a, ok := serviceAddress(s); ok && h.waits(a) {
			h.blocked[s.ID] = true
		}
	}
	return out
}

func (h *holder) anyWaits(targets []*entity.Target) bool {
	return slices.ContainsFunc(targets, func(t *entity.Target) bool {
		a, ok := addressOf(t)
		return ok && h.waits(a)
	})
}

// blockedRoute reports whether a route of a set has nowhere to go for now.
func (h *holder) blockedRoute(in indexed, r *entity.Route) bool {
	if r.Service == nil {
		return false
	}
	s := in.services[r.Service.ID]
	if s == nil {
		return false
	}
	if a, ok := serviceAddress(s); ok && h.waits(a) {
		return true
	}
	u := in.upstreams[s.Host]
	return u != nil && h.blocked[u.ID]
}

// waitsFor reports whether an old route would go to an address that waits.
func (h *holder) waitsFor(old *entity.Route) bool {
	if old.Service == nil || h.applied.services[old.Service.ID] == nil {
		return false
	}
	u := h.applied.upstreams[h.applied.services[old.Service.ID].Host]
	return u != nil && h.anyWaits(h.applied.targets[u.ID])
}

// restore adds what an old route refers to and the new set no longer holds.
func (h *holder) restore(out *entity.Set, r *entity.Route, done map[entity.Key]bool) {
	if r.Service == nil {
		return
	}
	s := h.applied.services[r.Service.ID]
	if s == nil || done[entity.KeyOf(s)] {
		return
	}
	done[entity.KeyOf(s)] = true
	if newer := h.next.services[s.ID]; newer == nil {
		out.Services = append(slices.Clip(out.Services), s)
	} else if newer != s {
		// Its new version is where all its routes wait for.
		out.Services = slices.Clone(out.Services)
		out.Services[slices.Index(out.Services, newer)] = s
	}
	u := h.applied.upstreams[s.Host]
	if u == nil || h.next.upstreams[u.Name] != nil {
		return
	}
	out.Upstreams = append(slices.Clip(out.Upstreams), u)
	out.Targets = append(slices.Clip(out.Targets), h.applied.targets[u.ID]...)
}
