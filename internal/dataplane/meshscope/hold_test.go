// SPDX-License-Identifier: Apache-2.0

package meshscope

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// line describes a route with all it refers to: route, service, upstream and
// its targets.
type path struct {
	route, service, upstream string
	targets                  []string
}

func setOf(paths ...path) *entity.Set {
	set := &entity.Set{}
	for _, p := range paths {
		set.Routes = append(set.Routes, &entity.Route{ID: entity.ID(p.route), Service: &entity.Ref{ID: entity.ID(p.service)}})
		if !slices.ContainsFunc(set.Services, func(s *entity.Service) bool { return s.ID == entity.ID(p.service) }) {
			set.Services = append(set.Services, &entity.Service{ID: entity.ID(p.service), Host: p.upstream})
		}
		if slices.ContainsFunc(set.Upstreams, func(u *entity.Upstream) bool { return u.Name == p.upstream }) {
			continue
		}
		set.Upstreams = append(set.Upstreams, &entity.Upstream{ID: entity.ID(p.upstream), Name: p.upstream})
		for _, t := range p.targets {
			set.Targets = append(set.Targets, &entity.Target{
				ID: entity.ID(p.upstream + t), Upstream: &entity.Ref{ID: entity.ID(p.upstream)}, Target: t,
			})
		}
	}
	return set
}

// reach returns "route>target" for everything that a set serves.
func reach(set *entity.Set) []string {
	var out []string
	for _, r := range set.Routes {
		for _, s := range set.Services {
			if r.Service == nil || r.Service.ID != s.ID {
				continue
			}
			found := false
			for _, u := range set.Upstreams {
				for _, t := range set.Targets {
					if u.Name == s.Host && t.Upstream.ID == u.ID {
						out = append(out, string(r.ID)+">"+t.Target)
						found = true
					}
				}
			}
			if !found {
				out = append(out, string(r.ID)+">nothing")
			}
		}
	}
	slices.Sort(out)
	return out
}

func TestHold(t *testing.T) {
	const a, b, c = "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"
	one := path{"r1", "s1", "u1", []string{a}}
	for _, tc := range []struct {
		name          string
		applied, next *entity.Set
		waits         []string
		want          []string
	}{
		{"nothing waits", setOf(), setOf(one), nil, []string{"r1>" + a}},
		{"a new route is left out", setOf(one), setOf(one, path{"r2", "s2", "u2", []string{b}}), []string{b}, []string{"r1>" + a}},
		{"an upstream keeps its old targets", setOf(one), setOf(path{"r1", "s1", "u1", []string{b}}), []string{b}, []string{"r1>" + a}},
		{
			"a route that moves stays where it was", setOf(one),
			setOf(path{"r1", "s2", "u2", []string{b}}), []string{b}, []string{"r1>" + a},
		},
		{
			"two routes that move share what is restored", setOf(one, path{"r2", "s1", "u1", nil}),
			setOf(path{"r1", "s2", "u2", []string{b}}, path{"r2", "s2", "u2", nil}), []string{b}, []string{"r1>" + a, "r2>" + a},
		},
		{
			"a service that moves takes its routes along when it can", setOf(one, path{"r2", "s1", "u1", nil}),
			setOf(path{"r1", "s1", "u2", []string{b}}, path{"r2", "s1", "u2", nil}), []string{b}, []string{"r1>" + a, "r2>" + a},
		},
		{
			"a new route to a service that moves is left out", setOf(one),
			setOf(path{"r1", "s1", "u2", []string{b}}, path{"r3", "s1", "u2", nil}), []string{b}, []string{"r1>" + a},
		},
		{"a removed route is gone, whatever waits", setOf(one), setOf(path{"r2", "s2", "u2", []string{b}}), []string{b}, nil},
		{
			"the old place waits as well", setOf(one),
			setOf(path{"r1", "s2", "u2", []string{b}}), []string{a, b}, []string{"r1>nothing"},
		},
		{
			"a Service made anew: its route stays, with nothing to go to", setOf(one, path{"admin", "s2", "u2", nil}),
			setOf(one, path{"admin", "s2", "u2", []string{b}}), []string{b}, []string{"admin>nothing", "r1>" + a},
		},
		{
			"one of several targets waits", setOf(one),
			setOf(path{"r1", "s1", "u1", []string{a, b, c}}), []string{c}, []string{"r1>" + a},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := reach(Hold(tc.applied, tc.next, func(at netip.AddrPort) bool { return slices.Contains(tc.waits, at.String()) }))
			if !slices.Equal(got, tc.want) {
				t.Errorf("serves %v, want %v", got, tc.want)
			}
		})
	}
}

func TestHoldOfAServiceThatNamesAnAddress(t *testing.T) {
	port := 8080
	next := &entity.Set{
		Services: []*entity.Service{{ID: "s", Host: "10.0.0.9", Port: &port}},
		Routes:   []*entity.Route{{ID: "r", Service: &entity.Ref{ID: "s"}}},
	}
	waits := func(at netip.AddrPort) bool { return at.String() == "10.0.0.9:8080" }
	if got := Hold(&entity.Set{}, next, waits); len(got.Routes) != 0 {
		t.Errorf("the route is served: %v", got.Routes)
	}
	if got, ok := addressIn(next.Services[0]); !ok || got.String() != "10.0.0.9:8080" {
		t.Errorf("addresses %v", got)
	}
}
