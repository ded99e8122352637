// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/dataplane/tlscert"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// clientAsks says which clients are asked for a certificate.
type clientAsks struct {
	// everyone is asked, whatever the server name.
	everyone bool
	names    tlscert.Names
	// phases says that plugins have a certificate phase.
	phases bool
}

func (a *clientAsks) of(name string) bool { return a.everyone || a.names.Has(name) }

// newClientAsks gathers what the plugins of a set need of handshakes. A plugin
// of a route needs it for the route's SNIs, or for all names if the route has
// none: what the request will be is not known yet.
func newClientAsks(set *entity.Set, instance func(entity.ID) *pipeline.Instance) (a clientAsks) {
	for _, p := range set.Plugins {
		in := instance(p.ID)
		if in == nil || in.Phases == nil {
			continue
		}
		a.phases = a.phases || in.Phases.Certificate != nil
		if in.Phases.Needs.ClientCertificate {
			a.add(p, set)
		}
	}
	return a
}

func (a *clientAsks) add(p *entity.Plugin, set *entity.Set) {
	if p.Route == nil && p.Service == nil {
		a.everyone = true
		return
	}
	for _, r := range set.Routes {
		if p.Route != nil && r.ID != p.Route.ID || p.Service != nil && (r.Service == nil || r.Service.ID != p.Service.ID) {
			continue
		}
		if len(r.SNIs) == 0 {
			a.everyone = true
		}
		for _, name := range r.SNIs {
			a.names = a.names.With(name, 1)
		}
	}
}
