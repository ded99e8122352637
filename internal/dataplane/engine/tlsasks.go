// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/dataplane/tlscert"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// clientAsks says which clients are asked for a certificate. A plugin of a route
// needs it for the route's SNIs, or for all names if the route has none: what
// the request will be is not known yet.
type clientAsks struct {
	// everyone counts the reasons to ask, whatever the server name.
	everyone int
	names    tlscert.Names
	// phases counts the plugins with a certificate phase.
	phases int
}

func (a *clientAsks) of(name string) bool { return a.everyone > 0 || a.names.Has(name) }

// askScope is the route and service to which a plugin that needs clients'
// certificates is limited.
type askScope struct{ route, service entity.ID }

// countAsks notes what an instance that came or went needs of handshakes.
func (b *builder) countAsks(in *pipeline.Instance, by int) {
	if in.Plugin.Enabled != nil && !*in.Plugin.Enabled {
		return
	}
	if in.Phases.Certificate != nil {
		b.asks.phases += by
	}
	if !in.Phases.Needs.ClientCertificate {
		return
	}
	s := askScope{idOf(in.Plugin.Route), idOf(in.Plugin.Service)}
	if n := b.asking.At(s) + by; n > 0 {
		b.asking.Put(s, n)
	} else {
		b.asking.Delete(s)
	}
	switch {
	case s.route != "":
		b.askRoutes[s.route] = true
	case s.service != "":
		for route := range b.byService.At(s.service).All() {
			b.askRoutes[route] = true
		}
	default:
		b.asks.everyone += by
	}
}

// buildAsks brings up to date for which names of routes clients are asked.
func (b *builder) buildAsks() {
	for id := range b.askRoutes {
		st := b.routes.At(id)
		if st == nil {
			continue
		}
		asks := b.askedFor(st.entity)
		if asks == st.asks {
			continue
		}
		changed := *st
		if changed.asks = asks; asks {
			b.countRoute(&changed, 1)
		} else {
			b.countRoute(&changed, -1)
		}
		b.routes.Put(id, &changed)
	}
}

// askedFor reports whether a plugin of a route needs clients' certificates.
func (b *builder) askedFor(r *entity.Route) bool {
	if b.asking.Len() == 0 {
		return false
	}
	service := idOf(r.Service)
	return b.asking.At(askScope{route: r.ID}) > 0 ||
		service != "" && (b.asking.At(askScope{service: service}) > 0 || b.asking.At(askScope{r.ID, service}) > 0)
}

func (b *builder) countRoute(st *routeState, by int) {
	if len(st.entity.SNIs) == 0 {
		b.asks.everyone += by
	}
	for _, name := range st.entity.SNIs {
		b.asks.names = b.asks.names.With(name, by)
	}
}

// uncountRoute takes out what a route that is gone had clients asked for.
func (b *builder) uncountRoute(old *routeState) {
	if old != nil && old.asks {
		b.countRoute(old, -1)
	}
}
