// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// referenceRun decides as Kong documents it, from a plain list: of each name
// the instance with the narrowest scope that applies, the last one of equals.
func referenceRun(all []placed, route *entity.Route, service *entity.Service, id plugin.Identity) []entity.ID {
	best := map[string]placed{}
	for _, p := range all {
		e := p.instance.Plugin
		if !runsOnHTTP(e) || !referenceApplies(e, route, service, id) {
			continue
		}
		old, taken := best[e.Name]
		if !taken || cmp.Or(
			cmp.Compare(referenceRank(e), referenceRank(old.instance.Plugin)),
			cmp.Compare(groupName(e, id), groupName(old.instance.Plugin, id)),
			cmp.Compare(old.order, p.order),
			cmp.Compare(old.instance.Plugin.ID, e.ID),
		) < 0 {
			best[e.Name] = p
		}
	}
	var run []*Instance
	for _, p := range best {
		run = append(run, p.instance)
	}
	slices.SortFunc(run, func(a, b *Instance) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(b.Plugin.Name, a.Plugin.Name))
	})
	var out []entity.ID
	for _, in := range run {
		out = append(out, in.Plugin.ID)
	}
	return out
}

func referenceApplies(p *entity.Plugin, route *entity.Route, service *entity.Service, id plugin.Identity) bool {
	switch {
	case p.Route != nil && p.Route.ID != route.ID:
		return false
	case p.Service != nil && (service == nil || p.Service.ID != service.ID):
		return false
	case p.Consumer != nil:
		return id.Consumer != nil && id.Consumer.ID == p.Consumer.ID
	case p.ConsumerGroup != nil:
		return groupName(p, id) != ""
	}
	return true
}

func groupName(p *entity.Plugin, id plugin.Identity) string {
	for _, g := range id.Groups {
		if p.ConsumerGroup != nil && g.ID == p.ConsumerGroup.ID {
			return g.Name
		}
	}
	return ""
}

// referenceRank is the place of a scope in Kong's table of precedence.
func referenceRank(p *entity.Plugin) int {
	who := "everyone"
	switch {
	case p.Consumer != nil:
		who = "consumer"
	case p.ConsumerGroup != nil:
		who = "group"
	}
	where := map[[2]bool]string{{true, true}: "both", {true, false}: "route", {false, true}: "service", {false, false}: "anywhere"}
	return slices.Index([]string{
		"consumer both", "group both", "consumer route", "consumer service", "group route", "group service",
		"everyone both", "consumer anywhere", "group anywhere", "everyone route", "everyone service", "everyone anywhere",
	}, who+" "+where[[2]bool{p.Route != nil, p.Service != nil}])
}

func randomPlugin(r *rand.Rand, id int) *entity.Plugin {
	p := &entity.Plugin{ID: entity.ID(fmt.Sprint("plugin-", id)), Name: fmt.Sprint("name-", r.IntN(4))}
	ref := func(name string) *entity.Ref {
		if r.IntN(2) == 0 {
			return nil
		}
		return &entity.Ref{ID: entity.ID(fmt.Sprint(name, r.IntN(3)))}
	}
	p.Route, p.Service = ref("route"), ref("service")
	if p.Consumer = ref("consumer"); p.Consumer == nil {
		p.ConsumerGroup = ref("group")
	}
	on := r.IntN(8) != 0
	p.Enabled = &on
	return p
}

