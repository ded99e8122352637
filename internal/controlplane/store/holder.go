// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// holders tells which units bring an entity. Ids follow from names, so there is
// one unit but where users choose what ids are made of. The oldest has it then,
// whoever came first.
type holders struct {
	one map[entity.Key]*unit
	// more holds all units where there are several.
	more map[entity.Key][]*unit
	// disputed are units that may have won or lost an entity.
	disputed map[*unit]struct{}
}

func newHolders() holders {
	return holders{make(map[entity.Key]*unit), make(map[entity.Key][]*unit), make(map[*unit]struct{})}
}

// replace notes that a unit brings other entities than before. Most changes
// leave it those it had.
func (h *holders) replace(n *unit, old, now []entity.Entity) {
	if len(n.lost) > 0 { // what refers to it may be another
		h.disputed[n] = struct{}{}
	}
	sameKey := func(a, b entity.Entity) bool { return entity.KeyOf(a) == entity.KeyOf(b) }
	if slices.EqualFunc(old, now, sameKey) {
		return
	}
	for _, e := range old {
		h.release(n, entity.KeyOf(e))
	}
	for _, e := range now {
		h.take(n, entity.KeyOf(e))
	}
}

func (h *holders) take(n *unit, key entity.Key) {
	first := h.one[key]
	switch {
	case first == nil:
		h.one[key] = n
		return
	case first == n || slices.Contains(h.more[key], n):
		return
	case h.more[key] == nil:
		h.more[key] = []*unit{first}
	}
	h.more[key] = append(h.more[key], n)
	h.dispute(key)
}

func (h *holders) release(n *unit, key entity.Key) {
	list := h.more[key]
	i := slices.Index(list, n)
	switch {
	case i >= 0:
		h.dispute(key)
		list = slices.Delete(list, i, i+1)
		h.one[key], h.more[key] = list[0], list
		if len(list) == 1 {
			delete(h.more, key)
		}
	case h.one[key] == n:
		delete(h.one, key)
	}
}

func (h *holders) dispute(key entity.Key) {
	for _, n := range h.more[key] {
		h.disputed[n] = struct{}{}
	}
}

// winner returns the unit that an entity belongs to.
func (h *holders) winner(key entity.Key) *unit {
	list := h.more[key]
	if len(list) == 0 {
		return h.one[key]
	}
	return slices.MinFunc(list, func(a, b *unit) int {
		return compareClaimants(fragment.Claimant{Owner: a.owner, Created: a.created}, fragment.Claimant{Owner: b.owner, Created: b.created})
	})
}

// resolve takes away from units what belongs to others, or gives it back.
func (g *graph) resolve() {
	for n := range g.holders.disputed {
		if n.gone {
			continue
		}
		g.lose(n)
		g.changed[n.owner] = struct{}{}
		g.summary.set(n)
	}
	clear(g.holders.disputed)
}

// lose finds what of a unit belongs to others. What refers to it within the unit
// is lost as well: it would apply to somebody else's entity.
func (g *graph) lose(n *unit) {
	n.lost, n.lostProblems = nil, nil
	subject := refOf(g.recorder(n).subject(), n.owner)
	for _, e := range n.result.Entities {
		key := entity.KeyOf(e)
		winner := g.holders.winner(key)
		if winner == n || winner == nil {
			continue
		}
		if n.lost == nil {
			n.lost = make(map[entity.Key]struct{})
		}
		n.lost[key] = struct{}{}
		n.lostProblems = append(n.lostProblems, fragment.Problem{
			Object: subject, Reason: fragment.ReasonConflict,
			Message: fmt.Sprintf("the older %s brings %s %s as well; it is not served for this object", winner.owner, key.Kind, key.ID),
			Fix:     "choose another name or id in one of the two",
		})
	}
	for more := len(n.lost) > 0; more; {
		more = false
		for _, e := range n.result.Entities {
			key := entity.KeyOf(e)
			if _, gone := n.lost[key]; !gone && slices.ContainsFunc(within(e), func(k entity.Key) bool { _, gone := n.lost[k]; return gone }) {
				n.lost[key], more = struct{}{}, true
			}
		}
	}
}

// entities returns what a unit brings and nobody else has.
func (n *unit) entities() []entity.Entity {
	if len(n.lost) == 0 {
		return n.result.Entities
	}
	return slices.DeleteFunc(slices.Clone(n.result.Entities), func(e entity.Entity) bool {
		_, lost := n.lost[entity.KeyOf(e)]
		return lost
	})
}

// allProblems returns the unit's problems with those of what it lost.
func (n *unit) allProblems() []fragment.Problem {
	return append(slices.Clip(n.problems), n.lostProblems...)
}

// within returns what an entity refers to.
func within(e entity.Entity) []entity.Key {
	keys := references(e)
	add := func(kind entity.Kind, r *entity.Ref) {
		if r != nil {
			keys = append(keys, entity.Key{Kind: kind, ID: r.ID})
		}
	}
	switch e := e.(type) {
	case *entity.Target:
		add(entity.KindUpstream, e.Upstream)
	case *entity.Credential:
		add(entity.KindConsumer, e.Consumer)
	case *entity.Plugin:
		add(entity.KindService, e.Service)
		add(entity.KindRoute, e.Route)
		add(entity.KindConsumer, e.Consumer)
		add(entity.KindConsumerGroup, e.ConsumerGroup)
	}
	return keys
}

// scheme knows the kinds that the store keeps. Objects of kinds that could not
// be added are named without their group.
var scheme = sync.OnceValue(func() *runtime.Scheme {
	s := runtime.NewScheme()
	_ = AddToScheme(s)
	return s
})

// refOf names a unit's object, also while there is none.
func refOf(o client.Object, unit fragment.Owner) fragment.ObjectRef {
	key := subjectOf(unit)
	if o != nil {
		if gvk, err := apiutil.GVKForObject(o, scheme()); err == nil {
			r := fragment.RefOf(gvk.Group, gvk.Version, gvk.Kind, o)
			r.Namespace = key.Namespace
			return r
		}
	}
	return fragment.ObjectRef{Kind: string(key.Kind), Namespace: key.Namespace, Name: key.Name}
}
