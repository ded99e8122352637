// SPDX-License-Identifier: Apache-2.0

package router

import (
	"slices"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/expression"
)

// streamExpression is a stream route with an expression.
type streamExpression struct {
	expressionRoute
	protocols []entity.Protocol
	order     int // among all: the lowest that matches wins
}

// streamExpressions finds them by server name or by port where their expression
// wants one. It is immutable once built.
type streamExpressions struct {
	name map[string][]*streamExpression
	port map[uint16][]*streamExpression
	rest []*streamExpression
}

func newStreamExpression(item Item) (*streamExpression, error) {
	n, err := expression.Parse(item.Route.Expression, expression.Stream)
	if err != nil {
		return nil, fieldError{"expression", err}
	}
	e := item.Route
	r := &streamExpression{
		expressionRoute: expressionRoute{route: newRoute(item), id: e.ID, priority: or(e.Priority, 0)}, protocols: e.Protocols,
	}
	if r.program, err = compileProgram(n); err != nil {
		return nil, fieldError{"expression", err}
	}
	return r, nil
}

// newStreamExpressions indexes the routes.
func newStreamExpressions(routes []*streamExpression) streamExpressions {
	x := streamExpressions{name: map[string][]*streamExpression{}, port: map[uint16][]*streamExpression{}}
	slices.SortFunc(routes, func(a, b *streamExpression) int { return compareExpressions(&a.expressionRoute, &b.expressionRoute) })
	for i, r := range routes {
		r.order = i
		keys, ok := streamKeys(&r.program)
		if !ok {
			x.rest = append(x.rest, r)
			continue
		}
		for _, name := range keys.names {
			x.name[name] = append(x.name[name], r)
		}
		for _, port := range keys.ports {
			x.port[port] = append(x.port[port], r)
		}
	}
	return x
}

// streamCover is server names and ports, one of which every connection has
// that an expression is true for.
type streamCover struct {
	names []string
	ports []uint16
}

// streamKeys returns a cover, false where there is none.
func streamKeys(p *program) (c streamCover, ok bool) {
	switch p.kind {
	case programPredicate:
		q := p.predicate
		switch {
		case q.op != expression.Equal:
		case q.field.Kind == expression.TLSSNI:
			return streamCover{names: []string{q.text}}, true
		case q.field.Kind == expression.NetDestinationPort:
			return streamCover{ports: []uint16{uint16(q.number)}}, true //nolint:gosec // what does not fit is never equal, wherever it is looked for
		}
	case programAnd:
		for i := range p.terms {
			if found, covered := streamKeys(&p.terms[i]); covered && (!ok || len(found.ports) == 0) {
				c, ok = found, true // names tell more than ports
			}
		}
		return c, ok
	case programOr:
		for i := range p.terms {
			found, covered := streamKeys(&p.terms[i])
			if !covered {
				return streamCover{}, false
			}
			c.names, c.ports = append(c.names, found.names...), append(c.ports, found.ports...)
		}
		slices.Sort(c.names)
		slices.Sort(c.ports)
		return streamCover{slices.Compact(c.names), slices.Compact(c.ports)}, true
	}
	return streamCover{}, false
}

// match returns the first route that matches, nil without.
func (x *streamExpressions) match(in *StreamInput) *streamExpression {
	f := facts{protocol: string(in.Protocol), sni: in.SNI, source: in.Source, destination: in.Destination}
	best := firstExpression(nil, x.rest, in, &f)
	best = firstExpression(best, x.port[in.Destination.Port()], in, &f)
	if in.SNI != "" {
		best = firstExpression(best, x.name[in.SNI], in, &f)
	}
	return best
}

func firstExpression(best *streamExpression, list []*streamExpression, in *StreamInput, f *facts) *streamExpression {
	for _, r := range list {
		if best != nil && best.order <= r.order {
			break
		}
		var hit pathHit
		if takesProtocol(r.protocols, in.Protocol) && r.program.eval(f, &hit) {
			return r
		}
	}
	return best
}
