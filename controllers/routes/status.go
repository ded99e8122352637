// SPDX-License-Identifier: Apache-2.0

package routes

import (
	"context"
	"errors"
	"fmt"
	"slices"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	kongv1beta1 "github.com/kong/kubernetes-configuration/api/configuration/v1beta1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/internal/controlplane/store"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
)

// statusWriters is how many statuses are written at once.
const statusWriters = 4

// statusKind is a kind whose status this package writes.
type statusKind struct {
	kind   store.Kind
	gvk    schema.GroupVersionKind
	object func() client.Object
	// conditions returns the conditions of an object, nil for Ingresses, which
	// have none.
	conditions func(client.Object) []metav1.Condition
}

var statusKinds = []statusKind{
	{store.KindIngress, networkingv1.SchemeGroupVersion.WithKind("Ingress"), func() client.Object { return &networkingv1.Ingress{} }, nil},
	{
		store.KindKongPlugin, kongv1.SchemeGroupVersion.WithKind("KongPlugin"), func() client.Object { return &kongv1.KongPlugin{} },
		func(o client.Object) []metav1.Condition { return o.(*kongv1.KongPlugin).Status.Conditions },
	},
	{
		store.KindKongClusterPlugin, kongv1.SchemeGroupVersion.WithKind("KongClusterPlugin"), func() client.Object { return &kongv1.KongClusterPlugin{} },
		func(o client.Object) []metav1.Condition { return o.(*kongv1.KongClusterPlugin).Status.Conditions },
	},
	{
		store.KindKongConsumer, kongv1.SchemeGroupVersion.WithKind("KongConsumer"), func() client.Object { return &kongv1.KongConsumer{} },
		func(o client.Object) []metav1.Condition { return o.(*kongv1.KongConsumer).Status.Conditions },
	},
	{
		store.KindKongConsumerGroup, kongv1beta1.SchemeGroupVersion.WithKind("KongConsumerGroup"), func() client.Object { return &kongv1beta1.KongConsumerGroup{} },
		func(o client.Object) []metav1.Condition { return o.(*kongv1beta1.KongConsumerGroup).Status.Conditions },
	},
}

// ownerOf returns the unit that an object's status is made from.
func ownerOf(key store.Key) fragment.Owner {
	owner := fragment.Owner{Kind: fragment.OwnerPlugin, Namespace: key.Namespace, Name: key.Name}
	switch key.Kind {
	case store.KindIngress:
		owner.Kind = fragment.OwnerIngress
	case store.KindKongConsumer:
		owner.Kind = fragment.OwnerConsumer
	case store.KindKongConsumerGroup:
		owner.Kind = fragment.OwnerConsumerGroup
	}
	return owner
}

// enqueue has the status of a unit's object written if it changed.
func (c *ControlPlane) enqueue(o fragment.Owner) {
	key := store.Key{Namespace: o.Namespace, Name: o.Name}
	switch o.Kind {
	case fragment.OwnerIngress:
		key.Kind = store.KindIngress
	case fragment.OwnerConsumer:
		key.Kind = store.KindKongConsumer
	case fragment.OwnerConsumerGroup:
		key.Kind = store.KindKongConsumerGroup
	case fragment.OwnerPlugin:
		key.Kind = store.KindKongPlugin
		if o.Namespace == "" {
			key.Kind = store.KindKongClusterPlugin
		}
	default:
		return
	}
	c.statuses.Add(key)
}

func (c *ControlPlane) enqueueObject(r fragment.ObjectRef) {
	c.statuses.Add(store.Key{Kind: store.Kind(r.Kind), Namespace: r.Namespace, Name: r.Name})
}

// writeStatus brings the status of one object up to date.
func (c *ControlPlane) writeStatus(ctx context.Context, key store.Key) error {
	i := slices.IndexFunc(statusKinds, func(k statusKind) bool { return k.kind == key.Kind })
	if i < 0 {
		return nil
	}
	kind := statusKinds[i]
	verdict, waiting := c.judge(key)
	switch {
	case waiting && kind.conditions != nil:
		return nil // it comes again when proxies acknowledge
	case waiting:
		return errNotPublished
	}
	if verdict == nil {
		return c.withdraw(ctx, kind, key)
	}
	object := kind.object()
	err := c.config.Cache.Get(ctx, types.NamespacedName{Namespace: key.Namespace, Name: key.Name}, object)
	if err != nil || object.GetUID() != verdict.uid {
		return client.IgnoreNotFound(err)
	}
	var status map[string]any
	if kind.conditions == nil {
		ing, ok := object.(*networkingv1.Ingress)
		if !ok || !verdict.used || !verdict.applied || len(verdict.addresses) == 0 || sameAddresses(ing.Status.LoadBalancer.Ingress, verdict.addresses) {
			return nil
		}
		status = addressStatus(verdict.addresses)
	} else {
		condition, changed := merge(kind.conditions(object), verdict.condition(object.GetGeneration()), metav1.Now())
		if !changed {
			return nil
		}
		if status, err = conditionStatus(condition); err != nil {
			return err
		}
	}
	return c.apply(ctx, kind, object, status)
}

