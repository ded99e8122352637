// SPDX-License-Identifier: Apache-2.0

package router

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"net/netip"
	"slices"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// StreamInput is what the stream router looks at.
type StreamInput struct {
	// Protocol is tcp, udp or, for a connection that opens with a ClientHello to
	// a TLS listener, tls: that finds routes of tls_passthrough as well, and the
	// route says which of the two it is.
	Protocol    entity.Protocol
	Source      netip.AddrPort
	Destination netip.AddrPort
	SNI         string // lower case, without a trailing dot; empty if none
}

// StreamProtocol reports whether a protocol is one of connections and
// datagrams rather than of requests.
func StreamProtocol(p entity.Protocol) bool {
	switch p {
	case entity.ProtocolTCP, entity.ProtocolTLS, entity.ProtocolTLSPassthrough, entity.ProtocolUDP:
		return true
	}
	return false
}

// StreamRoute reports whether a route is one for Stream. Its protocols are all
// of one family, so that the first decides.
func StreamRoute(r *entity.Route) bool {
	return len(r.Protocols) > 0 && StreamProtocol(r.Protocols[0])
}

// Stream is a compiled set of stream routes. It is immutable and safe for
// concurrent use.
type Stream struct {
	// Each list is in the order in which its routes are tried. A route stands
	// under each of its server names, or else under each port if all of its
	// destinations have one.
	exact  map[string][]*streamRoute // by server name
	suffix map[string][]*streamRoute // *.example.org by ".example.org"
	prefix map[string][]*streamRoute // example.* by "example."
	port   map[uint16][]*streamRoute
	rest   []*streamRoute

	expressions streamExpressions // tried first
}

// streamKinds are the matcher kinds of a stream route, in order of strength.
type streamKinds uint8

const (
	streamDestination streamKinds = 1 << iota
	streamSource
	streamSNI
)

type streamRoute struct {
	route        *Route
	order        int // among all routes: the lowest that matches wins
	kinds        streamKinds
	protocols    []entity.Protocol
	names        []serverName
	sources      []endpoint
	destinations []endpoint
	createdAt    int64
}

// endpoint is a source or destination; what is not set matches everything.
type endpoint struct {
	prefix netip.Prefix
	port   uint16
}

// NewStream compiles the items that are stream routes. Routes that cannot be
// compiled are left out and reported.
func NewStream(items []Item, flavor Flavor) (*Stream, []Problem) {
	var routes []*streamRoute
	var expressions []*streamExpression
	var problems []Problem
	for _, item := range items {
		if disabled(item.Service) || protocolsOf(item.Route)&protocolStream == 0 {
			continue
		}
		var err error
		if item.Route.Expression != "" && flavor == Expressions {
			var r *streamExpression
			if r, err = newStreamExpression(item); err == nil {
				expressions = append(expressions, r)
			}
		} else {
			var r *streamRoute
			if r, err = newStreamRoute(item); err == nil {
				routes = append(routes, r)
			}
		}
		if err != nil {
			problems = append(problems, problem(item.Route, err))
		}
	}
	slices.SortFunc(routes, compareStream)
	s := &Stream{
		exact: map[string][]*streamRoute{}, suffix: map[string][]*streamRoute{}, prefix: map[string][]*streamRoute{},
		port: map[uint16][]*streamRoute{}, expressions: newStreamExpressions(expressions),
	}
	for i, r := range routes {
		r.order = i
		s.index(r)
	}
	return s, problems
}

func newStreamRoute(item Item) (*streamRoute, error) {
	e := item.Route
	r := &streamRoute{route: newRoute(item), protocols: e.Protocols, createdAt: or(e.CreatedAt, math.MaxInt64)}
	if e.Expression != "" {
		return nil, fieldError{"expression", errStreamFlavor}
	}
	for _, s := range e.SNIs {
		r.kinds |= streamSNI
		r.names = append(r.names, newServerName(s))
	}
	var err error
	if r.sources, err = endpoints(e.Sources); err != nil {
		return nil, fieldError{"sources", err}
	}
	if r.destinations, err = endpoints(e.Destinations); err != nil {
		return nil, fieldError{"destinations", err}
	}
	if len(r.sources) > 0 {
		r.kinds |= streamSource
	}
	if len(r.destinations) > 0 {
		r.kinds |= streamDestination
	}
	if r.kinds == 0 {
		return nil, fieldError{"destinations", fmt.Errorf("the route has no matcher: set one of sources, destinations or snis, or an expression")}
	}
	return r, nil
}

