// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"net"
	"net/http"
	"net/url"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// The states of targets, as Kong writes them here.
const (
	Healthy         = "HEALTHY"
	Unhealthy       = "UNHEALTHY"
	HealthchecksOff = "HEALTHCHECKS_OFF"
	dnsError        = "DNS_ERROR"
)

// health lists an upstream's targets with what is known of their health.
func (s *Server) health(upstream entity.Entity, path string, query url.Values) (int, any) {
	if upstream == nil {
		return http.StatusNotFound, notFound
	}
	known, used := s.options.Health(upstream.EntityID())
	of := pointsTo(func(e *entity.Target) *entity.Ref { return e.Upstream })
	list := s.options.Entities.list(entity.KindTarget, func(e entity.Entity) bool { return of(upstream, e) })
	code, body := paged(list, func(e entity.Entity) string { return string(e.EntityID()) }, func(e entity.Entity) any {
		view := s.view(e)
		name, _ := view["target"].(string)
		addHealth(view, name, known[name], used)
		return view
	}, "/upstreams"+path, query, false)
	if page, ok := body.(map[string]any); ok {
		page["node_id"] = s.options.NodeID
	}
	return code, body
}

// addHealth adds Kong's fields health and data. A target is healthy as soon as
// one of its addresses is.
func addHealth(view map[string]any, name string, addresses []Address, used bool) {
	if !used {
		view["health"] = HealthchecksOff
		return
	}
	host, port, _ := net.SplitHostPort(name)
	shown := []any{}
	health := dnsError
	for _, a := range addresses {
		shown = append(shown, map[string]any{"ip": a.Addr().String(), "port": a.Port(), "health": a.Health, "weight": a.Weight})
		if health != Healthy {
			health = a.Health
		}
	}
	view["health"] = health
	view["data"] = map[string]any{"host": host, "port": port, "addresses": shown, "nodeWeight": view["weight"]}
}