// TestEditsAgainstReference changes plans at random, and holds each version
// and the plans that were cached on the way to the reference.
func TestEditsAgainstReference(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	routes, services := []*entity.Route{{ID: "route0"}, {ID: "route1"}, {ID: "route9"}}, []*entity.Service{nil, {ID: "service0"}, {ID: "service1"}}
	groups := []*entity.ConsumerGroup{{ID: "group0", Name: "z"}, {ID: "group1", Name: "a"}, {ID: "group2", Name: "m"}}
	identities := []plugin.Identity{
		{}, {Consumer: &entity.Consumer{ID: "consumer0"}}, {Consumer: &entity.Consumer{ID: "consumer1"}, Groups: groups[:2]},
		{Consumer: &entity.Consumer{ID: "other"}, Groups: groups}, {Groups: groups[1:]},
	}
	caches := make([]PlanCache, len(routes)*len(services))
	plans := NewPlans()
	now := map[entity.ID]placed{}
	for n := range 3000 {
		e := plans.Edit()
		for range 1 + r.IntN(3) {
			id := r.IntN(40)
			if r.IntN(3) == 0 {
				key := entity.ID(fmt.Sprint("plugin-", id))
				e.Remove(key)
				delete(now, key)
				continue
			}
			p := randomPlugin(r, id)
			in := &Instance{Plugin: p, Priority: int(p.Name[5]) / 2, Phases: &plugin.Phases{Needs: plugin.Needs{RequestBody: int64(r.IntN(3))}}}
			now[p.ID] = placed{in, r.IntN(2)}
			e.Put(in, now[p.ID].order)
			if e.Instance(p.ID) != in {
				t.Fatal("the edit does not hold what was put")
			}
		}
		plans = e.Done()
		all := make([]placed, 0, len(now))
		for _, p := range now {
			all = append(all, p)
		}
		for i, route := range routes {
			service := services[r.IntN(len(services))]
			id := identities[r.IntN(len(identities))]
			want := referenceRun(all, route, service, id)
			if got := ranPlugins(plans.For(route, service), id); !slices.Equal(got, want) {
				t.Fatalf("change %d: ran %v, want %v", n, got, want)
			}
			cache := &caches[i*len(services)+slices.Index(services, service)]
			plan := plans.Cached(cache, route, service)
			if got := ranPlugins(plan, id); !slices.Equal(got, want) {
				t.Fatalf("change %d: the cached plan ran %v, want %v", n, got, want)
			}
			if plans.Cached(cache, route, service) != plan {
				t.Fatal("a plan is compiled twice")
			}
			if got, want := plan.Needs(), referenceNeeds(all, route, service); got != want {
				t.Fatalf("change %d: needs %+v, want %+v", n, got, want)
			}
		}
	}
	left := plans.Edit()
	for id := range now {
		left.Remove(id)
	}
	empty := left.Done()
	if empty.scopes.Len()+empty.instances.Len() > 0 || len(empty.Unrouted().slots) > 0 {
		t.Error("something is left of plugins that are gone")
	}
}

// referenceNeeds are the needs of all that may run, whoever asks.
func referenceNeeds(all []placed, route *entity.Route, service *entity.Service) (needs plugin.Needs) {
	last := map[string]placed{}
	for _, p := range all {
		e := p.instance.Plugin
		id := plugin.Identity{Consumer: &entity.Consumer{}}
		if e.Consumer != nil {
			id.Consumer.ID = e.Consumer.ID
		}
		if e.ConsumerGroup != nil {
			id.Groups = []*entity.ConsumerGroup{{ID: e.ConsumerGroup.ID, Name: "g"}}
		}
		if !runsOnHTTP(e) || !referenceApplies(e, route, service, id) {
			continue
		}
		key := fmt.Sprint(e.Name, referenceRank(e), e.Consumer, e.ConsumerGroup)
		if e.Consumer != nil || e.ConsumerGroup != nil {
			key = fmt.Sprint(e.Name, referenceRank(e), id.Consumer.ID, len(id.Groups) > 0 && e.ConsumerGroup != nil)
			if e.ConsumerGroup != nil {
				key += string(e.ConsumerGroup.ID)
			}
		}
		if old, taken := last[key]; !taken || cmp.Or(cmp.Compare(old.order, p.order), cmp.Compare(old.instance.Plugin.ID, e.ID)) < 0 {
			last[key] = p
		}
	}
	for _, p := range last {
		needs.RequestBody = max(needs.RequestBody, p.instance.Phases.Needs.RequestBody)
	}
	return needs
}

// TestUnchangedPlansStay keeps the plans of routes that a change does not
// concern.
func TestUnchangedPlansStay(t *testing.T) {
	instance := func(id entity.ID, route entity.ID) *Instance {
		p := &entity.Plugin{ID: id, Name: "p"}
		if route != "" {
			p.Route = &entity.Ref{ID: route}
		}
		return &Instance{Plugin: p, Phases: &plugin.Phases{}}
	}
	plans := NewPlans(instance("a", "one"), instance("b", "two"))
	var one, two PlanCache
	first, second := plans.Cached(&one, &entity.Route{ID: "one"}, nil), plans.Cached(&two, &entity.Route{ID: "two"}, nil)
	e := plans.Edit()
	e.Put(instance("a", "one"), 0)
	next := e.Done()
	if next.Cached(&one, &entity.Route{ID: "one"}, nil) == first {
		t.Error("a route keeps the plan of an instance that is gone")
	}
	if next.Cached(&two, &entity.Route{ID: "two"}, nil) != second {
		t.Error("a plan that stays was compiled again")
	}
	two.Forget()
	if next.Cached(&two, &entity.Route{ID: "two"}, nil) == second {
		t.Error("a forgotten plan is still there")
	}
	if same := next.Edit().Done(); same.version != next.version {
		t.Error("an edit without changes makes caches compare")
	}
}

