// SPDX-License-Identifier: Apache-2.0

package routes

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/internal/controlplane/store"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
)

// statusWriters is how many statuses are written at once.
const statusWriters = 4

// enqueue has the status of an object written if it changed: that of a unit's
// own, or of the policy that its Service names.
func (c *ControlPlane) enqueue(s store.ObjectState) {
	key, ok := subjectOf(s.Owner)
	if s.Owner.Kind == fragment.OwnerBackend {
		key, ok = policyOf(s.Object)
	}
	if ok {
		c.statuses.Add(key)
	}
}

func (c *ControlPlane) enqueueObject(r fragment.ObjectRef) {
	c.statuses.Add(store.Key{Kind: store.Kind(r.Kind), Namespace: r.Namespace, Name: r.Name})
}

// writeStatus brings the status of one object up to date.
func (c *ControlPlane) writeStatus(ctx context.Context, key store.Key) error {
	if key.Kind == store.KindUpstreamPolicy {
		return c.writePolicy(ctx, key)
	}
	kind, ok := statusKinds[key.Kind]
	if !ok {
		return nil
	}
	verdict, waiting := c.judge(key)
	if waiting {
		return errNotPublished
	}
	object := kind.object()
	name := types.NamespacedName{Namespace: key.Namespace, Name: key.Name}
	if err := c.config.Cache.Get(ctx, name, object); err != nil {
		return gone(err)
	}
	if verdict == nil {
		return c.withdraw(ctx, kind, object)
	}
	if object.GetUID() != verdict.uid {
		return nil
	}
	status, err := kind.status(object, verdict)
	if status == nil || err != nil {
		return err
	}
	return c.apply(ctx, kind, object, status)
}

// errNotPublished puts off the decision whether an object is anybody's.
var errNotPublished = errors.New("a gateway is not published yet")

// gone leaves out the errors of an object, or its whole kind, that is deleted.
func gone(err error) error {
	var unwatched *cache.ErrResourceNotCached
	if apimeta.IsNoMatchError(err) || errors.As(err, &unwatched) {
		return nil
	}
	return client.IgnoreNotFound(err)
}

// status returns what is to be written, nil when it is there already.
func (k statusKind) status(o client.Object, v *verdict) (map[string]any, error) {
	if k.addresses != nil {
		if !v.used || !v.applied || len(v.addresses) == 0 || sameAddresses(k.addresses(o), v.addresses) {
			return nil, nil
		}
		return addressStatus(v.addresses), nil
	}
	condition, changed := merge(k.conditions(o), v.condition(o.GetGeneration()), metav1.Now())
	if !changed {
		return nil, nil
	}
	return conditionStatus(condition)
}

// withdraw takes back what we said of an object that no gateway has to do with
// any more: addresses, or that it is programmed.
func (c *ControlPlane) withdraw(ctx context.Context, kind statusKind, o client.Object) error {
	status := map[string]any{}
	if kind.addresses != nil {
		if len(kind.addresses(o)) == 0 {
			return nil
		}
	} else {
		want := pending(o.GetGeneration())
		old := apimeta.FindStatusCondition(kind.conditions(o), want.Type)
		if old == nil || old.Status == metav1.ConditionUnknown || old.Reason == want.Reason {
			return nil
		}
		condition, _ := transition(*old, want, metav1.Now())
		var err error
		if status, err = conditionStatus(condition); err != nil {
			return err
		}
	}
	// The cache does not hold who wrote it.
	live := kind.object()
	if err := c.config.Reader.Get(ctx, client.ObjectKeyFromObject(o), live); err != nil {
		return gone(err)
	}
	ours := func(e metav1.ManagedFieldsEntry) bool { return e.Manager == FieldOwner && e.Subresource == "status" }
	if live.GetUID() != o.GetUID() || !slices.ContainsFunc(live.GetManagedFields(), ours) {
		return nil
	}
	return c.apply(ctx, kind, o, status)
}

// apply writes our part of a status. A condition that another controller owns
// is left alone; the addresses of a route of our class are ours.
func (c *ControlPlane) apply(ctx context.Context, kind statusKind, o client.Object, status map[string]any) error {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(kind.gvk)
	u.SetNamespace(o.GetNamespace())
	u.SetName(o.GetName())
	u.SetUID(o.GetUID())
	u.Object["status"] = status
	options := []client.SubResourceApplyOption{client.FieldOwner(FieldOwner)}
	if kind.addresses != nil {
		options = append(options, client.ForceOwnership)
	}
	err := c.config.Writer.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(u), options...)
	switch {
	case gone(err) == nil:
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

func conditionStatus(c metav1.Condition) (map[string]any, error) {
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&c)
	if err != nil {
		return nil, err
	}
	return map[string]any{"conditions": []any{m}}, nil
}
