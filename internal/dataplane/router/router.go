// SPDX-License-Identifier: Apache-2.0

package router

import (
	"cmp"
	"errors"
	"slices"

	"github.com/kong/kong-istio-gateway/internal/dataplane/persistent"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Router is a compiled set of routes. It is immutable and safe for concurrent
// use.
type Router struct {
	routes      persistent.Map[entity.ID, *compiled]
	categories  []*category                   // in the order they are tried
	byHeader    persistent.Map[string, *list] // the candidates with a header, by its name
	headerNames []string                      // by the order of the routes that use them first
	mixedSNI    bool                          // a category has SNIs and other kinds
	flavor      Flavor
	expressions expressionIndex // tried first
}

// New compiles the items that are HTTP or gRPC routes, with the rules of flavor
// Traditional; see Empty for others. The Router is never nil; routes that cannot
// be compiled are left out and reported.
func New(items []Item) (*Router, []Problem) {
	return (&Router{}).With(items, nil)
}

// With returns a Router in which the routes of upsert are added or replaced and
// those of remove are gone. r stays as it is. The cost depends on what changes,
// not on the number of routes. When a route of upsert cannot be compiled, it is
// reported and its old version stays.
func (r *Router) With(upsert []Item, remove []entity.ID) (*Router, []Problem) {
	next := *r
	d := delta{flavor: r.flavor, routes: r.routes.Edit(), byKinds: map[kinds]*change{}, expressions: expressionChange{}}
	for _, id := range remove {
		d.remove(id)
	}
	var problems []Problem
	seen := make(map[entity.ID]bool, len(upsert))
	for _, item := range upsert {
		if err := d.upsert(item, seen); err != nil {
			problems = append(problems, problem(item.Route, err))
		}
	}
	next.routes = d.routes.Done()
	next.apply(&d)
	return &next, problems
}

// delta collects what changes, by category.
type delta struct {
	flavor      Flavor
	routes      persistent.Edit[entity.ID, *compiled]
	byKinds     map[kinds]*change
	expressions expressionChange
}

func (d *delta) at(c *candidate) *change {
	if d.byKinds[c.kinds] == nil {
		d.byKinds[c.kinds] = &change{}
	}
	return d.byKinds[c.kinds]
}

func (d *delta) remove(id entity.ID) {
	old := d.routes.At(id)
	if old == nil {
		return
	}
	d.routes.Delete(id)
	if old.expression != nil {
		d.expressions.del(old.expression)
	}
	for _, c := range old.candidates {
		ch := d.at(c)
		ch.del = append(ch.del, c)
	}
}

func (d *delta) upsert(item Item, seen map[entity.ID]bool) error {
	id := item.Route.ID
	if seen[id] {
		return fieldError{"id", errors.New("two routes have the same id; give each its own")}
	}
	seen[id] = true
	next, err := compile(item, d.flavor)
	if err != nil {
		return err
	}
	d.remove(id)
	d.routes.Put(id, next)
	if next.expression != nil {
		d.expressions.add(next.expression)
	}
	for _, c := range next.candidates {
		ch := d.at(c)
		ch.add = append(ch.add, c)
	}
	return nil
}

// apply replaces the categories that the delta touches.
func (r *Router) apply(d *delta) {
	if len(d.expressions) > 0 {
		r.expressions = r.expressions.with(d.expressions)
	}
	cats := slices.Clone(r.categories)
	var headers change
	for k, ch := range d.byKinds {
		i, found := slices.BinarySearchFunc(cats, k, func(c *category, k kinds) int { return compareKinds(c.kinds, k) })
		if !found {
			cats = slices.Insert(cats, i, &category{kinds: k})
		}
		if next := cats[i].with(ch); next != nil {
			cats[i] = next
		} else {
			cats = slices.Delete(cats, i, i+1)
		}
		if k&kindHeader != 0 {
			headers.add = append(headers.add, ch.add...)
			headers.del = append(headers.del, ch.del...)
		}
	}
	r.categories = cats
	r.mixedSNI = slices.ContainsFunc(cats, func(c *category) bool { return c.kinds&kindSNI != 0 && c.kinds != kindSNI })
	if len(headers.add)+len(headers.del) > 0 {
		headers.sort()
		r.indexHeaders(&headers)
	}
}

// indexHeaders brings byHeader and headerNames up to date.
func (r *Router) indexHeaders(ch *change) {
	changes := map[string]*change{}
	note := func(candidates []*candidate, list func(*change) *[]*candidate) {
		for _, c := range candidates {
			for name := range c.headerNames() {
				if changes[name] == nil {
					changes[name] = &change{}
				}
				l := list(changes[name])
				*l = append(*l, c)
			}
		}
	}
	note(ch.add, func(c *change) *[]*candidate { return &c.add })
	note(ch.del, func(c *change) *[]*candidate { return &c.del })
	byName := r.byHeader.Edit()
	for name, ch := range changes {
		var old list
		if l := byName.At(name); l != nil {
			old = *l
		}
		if next := old.with(ch); next.empty() {
			byName.Delete(name)
		} else {
			byName.Put(name, &next)
		}
	}
	r.byHeader = byName.Done()
	r.headerNames = make([]string, 0, r.byHeader.Len())
	for name := range r.byHeader.All() {
		r.headerNames = append(r.headerNames, name)
	}
	slices.SortFunc(r.headerNames, func(a, b string) int {
		x, y := r.byHeader.At(a).first(), r.byHeader.At(b).first()
		if c := compare(x, y); c != 0 {
			return c
		}
		return cmp.Compare(x.headerIndex(a), x.headerIndex(b))
	})
}

// Len returns the number of routes, those of disabled services included.
func (r *Router) Len() int { return r.routes.Len() }

// Match returns the route for in. It does not allocate, except that a header
// pattern or an expression may have to lower a value's case or to unescape a
// query argument.
func (r *Router) Match(in *Input) (Result, bool) {
	if r.flavor == Expressions {
		if found, hit := r.expressions.match(in); found != nil {
			return newExpressionResult(found, in.Path, hit), true
		}
	}
	h := hits{router: r, in: in}
	for _, c := range r.categories[r.start(&h):] {
		if found := c.match(&h); found != nil {
			return newResult(found, in.Path), true
		}
	}
	return Result{}, false
}

// start is the index of the first category to try. Kong starts at the category
// of all kinds that the request may match, if there is one. That only matters
// for plain-text requests, whose SNI kind is ignored later but not here: they
// skip the categories with SNIs above their own.
func (r *Router) start(h *hits) int {
	if !r.mixedSNI || h.in.TLS {
		return 0
	}
	k := h.possible()
	i, found := slices.BinarySearchFunc(r.categories, k, func(c *category, k kinds) int { return compareKinds(c.kinds, k) })
	if !found {
		return 0
	}
	return i
}