func endpoints(list []entity.Endpoint) ([]endpoint, error) {
	var out []endpoint
	for _, e := range list {
		var p endpoint
		if e.IP != "" {
			var err error
			if p.prefix, err = parsePrefix(e.IP); err != nil {
				return nil, fmt.Errorf("%q is neither an address nor a CIDR range", e.IP)
			}
		}
		port := or(e.Port, 0)
		if port < 0 || port > math.MaxUint16 {
			return nil, fmt.Errorf("port %d is not between 0 and 65535", port)
		}
		p.port = uint16(port)
		out = append(out, p)
	}
	// An address is more than a port, a port more than a range.
	slices.SortStableFunc(out, func(a, b endpoint) int { return cmp.Compare(b.weight(), a.weight()) })
	return out, nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		return p.Masked(), err
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	a = a.Unmap()
	return netip.PrefixFrom(a, a.BitLen()), nil
}

func (e endpoint) weight() int {
	w := 0
	if e.port != 0 {
		w += 2
	}
	switch {
	case !e.prefix.IsValid():
	case e.prefix.IsSingleIP():
		w += 4
	default:
		w++
	}
	return w
}

func (e endpoint) match(a netip.AddrPort) bool {
	return (e.port == 0 || e.port == a.Port()) && (!e.prefix.IsValid() || e.prefix.Contains(a.Addr().Unmap()))
}

func bestWeight(list []endpoint) int {
	if len(list) == 0 {
		return 0
	}
	return list[0].weight()
}

// compareStream orders routes as Kong tries them: by the number of kinds, then
// server name before source before destination, then the more exact of the
// same kind, and the older one.
func compareStream(a, b *streamRoute) int {
	return cmp.Or(
		bits.OnesCount8(uint8(b.kinds))-bits.OnesCount8(uint8(a.kinds)),
		cmp.Compare(b.kinds, a.kinds),
		cmp.Compare(nameWeight(b.names), nameWeight(a.names)),
		cmp.Compare(bestWeight(b.sources), bestWeight(a.sources)),
		cmp.Compare(bestWeight(b.destinations), bestWeight(a.destinations)),
		cmp.Compare(a.createdAt, b.createdAt),
		cmp.Compare(a.route.Entity.ID, b.route.Entity.ID),
	)
}

func (r *streamRoute) match(in *StreamInput) bool {
	return takesProtocol(r.protocols, in.Protocol) &&
		(len(r.names) == 0 || anyName(r.names, in.SNI)) &&
		anyEndpoint(r.sources, in.Source) &&
		anyEndpoint(r.destinations, in.Destination)
}

// takesProtocol reports whether a route is for connections of a protocol.
func takesProtocol(protocols []entity.Protocol, p entity.Protocol) bool {
	return slices.Contains(protocols, p) ||
		p == entity.ProtocolTLS && slices.Contains(protocols, entity.ProtocolTLSPassthrough)
}

func anyEndpoint(list []endpoint, a netip.AddrPort) bool {
	for i := range list {
		if list[i].match(a) {
			return true
		}
	}
	return len(list) == 0
}

// Match returns the route of a stream connection or session. It does not
// allocate, and its cost depends on the routes of the connection's server name
// and port, and on those that name neither.
func (s *Stream) Match(in *StreamInput) (*Route, bool) {
	if found := s.expressions.match(in); found != nil {
		return found.route, true
	}
	best := firstMatch(nil, s.rest, in)
	best = firstMatch(best, s.port[in.Destination.Port()], in)
	if in.SNI != "" && in.Protocol == entity.ProtocolTLS {
		best = s.matchName(best, in)
	}
	if best == nil {
		return nil, false
	}
	return best.route, true
}

// firstMatch returns the first route of a list that matches, or best if that
// comes before it.
func firstMatch(best *streamRoute, list []*streamRoute, in *StreamInput) *streamRoute {
	for _, r := range list {
		if best != nil && best.order <= r.order {
			break
		}
		if r.match(in) {
			return r
		}
	}
	return best
}