// errNotPublished puts off the decision whether an Ingress is anybody's.
var errNotPublished = errors.New("a gateway is not published yet")

// withdraw takes our addresses off an Ingress that no gateway has to do with any
// more. A condition says of which generation it is, and stays.
func (c *ControlPlane) withdraw(ctx context.Context, kind statusKind, key store.Key) error {
	if kind.conditions != nil {
		return nil
	}
	object, name := &networkingv1.Ingress{}, types.NamespacedName{Namespace: key.Namespace, Name: key.Name}
	if err := c.config.Cache.Get(ctx, name, object); err != nil || len(object.Status.LoadBalancer.Ingress) == 0 {
		return client.IgnoreNotFound(err)
	}
	// The cache does not hold who wrote them.
	if err := c.config.Reader.Get(ctx, name, object); err != nil {
		return client.IgnoreNotFound(err)
	}
	ours := func(e metav1.ManagedFieldsEntry) bool { return e.Manager == FieldOwner && e.Subresource == "status" }
	if !slices.ContainsFunc(object.GetManagedFields(), ours) {
		return nil
	}
	return c.apply(ctx, kind, object, map[string]any{})
}

// apply writes our part of a status. A condition that another controller owns
// is left alone; the addresses of an Ingress of our class are ours.
func (c *ControlPlane) apply(ctx context.Context, kind statusKind, o client.Object, status map[string]any) error {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(kind.gvk)
	u.SetNamespace(o.GetNamespace())
	u.SetName(o.GetName())
	u.SetUID(o.GetUID())
	u.Object["status"] = status
	options := []client.SubResourceApplyOption{client.FieldOwner(FieldOwner)}
	if kind.kind == store.KindIngress {
		options = append(options, client.ForceOwnership)
	}
	err := c.config.Writer.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(u), options...)
	switch {
	case err == nil || apierrors.IsNotFound(err):
		return nil
	case apierrors.IsConflict(err):
		c.log.Info("The status belongs to another controller and is left alone",
			"object", fmt.Sprintf("%s %s/%s", kind.gvk.Kind, o.GetNamespace(), o.GetName()), "detail", err.Error())
		return nil
	}
	c.log.Error("Writing a status failed; it is tried again",
		"object", fmt.Sprintf("%s %s/%s", kind.gvk.Kind, o.GetNamespace(), o.GetName()), "error", err)
	return err
}

func addressStatus(list []networkingv1.IngressLoadBalancerIngress) map[string]any {
	out := make([]any, 0, len(list))
	for _, a := range list {
		entry := map[string]any{}
		if a.IP != "" {
			entry["ip"] = a.IP
		}
		if a.Hostname != "" {
			entry["hostname"] = a.Hostname
		}
		out = append(out, entry)
	}
	return map[string]any{"loadBalancer": map[string]any{"ingress": out}}
}

func conditionStatus(c metav1.Condition) (map[string]any, error) {
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&c)
	if err != nil {
		return nil, err
	}
	return map[string]any{"conditions": []any{m}}, nil
}

// sameAddresses compares what we write; ports are not ours.
func sameAddresses(a, b []networkingv1.IngressLoadBalancerIngress) bool {
	return slices.EqualFunc(a, b, func(a, b networkingv1.IngressLoadBalancerIngress) bool {
		return a.IP == b.IP && a.Hostname == b.Hostname
	})
}

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
		v.used = v.used && s.Used
		v.applied = v.applied && g.applied(s)
		v.lastGood = v.lastGood || s.LastGood
		v.addresses = append(v.addresses, g.spec.Addresses...)
		v.problems = append(v.problems, s.Problems...)
		for _, p := range g.rejected {
			if p.Object.Kind == string(key.Kind) && p.Object.Namespace == key.Namespace && p.Object.Name == key.Name {
				v.problems = append(v.problems, p)
			}
		}
	}
	return v, v == nil && waiting
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
		c.Status, c.Reason = metav1.ConditionFalse, string(kongv1.ReasonPending)
		c.Message = "Object is pending configuration in Kong."
	}
	return c
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
	want.LastTransitionTime = old.LastTransitionTime
	if old.Status != want.Status {
		want.LastTransitionTime = at
	}
	return want, *old != want
}
