// SPDX-License-Identifier: Apache-2.0

package router

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Item is one route to compile.
type Item struct {
	Route   *entity.Route
	Service *entity.Service // the service of Route; nil if it has none
	Data    any             // the caller's own, for example the route's plan
	// Limited, when set, is told the first time that a pattern of the route took
	// too long to match, which counts as no match. It may be called by any
	// goroutine that matches.
	Limited func(*entity.Route)
}

// Problem says why a route was left out of a Router.
type Problem struct {
	RouteID   entity.ID
	RouteName string
	Field     string // the field to fix, for example "paths"
	Err       error
}

// String says which route to fix, where and why.
func (p Problem) String() string {
	name := p.RouteName
	if name == "" {
		name = string(p.RouteID)
	}
	return fmt.Sprintf("route %q: %s: %v", name, p.Field, p.Err)
}

// Route is a route ready to run, with Kong's defaults filled in. It is
// immutable.
type Route struct {
	Entity  *entity.Route
	Service *entity.Service // nil if the route has none
	Data    any             // Item.Data

	StripPath           bool
	PreserveHost        bool
	RequestBuffering    bool
	ResponseBuffering   bool
	PathHandlingV1      bool
	HTTPSRedirectStatus int

	servicePath string
	protocols   protocolSet
}

// HTTPSRequired reports whether the route takes no plain-text requests: such a
// request matches, and is answered with HTTPSRedirectStatus.
func (r *Route) HTTPSRequired() bool {
	return r.protocols&(protocolHTTPS|protocolGRPCS) != 0 &&
		r.protocols&(protocolHTTP|protocolGRPC) == 0
}

// GRPC reports whether the route is for gRPC.
func (r *Route) GRPC() bool { return r.protocols&(protocolGRPC|protocolGRPCS) != 0 }

type protocolSet uint8

const (
	protocolHTTP protocolSet = 1 << iota
	protocolHTTPS
	protocolGRPC
	protocolGRPCS
	protocolStream
)

func protocolsOf(r *entity.Route) protocolSet {
	if len(r.Protocols) == 0 {
		return protocolHTTP | protocolHTTPS
	}
	var set protocolSet
	for _, p := range r.Protocols {
		switch p {
		case entity.ProtocolHTTP:
			set |= protocolHTTP
		case entity.ProtocolHTTPS:
			set |= protocolHTTPS
		case entity.ProtocolGRPC:
			set |= protocolGRPC
		case entity.ProtocolGRPCS:
			set |= protocolGRPCS
		default:
			set |= protocolStream
		}
	}
	return set
}

func newRoute(item Item) *Route {
	e := item.Route
	r := &Route{
		Entity:              e,
		Service:             item.Service,
		Data:                item.Data,
		StripPath:           or(e.StripPath, true),
		PreserveHost:        or(e.PreserveHost, false),
		RequestBuffering:    or(e.RequestBuffering, true),
		ResponseBuffering:   or(e.ResponseBuffering, true),
		PathHandlingV1:      e.PathHandling == "v1",
		HTTPSRedirectStatus: or(e.HTTPSRedirectStatusCode, 426),
		servicePath:         "/",
		protocols:           protocolsOf(e),
	}
	if item.Service != nil && item.Service.Path != "" {
		r.servicePath = item.Service.Path
	}
	return r
}

func or[T any](p *T, def T) T {
	if p == nil {
		return def
	}
	return *p
}

func disabled(s *entity.Service) bool { return s != nil && !or(s.Enabled, true) }

// compiled is one route of a Router with its candidates.
type compiled struct {
	item       Item
	candidates []*candidate
	expression *expressionRoute // instead of candidates
}

// compile turns a route into its candidates. A route that can never match here
// (a stream route, a disabled service) has none.
func compile(item Item, flavor Flavor) (*compiled, error) {
	route := newRoute(item)
	c := &compiled{item: item}
	if disabled(item.Service) || route.protocols&^protocolStream == 0 {
		return c, nil
	}
	if flavor == Expressions {
		route.PathHandlingV1 = false // Kong honours it with flavor traditional only
	}
	if item.Route.Expression != "" {
		var err error
		if flavor != Expressions {
			return nil, fieldError{"expression", errFlavor}
		}
		c.expression, err = newExpressionRoute(route)
		return c, err
	}
	base, err := newCandidate(route)
	if err != nil {
		return nil, err
	}
	base.over = transportsOf(flavor, item.Route)
	limited := func() {}
	if item.Limited != nil {
		limited = sync.OnceFunc(func() { item.Limited(item.Route) })
	}
	for _, h := range base.headers {
		if h.re != nil {
			h.re.limited = limited
		}
	}
	if len(item.Route.Paths) == 0 {
		if base.kinds == 0 {
			return nil, fieldError{"paths", errors.New("the route has no matcher: set one of hosts, headers, paths, methods or snis, or an expression")}
		}
		c.candidates = []*candidate{base}
		return c, nil
	}
	for i, path := range item.Route.Paths {
		one := *base
		one.pathIndex = i
		if err := one.setPath(path); err != nil {
			return nil, err
		}
		if one.re != nil {
			one.re.limited = limited
		}
		c.candidates = append(c.candidates, &one)
	}
	return c, nil
}

// fieldError is a compile error with the field it belongs to.
type fieldError struct {
	field string
	err   error
}

func (e fieldError) Error() string { return e.field + ": " + e.err.Error() }

func problem(r *entity.Route, err error) Problem {
	p := Problem{RouteID: r.ID, RouteName: r.Name, Field: "paths", Err: err}
	var fe fieldError
	if errors.As(err, &fe) {
		p.Field, p.Err = fe.field, fe.err
	}
	return p
}

// newCandidate compiles everything but the path.
func newCandidate(route *Route) (*candidate, error) {
	e := route.Entity
	c := &candidate{
		route:         route,
		id:            e.ID,
		methods:       upperAll(e.Methods),
		regexPriority: or(e.RegexPriority, 0),
		createdAt:     or(e.CreatedAt, math.MaxInt64),
	}
	for _, h := range e.Hosts {
		c.addHost(parseHostPattern(h))
	}
	for _, name := range slices.Sorted(maps.Keys(e.Headers)) {
		m, err := newHeaderMatcher(name, e.Headers[name])
		if err != nil {
			return nil, fieldError{"headers." + name, err}
		}
		c.headers = append(c.headers, m)
	}
	for _, s := range e.SNIs {
		if name := newServerName(s); name.kind != nameExact {
			c.wildcardSNIs = append(c.wildcardSNIs, name)
		} else {
			c.snis = append(c.snis, name.text)
		}
	}
	c.kinds = c.kindsOf()
	if len(c.hosts) > 0 && !slices.ContainsFunc(c.hosts, hostPattern.wildcard) {
		c.sub |= subPlainHosts
	}
	return c, nil
}

func trimDot(s string) string {
	if len(s) > 1 {
		return strings.TrimSuffix(s, ".")
	}
	return s
}

func upperAll(in []string) []string {
	var out []string
	for _, s := range in {
		out = append(out, strings.ToUpper(s))
	}
	return out
}
