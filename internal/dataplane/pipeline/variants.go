// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"cmp"
	"slices"

	"github.com/kong/kong-istio-gateway/internal/dataplane/persistent"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// placed is an instance with its place among those of the same scope.
type placed struct {
	instance *Instance
	order    int
}

func (p placed) id() entity.ID { return p.instance.Plugin.ID }

// rivals are instances with the same name and scope, in order: the last one
// runs, as in Kong's declarative load. One is the rule.
type rivals []placed

func (r rivals) winner() *Instance {
	if len(r) == 0 {
		return nil
	}
	return r[len(r)-1].instance
}

func (r rivals) with(p placed) rivals {
	at, _ := slices.BinarySearchFunc(r, p, func(a, b placed) int {
		return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.id(), b.id()))
	})
	return slices.Insert(slices.Clip(r), at, p)
}

func (r rivals) without(id entity.ID) rivals {
	return slices.DeleteFunc(slices.Clone(r), func(p placed) bool { return p.id() == id })
}

// byOwner are the instances for one consumer or group each.
type byOwner = persistent.Map[entity.ID, rivals]

// variants are the instances of one plugin name that are limited to the same
// route and service, by whom they are for. They are shared by all plans that
// the scope is part of, so that plans do not multiply by consumers. A nil
// *variants is empty; others are immutable and never empty.
type variants struct {
	name      string
	everyone  rivals
	consumers byOwner
	groups    byOwner
	// needs counts how often each combination occurs among those that can run.
	needs map[plugin.Needs]int
}

func (v *variants) forEveryone() *Instance {
	if v == nil {
		return nil
	}
	return v.everyone.winner()
}

// particular reports whether some of them are for a consumer or a group.
func (v *variants) particular() bool { return v != nil && v.consumers.Len()+v.groups.Len() > 0 }

func (v *variants) forConsumer(c *entity.Consumer) *Instance {
	if v == nil || c == nil || v.consumers.Len() == 0 {
		return nil
	}
	return v.consumers.At(c.ID).winner()
}

// forGroups returns the instance of the first group by name that has one.
func (v *variants) forGroups(groups []*entity.ConsumerGroup) (found *Instance) {
	if v == nil || v.groups.Len() == 0 {
		return nil
	}
	var of *entity.ConsumerGroup
	for _, g := range groups {
		if of != nil && cmp.Or(cmp.Compare(of.Name, g.Name), cmp.Compare(of.ID, g.ID)) <= 0 {
			continue
		}
		if in := v.groups.At(g.ID).winner(); in != nil {
			found, of = in, g
		}
	}
	return found
}

// any returns one of them.
func (v *variants) any() *Instance {
	if in := v.everyone.winner(); in != nil {
		return in
	}
	for _, m := range []byOwner{v.consumers, v.groups} {
		for _, r := range m.All() {
			return r.winner()
		}
	}
	return nil
}

// change returns the variants with the rivals of p's scope replaced by what
// edit makes of them; nil when nothing is left.
func (v *variants) change(p *entity.Plugin, edit func(rivals) rivals) *variants {
	next := &variants{name: p.Name, needs: map[plugin.Needs]int{}}
	if v != nil {
		next.everyone, next.consumers, next.groups = v.everyone, v.consumers, v.groups
		for needs, n := range v.needs {
			next.needs[needs] = n
		}
	}
	replace := func(old rivals) rivals {
		changed := edit(old)
		next.count(old.winner(), -1)
		next.count(changed.winner(), 1)
		return changed
	}
	replaceOwned := func(m byOwner, owner entity.ID) byOwner {
		changed := replace(m.At(owner))
		if len(changed) == 0 {
			return m.Without(owner)
		}
		return m.With(owner, changed)
	}
	switch {
	case p.Consumer != nil:
		next.consumers = replaceOwned(next.consumers, p.Consumer.ID)
	case p.ConsumerGroup != nil:
		next.groups = replaceOwned(next.groups, p.ConsumerGroup.ID)
	default:
		next.everyone = replace(next.everyone)
	}
	if len(next.everyone) == 0 && !next.particular() {
		return nil
	}
	return next
}

func (v *variants) count(in *Instance, by int) {
	if in == nil {
		return
	}
	needs := in.Phases.Needs
	if v.needs[needs] += by; v.needs[needs] == 0 {
		delete(v.needs, needs)
	}
}

// scope says to which route and service plugins are limited; each may be empty.
type scope struct{ route, service entity.ID }

func scopeOf(p *entity.Plugin) scope {
	var s scope
	if p.Route != nil {
		s.route = p.Route.ID
	}
	if p.Service != nil {
		s.service = p.Service.ID
	}
	return s
}

// scoped are the plugins of one scope, by name. It is immutable: its identity
// says whether a plan that was made of it is still right. nil is empty.
type scoped struct{ names []*variants }

func (s *scoped) find(name string) (int, bool) {
	if s == nil {
		return 0, false
	}
	return slices.BinarySearchFunc(s.names, name, func(v *variants, name string) int { return cmp.Compare(v.name, name) })
}

func (s *scoped) of(name string) *variants {
	if i, found := s.find(name); found {
		return s.names[i]
	}
	return nil
}

// change returns the scope after a change of p's rivals, nil when nothing is
// left.
func (s *scoped) change(p *entity.Plugin, edit func(rivals) rivals) *scoped {
	v := s.of(p.Name).change(p, edit)
	i, found := s.find(p.Name)
	next := &scoped{}
	if s != nil {
		next.names = slices.Clone(s.names)
	}
	switch {
	case v != nil && found:
		next.names[i] = v
	case v != nil:
		next.names = slices.Insert(next.names, i, v)
	case found:
		next.names = slices.Delete(next.names, i, i+1)
	}
	if len(next.names) == 0 {
		return nil
	}
	return next
}
