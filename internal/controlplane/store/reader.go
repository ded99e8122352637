// SPDX-License-Identifier: Apache-2.0

package store

import (
	"slices"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
)

// view is what of a thing a unit has looked at.
type view uint8

const (
	viewObject view = iota // an object, or the list of a Service's slices
	viewGrants             // the ReferenceGrants of a namespace
	viewFacts              // another unit's facts
	viewClaimFirst
	viewClaimAny
	viewClaimAll
)

// dependency names one thing that a unit has looked at, in the way of its view:
// an object and a unit by kind, namespace and name, a claim by scope and value.
// It is small because there are many.
type dependency struct {
	view                  view
	kind, namespace, name string
}

func onObject(k Key) dependency {
	return dependency{viewObject, string(k.Kind), k.Namespace, k.Name}
}

func onGrants(namespace string) dependency {
	return dependency{view: viewGrants, namespace: namespace}
}

func onFacts(o fragment.Owner) dependency {
	return dependency{viewFacts, string(o.Kind), o.Namespace, o.Name}
}

func onClaim(v view, k claimKey) dependency {
	return dependency{view: v, kind: string(k.scope), name: k.value}
}

// secret returns the Secret that is looked at, if it is one.
func (d dependency) secret() (Key, bool) {
	return Key{KindSecret, d.namespace, d.name}, d.view == viewObject && d.kind == string(KindSecret)
}

// unit returns the unit whose facts are looked at, if it is one.
func (d dependency) unit() (fragment.Owner, bool) {
	return fragment.Owner{Kind: fragment.OwnerKind(d.kind), Namespace: d.namespace, Name: d.name}, d.view == viewFacts
}

// thing is a dependency with the units that have looked at it.
type thing struct {
	dependency
	readers readers
	// mark is what a walk over lists of things has left.
	mark uint64
}

// readers is a set of units. Most things have one or two.
type readers struct {
	few  []*unit
	many map[*unit]struct{}
}

// fewReaders is how many are kept in a list.
const fewReaders = 16

func (r *readers) len() int { return len(r.few) + len(r.many) }

// add takes in a unit that is not in the set.
func (r *readers) add(n *unit) {
	switch {
	case r.many != nil:
		r.many[n] = struct{}{}
	case len(r.few) < fewReaders:
		r.few = append(r.few, n)
	default:
		r.many = make(map[*unit]struct{}, 2*fewReaders)
		for _, other := range r.few {
			r.many[other] = struct{}{}
		}
		r.many[n] = struct{}{}
		r.few = nil
	}
}

func (r *readers) remove(n *unit) {
	if r.many != nil {
		delete(r.many, n)
		return
	}
	for i, other := range r.few {
		if other == n {
			last := len(r.few) - 1
			r.few[i], r.few[last] = r.few[last], nil
			r.few = r.few[:last]
			return
		}
	}
}

func (r *readers) each(f func(*unit)) {
	for _, n := range r.few {
		f(n)
	}
	for n := range r.many {
		f(n)
	}
}

// thing returns the thing of that name, which exists from its first reader to
// its last.
func (g *graph) thing(d dependency) *thing {
	t := g.things[d]
	if t == nil {
		t = &thing{dependency: d}
		g.things[d] = t
	}
	return t
}

// read reports whether any unit has looked at d.
func (g *graph) read(d dependency) bool {
	t := g.things[d]
	return t != nil && t.readers.len() > 0
}

// touch marks all units that have looked at d.
func (g *graph) touch(d dependency) { g.touchBut(d, nil) }

// touchBut is touch but for one unit, which may be nil.
func (g *graph) touchBut(d dependency, but *unit) {
	t := g.things[d]
	if t == nil {
		return
	}
	t.readers.each(func(n *unit) {
		if n != but {
			g.mark(n)
		}
	})
}

// setDeps records what the unit looked at and lets go of what it no longer
// looks at. The list may name a thing more than once.
func (g *graph) setDeps(n *unit, deps []*thing) {
	g.walk++
	for _, t := range n.deps {
		t.mark = g.walk
	}
	had := g.walk
	g.walk++
	kept := deps[:0]
	for _, t := range deps {
		if t.mark == g.walk {
			continue
		}
		if t.mark != had {
			t.readers.add(n)
			if key, ok := t.secret(); ok {
				g.store.secrets.want(key)
			}
		}
		t.mark = g.walk
		kept = append(kept, t)
	}
	for _, t := range n.deps {
		if t.mark != g.walk {
			g.unread(n, t)
		}
	}
	n.deps = slices.Clone(kept) // no longer than it is: there are as many as units
}

func (g *graph) unread(n *unit, t *thing) {
	t.readers.remove(n)
	if t.readers.len() > 0 {
		return
	}
	delete(g.things, t.dependency)
	if key, ok := t.secret(); ok {
		g.store.unreadSecret(key)
	}
	if o, ok := t.unit(); ok && g.units[o] != nil {
		g.orphan(g.units[o])
	}
}
