// SPDX-License-Identifier: Apache-2.0

package router

import (
	"errors"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Flavor is Kong's setting router_flavor, as far as it matters here:
// "traditional_compatible" is served by the rules of "traditional".
type Flavor uint8

// The flavors.
const (
	// Traditional routes by hosts, paths, methods, headers and snis. It is the
	// zero value. A route with an expression is refused.
	Traditional Flavor = iota
	// Expressions routes by expressions and priorities. Routes without an
	// expression are tried after all that have one, and a route takes only
	// requests of its protocols, but for those of https alone, which answer
	// plain-text requests with a redirect (kong/router/expressions.lua).
	Expressions
)

// Empty returns a Router without routes. Its successors have the same flavor.
func Empty(f Flavor) *Router { return &Router{flavor: f} }

var (
	errFlavor       = errors.New("the router flavor is traditional; set KONG_ROUTER_FLAVOR to expressions, or write the route with hosts, paths, methods, headers or snis")
	errStreamFlavor = errors.New("the router flavor is traditional; set KONG_ROUTER_FLAVOR to expressions, or write the route with sources, destinations or snis")
)

// transports is what a route takes requests over.
type transports uint8

const (
	overPlain transports = 1 << iota
	overTLS
)

func (t transports) take(tls bool) bool {
	if tls {
		return t&overTLS != 0
	}
	return t&overPlain != 0
}

// transportsOf returns what a route of a flavor takes.
func transportsOf(f Flavor, r *entity.Route) transports {
	set := protocolsOf(r)
	if f == Traditional || len(r.Protocols) == 1 && set == protocolHTTPS {
		return overPlain | overTLS
	}
	var t transports
	if set&(protocolHTTP|protocolGRPC) != 0 {
		t |= overPlain
	}
	if set&(protocolHTTPS|protocolGRPCS) != 0 {
		t |= overTLS
	}
	return t
}
