// SPDX-License-Identifier: Apache-2.0

package routes

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/controlplane/store"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Reasons of problems that are not of translation.
const (
	reasonRejected     = "RejectedByProxy"
	reasonScopePending = "ScopePending"
	reasonScopeFrozen  = "ScopeFrozen"
	reasonProxyError   = "ProxyError"
)

// objectState is how an object does in one gateway.
type objectState struct {
	store.ObjectState
	// numbered is true once position is that of the configuration that holds
	// the object's current state.
	numbered bool
	position configsync.Position
	// before and after are its neighbours in the gateway's queue.
	before, after *objectState
	queued        bool
}

// queue holds the states that are not known to be applied, oldest first: their
// positions never decrease. Each is in it once, so that it does not grow while
// there are no proxies, and only what an acknowledgement is about is looked at.
type queue struct{ first, last *objectState }

func (q *queue) push(s *objectState) {
	s.before, s.queued = q.last, true
	if q.last == nil {
		q.first = s
	} else {
		q.last.after = s
	}
	q.last = s
}

func (q *queue) remove(s *objectState) {
	if !s.queued {
		return
	}
	if s.before == nil {
		q.first = s.after
	} else {
		s.before.after = s.after
	}
	if s.after == nil {
		q.last = s.before
	} else {
		s.after.before = s.before
	}
	s.before, s.after, s.queued = nil, nil, false
}

// setState takes over a state that the next publication will carry.
func (g *gatewayState) setState(s store.ObjectState) {
	if old := g.states[s.Owner]; old != nil {
		g.follow(old.ObjectState, false)
		g.awaiting.remove(old)
	}
	if s.Object == nil {
		delete(g.states, s.Owner)
		return
	}
	g.follow(s, true)
	state := &objectState{ObjectState: s}
	g.states[s.Owner] = state
	g.awaiting.push(state)
}

// follow notes which KongUpstreamPolicy a Service names.
func (g *gatewayState) follow(s store.ObjectState, follows bool) {
	policy, ok := policyOf(s.Object)
	switch {
	case !ok:
	case !follows:
		delete(g.policies[policy], s.Owner)
		if len(g.policies[policy]) == 0 {
			delete(g.policies, policy)
		}
	case g.policies[policy] == nil:
		g.policies[policy] = map[fragment.Owner]struct{}{s.Owner: {}}
	default:
		g.policies[policy][s.Owner] = struct{}{}
	}
}

// number notes that everything taken over is part of the configuration at
// position.
func (g *gatewayState) number(position configsync.Position) {
	for s := g.awaiting.last; s != nil && !s.numbered; s = s.before {
		s.numbered, s.position = true, position
	}
}

// applied reports whether all proxies have what the state says.
func (g *gatewayState) applied(s *objectState) bool {
	return s.numbered && g.acked != (configsync.Position{}) && s.position.Compare(g.acked) <= 0
}

// FleetChanged tells that what proxies acknowledge or reject may have changed.
func (c *ControlPlane) FleetChanged(ctx context.Context, key types.NamespacedName) {
	if c.fleetChanged(key) {
		c.changed(ctx, key)
	}
}

func (c *ControlPlane) fleetChanged(key types.NamespacedName) (factsChanged bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.gateways[key]
	if g == nil || !g.opened {
		return false
	}
	before := g.fleet
	g.fleet = c.config.Publisher.Fleet(key)
	g.acked = g.fleet.Acknowledged
	for s := g.awaiting.first; s != nil && g.applied(s); s = g.awaiting.first {
		g.awaiting.remove(s)
		c.enqueue(s.ObjectState)
	}
	factsChanged = c.report(g, source{name: reasonRejected}, c.blame(g))
	if !slices.Equal(before.ScopePending, g.fleet.ScopePending) {
		factsChanged = c.report(g, source{name: reasonScopePending}, g.scopeProblems()) || factsChanged
	}
	if !slices.Equal(before.Errors, g.fleet.Errors) {
		factsChanged = c.report(g, source{name: reasonProxyError}, g.fleetErrors()) || factsChanged
	}
	if factsChanged {
		c.tell()
	}
	return factsChanged
}

