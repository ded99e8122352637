// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"cmp"
	"context"
	"crypto/tls"
	"net/http"
	"slices"

	"github.com/kong/kong-istio-gateway/internal/dataplane/router"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// StreamPlan is the order in which the plugins of a stream route run. Nobody is
// authenticated on a stream, so that the instances are known beforehand. A
// StreamPlan is immutable and safe for concurrent use.
type StreamPlan struct{ instances []*Instance }

// RunsOnStream reports whether a plugin takes part in sessions: it is enabled,
// and one of its protocols, or of those that it has by default, is one of
// sessions. As in Kong, which of them it is makes no difference.
func RunsOnStream(p *entity.Plugin, schemas entity.SchemaSet) bool {
	if p.Enabled != nil && !*p.Enabled {
		return false
	}
	protocols := p.Protocols
	if len(protocols) == 0 {
		schema, _ := schemas.Plugin(p.Name)
		protocols = schema.DefaultProtocols
	}
	return slices.ContainsFunc(protocols, router.StreamProtocol)
}

// NewStreamPlan returns the plan of a route and its service, either of which
// may be nil: of each plugin name the instance whose scope is the narrowest,
// the later of two with the same one. Instances for consumers do not apply.
func NewStreamPlan(instances []*Instance, route *entity.Route, service *entity.Service) *StreamPlan {
	chosen := map[string]*Instance{}
	for _, in := range instances {
		if !in.covers(route, service) {
			continue
		}
		if old := chosen[in.Plugin.Name]; old == nil || in.narrowness() >= old.narrowness() {
			chosen[in.Plugin.Name] = in
		}
	}
	p := &StreamPlan{}
	for _, in := range chosen {
		p.instances = append(p.instances, in)
	}
	slices.SortFunc(p.instances, func(a, b *Instance) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(b.Plugin.Name, a.Plugin.Name))
	})
	return p
}

// covers reports whether the sessions of a route and its service are in the
// instance's scope.
func (in *Instance) covers(route *entity.Route, service *entity.Service) bool {
	p := in.Plugin
	return p.Consumer == nil && p.ConsumerGroup == nil &&
		(p.Route == nil || route != nil && p.Route.ID == route.ID) &&
		(p.Service == nil || service != nil && p.Service.ID == service.ID)
}

// narrowness orders the scopes that covers lets through: route and service,
// route, service, all.
func (in *Instance) narrowness() int {
	n := 0
	if in.Plugin.Service != nil {
		n++
	}
	if in.Plugin.Route != nil {
		n += 2
	}
	return n
}

// Instances returns what runs, in order. The slice is not to be changed.
func (p *StreamPlan) Instances() []*Instance { return p.instances }

// Certificate asks the instances for a certificate, nil when none of them has
// one. The plan must be that of no route: only global instances are asked.
func (p *StreamPlan) Certificate(ctx context.Context, hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	for _, in := range p.instances {
		if in.Phases.Certificate == nil {
			continue
		}
		if cert, err := in.Phases.Certificate(ctx, hello); cert != nil || err != nil {
			return cert, err
		}
	}
	return nil, nil
}

// Preread runs the preread phase until a plugin ends the session. A plugin that
// breaks ends it as well.
func (s *Session) Preread(p *StreamPlan) *Fault {
	for _, in := range p.instances {
		if in.Phases.Preread == nil {
			continue
		}
		if fault := guarded[plugin.Session](in, s, "preread", in.Phases.Preread); fault != nil {
			s.EndStatus = http.StatusInternalServerError
			return fault
		}
		if s.EndStatus != 0 {
			return nil
		}
	}
	return nil
}

// Log runs the log phase. Plugins behind one that breaks run all the same; the
// last fault is returned.
func (s *Session) Log(p *StreamPlan) (fault *Fault) {
	for _, in := range p.instances {
		if in.Phases.StreamLog == nil {
			continue
		}
		if f := guarded[plugin.Session](in, s, "log", in.Phases.StreamLog); f != nil {
			fault = f
		}
	}
	return fault
}
