// SPDX-License-Identifier: Apache-2.0

package entity

import "slices"

// pluginProtocols wants a plugin to have a protocol of its route, or of one of
// its service's routes: it would never run, and what it guards would be open.
// Routes that are not in the set are not known here.
func (c *crossChecker) pluginProtocols(set *Set) {
	routes := make(map[ID]*Route, len(set.Routes))
	byService := map[ID][]*Route{}
	for _, r := range set.Routes {
		routes[r.ID] = r
		if r.Service != nil {
			byService[r.Service.ID] = append(byService[r.Service.ID], r)
		}
	}
	for _, p := range set.Plugins {
		fits := func(r *Route) bool { return RunsOn(p, r.Protocols, c.schemas) }
		switch {
		case p.Route != nil:
			if r := routes[p.Route.ID]; r != nil && !fits(r) {
				c.add(p, "protocols", "must match the associated route's protocols")
			}
		case p.Service != nil:
			if of := byService[p.Service.ID]; len(of) > 0 && !slices.ContainsFunc(of, fits) {
				c.add(p, "protocols", "must match the protocols of at least one route pointing to this Plugin's service")
			}
		}
	}
}

// RunsOn reports whether a plugin can run on routes of these protocols, with the
// defaults of both: they have a protocol in common, or are both for HTTP, where
// Kong leaves it to each request's protocol whether the plugin runs. A plugin
// that s does not know runs everywhere: that is wrong with it on its own.
func RunsOn(p *Plugin, protocols []Protocol, s SchemaSet) bool {
	of := p.Protocols
	if len(of) == 0 {
		schema, known := s.Plugin(p.Name)
		if !known {
			return true
		}
		if of = schema.DefaultProtocols; of == nil {
			of = HTTPProtocols()
		}
	}
	if len(protocols) == 0 {
		protocols = []Protocol{ProtocolHTTP, ProtocolHTTPS}
	}
	isHTTP := func(p Protocol) bool { return slices.Contains(httpFamily, p) }
	if slices.ContainsFunc(of, isHTTP) && slices.ContainsFunc(protocols, isHTTP) {
		return true
	}
	return slices.ContainsFunc(of, func(p Protocol) bool { return slices.Contains(protocols, p) })
}

// httpFamily are the protocols whose requests go through the HTTP plugins.
var httpFamily = []Protocol{ProtocolHTTP, ProtocolHTTPS, ProtocolGRPC, ProtocolGRPCS}