// routePlans are plans of routes with some plugins each, and one plugin with
// an instance for each of many consumers.
func routePlans(routes, consumers int) *Plans {
	var all []*Instance
	add := func(p *entity.Plugin) {
		p.ID = entity.ID(fmt.Sprint(len(all)))
		all = append(all, &Instance{Plugin: p, Phases: &plugin.Phases{Access: func(plugin.Exchange) {}}})
	}
	add(&entity.Plugin{Name: "global"})
	for i := range routes {
		add(&entity.Plugin{Name: "auth", Route: &entity.Ref{ID: entity.ID(fmt.Sprint("route", i))}})
	}
	for i := range consumers {
		add(&entity.Plugin{Name: "limit", Consumer: &entity.Ref{ID: entity.ID(fmt.Sprint("consumer", i))}})
	}
	return NewPlans(all...)
}

// BenchmarkCompile shows that a plan costs the same however many consumers have
// plugins of their own.
func BenchmarkCompile(b *testing.B) {
	for _, consumers := range []int{1, 100, 10000} {
		plans, route := routePlans(100, consumers), &entity.Route{ID: "route50"}
		b.Run(fmt.Sprint(consumers), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				plans.For(route, nil)
			}
		})
	}
}

// BenchmarkAccess runs the access phase of a plan by the number of consumers
// with plugins of their own, and of one without plugins.
func BenchmarkAccess(b *testing.B) {
	x := NewExchange(NewLifetime(b.Context()))
	run := func(name string, plan *Plan, id plugin.Identity) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				x.identity = id
				if fault := cmp.Or(x.Access(plan), x.FilterHeader(), x.Log()); fault != nil {
					b.Fatal(fault)
				}
			}
		})
	}
	run("empty", NewPlans().For(theRoute, nil), plugin.Identity{})
	for _, consumers := range []int{1, 100, 10000} {
		plan := routePlans(100, consumers).For(&entity.Route{ID: "route50"}, nil)
		run(fmt.Sprint("consumers-", consumers), plan, plugin.Identity{Consumer: &entity.Consumer{ID: "consumer0"}})
	}
}

// BenchmarkChangeOne replaces one instance among many and asks for a plan.
func BenchmarkChangeOne(b *testing.B) {
	for _, size := range []int{100, 1000, 5000, 20000} {
		for what, p := range map[string]*entity.Plugin{
			"route": {Name: "auth", Route: &entity.Ref{ID: "route50"}}, "consumer": {Name: "limit", Consumer: &entity.Ref{ID: "consumer50"}},
			"global": {Name: "global"},
		} {
			plans := routePlans(size, size)
			var cache PlanCache
			p.ID = map[string]entity.ID{"route": "51", "consumer": entity.ID(fmt.Sprint(size + 51)), "global": "0"}[what]
			b.Run(fmt.Sprint(what, "-", size), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					e := plans.Edit()
					e.Put(&Instance{Plugin: p, Phases: &plugin.Phases{}}, 0)
					plans = e.Done()
					plans.Cached(&cache, &entity.Route{ID: "route50"}, nil)
				}
			})
		}
	}
}

// A plan of any kind is run without allocating.
func TestAccessDoesNotAllocate(t *testing.T) {
	x := NewExchange(NewLifetime(t.Context()))
	plan := routePlans(10, 10).For(&entity.Route{ID: "route5"}, nil)
	id := plugin.Identity{Consumer: &entity.Consumer{ID: "consumer5"}, Groups: []*entity.ConsumerGroup{gold}}
	if n := testing.AllocsPerRun(100, func() {
		x.identity = id
		_ = x.Access(plan)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if len(x.Picked()) != 3 {
		t.Errorf("%d plugins ran", len(x.Picked()))
	}
}