// scopeProblems are the backends that the egress scope does not cover, or not
// yet. The text says nothing that changes while the problem lasts.
func (g *gatewayState) scopeProblems() []fragment.Problem {
	var out []fragment.Problem
	for _, b := range g.summary.Backends {
		problem := fragment.Problem{
			Object: fragment.ObjectRef{Version: "v1", Kind: "Service", Namespace: b.Namespace, Name: b.Service},
			Field:  "spec.ports",
		}
		for _, address := range b.Addresses {
			_, pending := slices.BinarySearch(g.fleet.ScopePending, address)
			switch {
			case b.ClusterIP != "" && b.Protocol != string(entity.ProtocolUDP) && g.held(address):
				problem.Reason = reasonScopeFrozen
				problem.Message = fmt.Sprintf("new routes to port %d are held back: the gateway is paused and its egress scope (its Sidecar object) does not cover the port", b.Port)
				problem.Fix = "unset spec.paused of KongIstioGateway " + g.spec.Key.String()
			case pending:
				problem.Reason = reasonScopePending
				problem.Message = fmt.Sprintf("proxies use %s although their sidecars show no listener for it: requests may leave the mesh", address)
				problem.Fix = "see whether istiod pushes to the gateway's pods (istioctl proxy-status) and whether they select another Sidecar object"
			default:
				continue
			}
			out = append(out, problem)
		}
	}
	return out
}

// fleetErrors are the troubles that proxies report.
func (g *gatewayState) fleetErrors() []fragment.Problem {
	var out []fragment.Problem
	for _, text := range g.fleet.Errors {
		out = append(out, fragment.Problem{
			Object: fragment.ObjectRef{
				Group: v1alpha1.GroupVersion.Group, Version: v1alpha1.GroupVersion.Version, Kind: v1alpha1.Kind,
				Namespace: g.spec.Key.Namespace, Name: g.spec.Key.Name, UID: g.spec.UID,
			},
			Reason: reasonProxyError, Message: "a proxy reports: " + text, Fix: "see the log of the gateway's pods",
		})
	}
	return out
}

// blame finds the objects that rejected entities were made from.
func (c *ControlPlane) blame(g *gatewayState) []fragment.Problem {
	var problems []fragment.Problem
	for _, r := range g.fleet.Rejected {
		object, ok := c.madeFrom(g, r.Key)
		if !ok {
			continue
		}
		name := cmp.Or(r.Name, string(r.Key.ID))
		problems = append(problems, fragment.Problem{
			Object: object, Field: r.Field, Reason: reasonRejected,
			Message: fmt.Sprintf("proxies cannot run the %s %q made from it: %s", r.Key.Kind, name, r.Reason),
			Fix:     "correct the field, or update the gateway's proxies",
		})
	}
	return problems
}

// madeFrom returns the object that an entity of the gateway's configuration was
// made from: by its tags, else that of its unit. ok is false when the entity is
// gone.
func (c *ControlPlane) madeFrom(g *gatewayState, key entity.Key) (object fragment.ObjectRef, ok bool) {
	owner, ok := c.config.Publisher.Owner(g.spec.Key, key)
	if !ok {
		return object, false
	}
	for _, e := range g.fragments[owner].Entities {
		if entity.KeyOf(e) == key {
			if object, ok = fragment.ObjectOf(entity.Tags(e)); ok {
				return object, true
			}
		}
	}
	subject, ok := subjectOf(owner)
	state := g.states[owner]
	if !ok || state == nil {
		return object, false
	}
	gvk := statusKinds[subject.Kind].gvk
	return fragment.RefOf(gvk.Group, gvk.Version, gvk.Kind, state.Object), true
}
