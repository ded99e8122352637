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
	Protocol    entity.Protocol // tcp, tls, tls_passthrough or udp
	Source      netip.AddrPort
	Destination netip.AddrPort
	SNI         string // lower case, without a trailing dot; empty if none
}

// Stream is a compiled set of stream routes. It is immutable and safe for
// concurrent use.
type Stream struct {
	routes []*streamRoute // in the order they are tried
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
	kinds        streamKinds
	protocols    []entity.Protocol
	snis         []string
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
func NewStream(items []Item) (*Stream, []Problem) {
	s := &Stream{}
	var problems []Problem
	for _, item := range items {
		if disabled(item.Service) || protocolsOf(item.Route)&protocolStream == 0 {
			continue
		}
		r, err := newStreamRoute(item)
		if err != nil {
			problems = append(problems, problem(item.Route, err))
			continue
		}
		s.routes = append(s.routes, r)
	}
	slices.SortFunc(s.routes, compareStream)
	return s, problems
}

func newStreamRoute(item Item) (*streamRoute, error) {
	e := item.Route
	r := &streamRoute{route: newRoute(item), protocols: e.Protocols, createdAt: or(e.CreatedAt, math.MaxInt64)}
	for _, s := range e.SNIs {
		r.kinds |= streamSNI
		r.snis = append(r.snis, lowerASCII(trimDot(s)))
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
		return nil, fieldError{"destinations", fmt.Errorf("the route has no matcher: set one of sources, destinations or snis")}
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

func compareStream(a, b *streamRoute) int {
	return cmp.Or(
		bits.OnesCount8(uint8(b.kinds))-bits.OnesCount8(uint8(a.kinds)),
		cmp.Compare(b.kinds, a.kinds),
		cmp.Compare(bestWeight(b.sources), bestWeight(a.sources)),
		cmp.Compare(bestWeight(b.destinations), bestWeight(a.destinations)),
		cmp.Compare(a.createdAt, b.createdAt),
		cmp.Compare(a.route.Entity.ID, b.route.Entity.ID),
	)
}

func (r *streamRoute) match(in *StreamInput) bool {
	fits := func(a netip.AddrPort) func(endpoint) bool {
		return func(e endpoint) bool { return e.match(a) }
	}
	return slices.Contains(r.protocols, in.Protocol) &&
		(len(r.snis) == 0 || slices.Contains(r.snis, in.SNI)) &&
		(len(r.sources) == 0 || slices.ContainsFunc(r.sources, fits(in.Source))) &&
		(len(r.destinations) == 0 || slices.ContainsFunc(r.destinations, fits(in.Destination)))
}

// Match returns the route of a stream connection or session.
func (s *Stream) Match(in *StreamInput) (*Route, bool) {
	for _, r := range s.routes {
		if r.match(in) {
			return r.route, true
		}
	}
	return nil, false
}
