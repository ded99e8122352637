// SPDX-License-Identifier: Apache-2.0

package routes

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	kongv1beta1 "github.com/kong/kubernetes-configuration/api/configuration/v1beta1"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/store"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
)

// maxAncestors is how many ancestors Gateway API lets a policy have.
const maxAncestors = 16

// policyOf returns the KongUpstreamPolicy that a Service names.
func policyOf(o client.Object) (key store.Key, ok bool) {
	service, ok := o.(*corev1.Service)
	if !ok {
		return store.Key{}, false
	}
	name := strings.TrimSpace(service.Annotations[fragment.AnnotationUpstreamPolicy])
	return store.Key{Kind: store.KindUpstreamPolicy, Namespace: service.Namespace, Name: name}, name != ""
}

// follower is a Service that a policy applies to.
type follower struct {
	service *corev1.Service
	verdict
}

// followers returns the Services that gateways use and that name a policy, the
// oldest first.
func (c *ControlPlane) followers(policy store.Key) (list []*follower, waiting bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	byUID := make(map[types.UID]*follower)
	for _, g := range c.gateways {
		waiting = waiting || !g.published
		for owner := range g.policies[policy] {
			s := g.states[owner]
			service := s.Object.(*corev1.Service)
			f := byUID[service.UID]
			if f == nil {
				f = &follower{service: service, verdict: verdict{used: true, applied: true}}
				byUID[service.UID] = f
				list = append(list, f)
			}
			f.add(g, s)
			f.problems = append(f.problems, s.Problems...)
			f.problems = append(f.problems, g.about(store.Key{Kind: store.KindService, Namespace: service.Namespace, Name: service.Name})...)
		}
	}
	slices.SortFunc(list, func(a, b *follower) int {
		return cmp.Or(a.service.CreationTimestamp.Compare(b.service.CreationTimestamp.Time), cmp.Compare(a.service.Name, b.service.Name))
	})
	return list, waiting
}

// writePolicy brings the ancestors of a KongUpstreamPolicy up to date: one for
// each Service that it applies to, as Kong's ingress controller has it. The list
// is one value for the API server, so it is written whole, and only on top of
// the version that was read; ancestors of other controllers stay as they are.
func (c *ControlPlane) writePolicy(ctx context.Context, key store.Key) error {
	followers, waiting := c.followers(key)
	if waiting {
		return errNotPublished
	}
	cached := &kongv1beta1.KongUpstreamPolicy{}
	if err := c.config.Cache.Get(ctx, types.NamespacedName{Namespace: key.Namespace, Name: key.Name}, cached); err != nil {
		return gone(err)
	}
	want := ancestors(cached, followers, metav1.Now())
	if reflect.DeepEqual(want, cached.Status.Ancestors) || len(want)+len(cached.Status.Ancestors) == 0 {
		return nil
	}
	policy := cached.DeepCopy()
	base := policy.DeepCopy()
	policy.Status.Ancestors = want
	err := c.config.Writer.Status().Patch(ctx, policy, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}), client.FieldOwner(FieldOwner))
	if gone(err) != nil {
		return fmt.Errorf("write the status of %s %s/%s: %w", key.Kind, key.Namespace, key.Name, err)
	}
	return nil
}

// ancestors returns the ancestors that a policy is to have. When there is no
// room for all, the newest of ours are left out.
func ancestors(policy *kongv1beta1.KongUpstreamPolicy, followers []*follower, at metav1.Time) []gatewayv1.PolicyAncestorStatus {
	var out, old []gatewayv1.PolicyAncestorStatus
	for _, a := range policy.Status.Ancestors {
		if a.ControllerName == fragment.Controller {
			old = append(old, a)
		} else {
			out = append(out, a)
		}
	}
	for _, f := range followers {
		if len(out) >= maxAncestors {
			break
		}
		a := gatewayv1.PolicyAncestorStatus{AncestorRef: ancestorRef(f.service), ControllerName: fragment.Controller}
		var conditions []metav1.Condition
		if i := slices.IndexFunc(old, func(o gatewayv1.PolicyAncestorStatus) bool {
			return reflect.DeepEqual(o.AncestorRef, a.AncestorRef)
		}); i >= 0 {
			conditions = old[i].Conditions
		}
		for _, condition := range f.conditions(policy.Generation) {
			condition, _ = merge(conditions, condition, at)
			apimeta.SetStatusCondition(&a.Conditions, condition)
		}
		out = append(out, a)
	}
	return out
}

// ancestorRef names a Service with the group that Kong's ingress controller
// writes.
func ancestorRef(s *corev1.Service) gatewayv1.ParentReference {
	group, kind, namespace := gatewayv1.Group("core"), gatewayv1.Kind("Service"), gatewayv1.Namespace(s.Namespace)
	return gatewayv1.ParentReference{Group: &group, Kind: &kind, Namespace: &namespace, Name: gatewayv1.ObjectName(s.Name)}
}

// conditions returns Accepted and Programmed.
func (f *follower) conditions(generation int64) []metav1.Condition {
	accepted := metav1.Condition{
		Type: string(gatewayv1.PolicyConditionAccepted), Status: metav1.ConditionTrue, ObservedGeneration: generation,
		Reason: string(gatewayv1.PolicyReasonAccepted), Message: "The policy applies to the Service.",
	}
	programmed := metav1.Condition{
		Type: string(kongv1.ConditionProgrammed), Status: metav1.ConditionTrue, ObservedGeneration: generation,
		Reason: string(kongv1.ReasonProgrammed), Message: "The Service was successfully configured in Kong.",
	}
	unprogrammed := func(reason, message string) {
		programmed.Status, programmed.Reason, programmed.Message = metav1.ConditionFalse, reason, message
	}
	if !f.applied || !f.used {
		unprogrammed(string(kongv1.ReasonPending), "The Service is pending configuration in Kong.")
	}
	slices.SortFunc(f.problems, fragment.Problem.Compare)
	for _, p := range f.problems {
		switch {
		case p.Reason == fragment.ReasonDelegatedToMesh:
			unprogrammed(p.Reason, note(p))
		case p.Object.Kind == string(store.KindUpstreamPolicy):
			accepted.Status, accepted.Reason, accepted.Message = metav1.ConditionFalse, string(gatewayv1.PolicyReasonInvalid), note(p)
			unprogrammed(string(kongv1.ReasonInvalid), note(p))
		case p.Reason == reasonRejected:
			unprogrammed(string(kongv1.ReasonInvalid), note(p))
		}
	}
	return []metav1.Condition{accepted, programmed}
}
