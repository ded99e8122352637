// SPDX-License-Identifier: Apache-2.0

package routes

import (
	"slices"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kong/kong-istio-gateway/internal/controlplane/store"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
)

// verdict is what all gateways together say about an object.
type verdict struct {
	uid       types.UID
	used      bool // in every gateway that has to do with it
	applied   bool // by the proxies of all of them
	lastGood  bool
	problems  []fragment.Problem
	addresses []networkingv1.IngressLoadBalancerIngress
}

// judge returns nil for objects that no gateway uses: their status is not ours.
// waiting says that a gateway may use it whose configuration is not published
// yet.
func (c *ControlPlane) judge(key store.Key) (v *verdict, waiting bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, g := range c.gateways {
		if !g.published {
			waiting = true
			continue
		}
		s := g.states[ownerOf(key)]
		if s == nil {
			continue
		}
		if v == nil {
			v = &verdict{uid: s.Object.GetUID(), used: true, applied: true}
		}
		v.add(g, s)
		v.problems = append(v.problems, g.about(key)...)
	}
	return v, v == nil && waiting
}

func (v *verdict) add(g *gatewayState, s *objectState) {
	v.used = v.used && s.Used
	v.applied = v.applied && g.applied(s)
	v.lastGood = v.lastGood || s.LastGood
	v.addresses = append(v.addresses, g.spec.Addresses...)
}

// condition returns the Programmed condition, in the words of Kong's ingress
// controller where it has any.
func (v *verdict) condition(generation int64) metav1.Condition {
	c := metav1.Condition{
		Type: string(kongv1.ConditionProgrammed), Status: metav1.ConditionTrue, ObservedGeneration: generation,
		Reason: string(kongv1.ReasonProgrammed), Message: "Object was successfully configured in Kong.",
	}
	switch {
	case len(v.problems) > 0 || !v.used:
		c.Status, c.Reason = metav1.ConditionFalse, string(kongv1.ReasonInvalid)
		c.Message = "Object failed to be configured in Kong."
		if len(v.problems) > 0 {
			slices.SortFunc(v.problems, fragment.Problem.Compare)
			c.Message = note(v.problems[0])
		}
		if v.lastGood {
			c.Message = "The last valid version goes on serving: " + c.Message
		}
	case !v.applied:
		return pending(generation)
	}
	return c
}

// pending is the condition of an object that is not part of what the proxies
// run: not yet, or not any more.
func pending(generation int64) metav1.Condition {
	return metav1.Condition{
		Type: string(kongv1.ConditionProgrammed), Status: metav1.ConditionFalse, ObservedGeneration: generation,
		Reason: string(kongv1.ReasonPending), Message: "Object is pending configuration in Kong.",
	}
}

// merge returns the condition to write, and whether it differs from what is
// there. A condition that was True stays so while a new configuration is on its
// way: it would flap on every change of anything else.
func merge(now []metav1.Condition, want metav1.Condition, at metav1.Time) (metav1.Condition, bool) {
	old := apimeta.FindStatusCondition(now, want.Type)
	if old == nil {
		want.LastTransitionTime = at
		return want, true
	}
	if want.Reason == string(kongv1.ReasonPending) && old.Status == metav1.ConditionTrue && old.ObservedGeneration == want.ObservedGeneration {
		return *old, false
	}
	return transition(*old, want, at)
}

// transition returns the condition to write in the place of another of its
// type, and whether they differ.
func transition(old, want metav1.Condition, at metav1.Time) (metav1.Condition, bool) {
	want.LastTransitionTime = old.LastTransitionTime
	if old.Status != want.Status {
		want.LastTransitionTime = at
	}
	return want, old != want
}
