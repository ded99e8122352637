// SPDX-License-Identifier: Apache-2.0

package router

import (
	"cmp"
	"slices"

	"github.com/kong/kong-istio-gateway/internal/dataplane/persistent"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/expression"
)

// expressionRoute is a route with an expression.
type expressionRoute struct {
	route    *Route
	id       entity.ID
	priority int64
	over     transports
	program  program
	cover    []coverKey
}

// newExpressionRoute compiles a route with an expression.
func newExpressionRoute(route *Route) (*expressionRoute, error) {
	n, err := expression.Parse(route.Entity.Expression, expression.HTTP)
	if err != nil {
		return nil, fieldError{"expression", err}
	}
	r := &expressionRoute{
		route: route, id: route.Entity.ID, priority: or(route.Entity.Priority, 0),
		over: transportsOf(Expressions, route.Entity), cover: cover(n),
	}
	if r.program, err = compileProgram(n); err != nil {
		return nil, fieldError{"expression", err}
	}
	return r, nil
}

// compareExpressions orders routes as they are tried: by priority, and among
// equals, for which Kong promises nothing, the greater id first, as it does.
func compareExpressions(a, b *expressionRoute) int {
	if c := cmp.Compare(b.priority, a.priority); c != 0 {
		return c
	}
	return cmp.Compare(b.id, a.id)
}

// expressionLeaf holds, in order, the routes with one key. It is immutable.
type expressionLeaf struct{ routes []*expressionRoute }

// expressionTree finds leaves by what a path begins with.
type expressionTree = radix[expressionLeaf]

// expressionIndex finds routes by a key of their cover. It is immutable.
type expressionIndex struct {
	hosts    persistent.Map[string, *expressionTree]
	suffixes persistent.Map[string, *expressionTree] // by ".example.com"
	any      *expressionTree
}

// match returns the first route that matches, and what was found out about the
// path.
func (x *expressionIndex) match(in *Input) (best *expressionRoute, hit pathHit) {
	f := factsOf(in)
	best, hit = searchTree(x.any, &f, nil, hit)
	if x.hosts.Len() > 0 {
		best, hit = searchTree(x.hosts.At(in.Host), &f, best, hit)
	}
	if x.suffixes.Len() > 0 {
		for i := range len(in.Host) {
			if in.Host[i] == '.' {
				best, hit = searchTree(x.suffixes.At(in.Host[i:]), &f, best, hit)
			}
		}
	}
	return best, hit
}

// searchTree returns the first route of a tree that matches and comes before
// best; best when there is none.
func searchTree(t *expressionTree, f *facts, best *expressionRoute, hit pathHit) (*expressionRoute, pathHit) {
	if t == nil {
		return best, hit
	}
	var buf [16]*expressionLeaf
	for _, l := range slices.Backward(t.walk(f.http.Path, buf[:0])) {
		for _, r := range l.routes {
			if best != nil && compareExpressions(best, r) <= 0 {
				break
			}
			if !r.over.take(f.http.TLS) {
				continue
			}
			var found pathHit
			if r.program.eval(f, &found) {
				best, hit = r, found
				break
			}
		}
	}
	return best, hit
}

// expressionChange is the routes to add and remove, by key.
type expressionChange map[coverKey]*struct{ add, del []*expressionRoute }

func (c expressionChange) add(r *expressionRoute) {
	for _, k := range r.cover {
		c.at(k).add = append(c.at(k).add, r)
	}
}

func (c expressionChange) del(r *expressionRoute) {
	for _, k := range r.cover {
		c.at(k).del = append(c.at(k).del, r)
	}
}

func (c expressionChange) at(k coverKey) *struct{ add, del []*expressionRoute } {
	if c[k] == nil {
		c[k] = &struct{ add, del []*expressionRoute }{}
	}
	return c[k]
}

// with returns the index after a change, sharing what it does not touch.
func (x expressionIndex) with(c expressionChange) expressionIndex {
	hosts, suffixes := x.hosts.Edit(), x.suffixes.Edit()
	for k, ch := range c {
		switch k.host.shape {
		case hostPlain:
			putTree(&hosts, k.host.text, replaceLeaf(hosts.At(k.host.text), k.path, ch.add, ch.del))
		case hostLeft:
			putTree(&suffixes, k.host.text, replaceLeaf(suffixes.At(k.host.text), k.path, ch.add, ch.del))
		default:
			x.any = replaceLeaf(x.any, k.path, ch.add, ch.del)
		}
	}
	x.hosts, x.suffixes = hosts.Done(), suffixes.Done()
	return x
}

func putTree(m *persistent.Edit[string, *expressionTree], host string, t *expressionTree) {
	if t == nil {
		m.Delete(host)
	} else {
		m.Put(host, t)
	}
}

// replaceLeaf returns the tree with one leaf changed, nil when nothing is left.
func replaceLeaf(t *expressionTree, path string, add, del []*expressionRoute) *expressionTree {
	var old []*expressionRoute
	if l := t.get(path); l != nil {
		old = l.routes
	}
	gone := make(map[*expressionRoute]bool, len(del))
	for _, r := range del {
		gone[r] = true
	}
	routes := make([]*expressionRoute, 0, len(old)+len(add))
	for _, r := range old {
		if !gone[r] {
			routes = append(routes, r)
		}
	}
	if len(add) == 1 {
		at, _ := slices.BinarySearchFunc(routes, add[0], compareExpressions)
		routes = slices.Insert(routes, at, add[0])
	} else if len(add) > 1 {
		routes = append(routes, add...)
		slices.SortFunc(routes, compareExpressions)
	}
	if len(routes) == 0 {
		return t.with(path, nil)
	}
	return t.with(path, &expressionLeaf{routes})
}
