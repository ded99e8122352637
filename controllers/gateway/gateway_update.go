// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/internal/operator/apply"
	"github.com/kong/kong-istio-gateway/internal/operator/render"
)

// outcome is what became of a plan's objects.
type outcome struct {
	refused, failed []string
	contested       []apply.Contested
	// scopeWritten says that the egress scope of the plan is in force in the API server.
	scopeWritten bool
	// held says why the Deployment was not written.
	held       string
	deployment *unstructured.Unstructured
}

// execute writes the plan's objects in their order and deletes those that are no longer wanted. A paused gateway writes
// nothing. An object that fails does not stop the others, except that pods are not written before their egress scope.
func (r *Reconciler) execute(ctx context.Context, gw *v1alpha1.KongIstioGateway, o *observed, p plan) (outcome, error) {
	out := outcome{}
	if p.failed != "" {
		out.failed = append(out.failed, p.failed)
	}
	if gw.Spec.Paused || len(p.objects) == 0 {
		return out, nil
	}
	if err := r.ensureFinalizer(ctx, gw); err != nil {
		return out, err
	}
	if p.replaceClass != nil {
		if _, err := r.delete(ctx, gw, types.UID(p.replaceClass.Labels[render.LabelGatewayUID]), p.replaceClass); err != nil {
			return out, err
		}
	}
	out.scopeWritten = true
	var errs []error
	for _, obj := range p.objects {
		if obj.GetKind() == "Deployment" {
			if out.held = holdsPods(p); out.held != "" || !out.scopeWritten {
				continue
			}
		}
		if err := r.applyOne(ctx, gw, obj, &out); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 || len(out.refused) > 0 {
		return out, errors.Join(errs...)
	}
	if out.scopeWritten {
		r.Routes.SetEgress(client.ObjectKeyFromObject(gw), r.egressHashes(o, p))
	}
	return out, r.prune(ctx, gw, o.served, p.objects)
}

// holdsPods says why no pod may be started now: one that Istio does not inject would take the place of one that is in
// the mesh, and fail against every STRICT backend.
func holdsPods(p plan) string {
	if p.resolution.Mode != v1alpha1.MeshSidecar || p.resolution.Reason == "" {
		return ""
	}
	return "pods are neither started nor replaced while Istio would not inject them: " + p.resolution.Message
}

// egressHashes are empty where no egress scope is kept: connections then live as long as they like.
func (r *Reconciler) egressHashes(o *observed, p plan) map[string]string {
	if !managesScope(o, p) {
		return nil
	}
	return p.egress.Hashes
}

// managesScope reports whether the gateway has an egress scope of ours.
func managesScope(o *observed, p plan) bool {
	return p.spec != nil && p.resolution.Mode == v1alpha1.MeshSidecar && p.spec.Mesh.EgressScope.Mode == v1alpha1.Managed && o.served.Sidecar
}

// ownSidecar is the content of the gateway's Sidecar object, nil when there is none.
func ownSidecar(o *observed) map[string]any {
	for i := range o.sidecars {
		if o.sidecars[i].GetLabels()[render.LabelGatewayUID] == string(o.gateway.UID) {
			return o.sidecars[i].Object
		}
	}
	return nil
}

func (r *Reconciler) applyOne(ctx context.Context, gw *v1alpha1.KongIstioGateway, obj render.Object, out *outcome) error {
	name := describe(obj.Unstructured)
	result, err := r.Engine.Apply(ctx, apply.Want{Rendered: obj.Unstructured, Gateway: gw.UID, Shared: obj.Shared})
	if obj.GetKind() == "Sidecar" && (err != nil || result.Operation == apply.Refused || result.Operation == apply.Waiting) {
		out.scopeWritten = false
	}
	if err != nil {
		out.failed = append(out.failed, stable(err))
		childOperations.WithLabelValues(obj.GetKind(), "failed").Inc()
		return err
	}
	if obj.GetKind() == "Deployment" {
		out.deployment = result.Live
	}
	out.contested = append(out.contested, result.Contested...)
	logger := log.FromContext(ctx).WithValues("object", map[string]string{"kind": obj.GetKind(), "namespace": obj.GetNamespace(), "name": obj.GetName()})
	switch result.Operation {
	case apply.Created:
		logger.Info("Created child object")
		r.normal(gw, "Created", "Apply", "created %s", name)
	case apply.Patched:
		logger.Info("Changed child object", "fields", result.Fields)
		r.normal(gw, "Changed", "Apply", "changed %s: %s", name, listed(result.Fields))
	case apply.Refused:
		out.refused = append(out.refused, result.Problem)
	case apply.Unchanged, apply.Waiting:
		return nil
	}
	childOperations.WithLabelValues(obj.GetKind(), strings.ToLower(string(result.Operation))).Inc()
	return nil
}

// inventory are the kinds a gateway may have children of, apart from Istio's.
func inventory() []client.ObjectList {
	return []client.ObjectList{
		&appsv1.DeploymentList{}, &corev1.ServiceList{}, &policyv1.PodDisruptionBudgetList{}, &corev1.ServiceAccountList{},
		&corev1.ConfigMapList{}, &networkingv1.IngressClassList{}, &appsv1.ControllerRevisionList{},
	}
}

// children lists, from the cache, all live objects that carry the gateway's inventory label.
func (r *Reconciler) children(ctx context.Context, gw *v1alpha1.KongIstioGateway, served render.IstioKinds) ([]client.Object, error) {
	lists := inventory()
	for _, k := range kindsOf(served) {
		l := &unstructured.UnstructuredList{}
		l.SetGroupVersionKind(k.gvk)
		lists = append(lists, l)
	}
	var out []client.Object
	for _, l := range lists {
		opts := []client.ListOption{ofGateway(gw), client.InNamespace(gw.Namespace)}
		switch l.(type) {
		case *networkingv1.IngressClassList:
			opts = opts[:1]
		case *unstructured.UnstructuredList:
			// Informers that come and go have no index; a namespace holds few of these.
			opts[0] = client.MatchingLabels{render.LabelGatewayUID: string(gw.UID)}
		}
		if err := r.Client.List(ctx, l, opts...); err != nil {
			if apply.IsMissingKind(err) {
				continue
			}
			return nil, fmt.Errorf("listing %T: %w", l, err)
		}
		items, err := meta.ExtractList(l)
		if err != nil {
			return nil, err
		}
		for _, item := range items {
			if obj, ok := item.(client.Object); ok {
				out = append(out, obj)
			}
		}
	}
	return out, nil
}

// prune deletes the gateway's objects that the plan no longer holds, and gives up claims on other classes. served are
// the kinds that the plan was made for: objects of a kind that appeared since are none of its business.
func (r *Reconciler) prune(ctx context.Context, gw *v1alpha1.KongIstioGateway, served render.IstioKinds, wanted []render.Object) error {
	keep := map[string]bool{}
	for _, w := range wanted {
		keep[w.GetKind()+"/"+w.GetName()] = true
	}
	existing, err := r.children(ctx, gw, served)
	if err != nil {
		return err
	}
	for _, obj := range existing {
		if keep[r.kindOf(obj)+"/"+obj.GetName()] {
			continue
		}
		if _, err := r.delete(ctx, gw, gw.UID, obj); err != nil {
			return err
		}
	}
	if err := r.releaseClasses(ctx, gw, keep); err != nil {
		return err
	}
	if keep["Namespace/"+gw.Namespace] {
		return nil
	}
	return r.releaseNamespace(ctx, gw)
}

func (r *Reconciler) kindOf(obj client.Object) string {
	gvk, err := r.Client.GroupVersionKindFor(obj)
	if err != nil {
		return obj.GetObjectKind().GroupVersionKind().Kind
	}
	return gvk.Kind
}

func (r *Reconciler) delete(ctx context.Context, gw *v1alpha1.KongIstioGateway, owner types.UID, obj client.Object) (bool, error) {
	kind := r.kindOf(obj)
	log.FromContext(ctx).V(1).Info("Deleting child object if it is ours", "object", map[string]string{"kind": kind, "namespace": obj.GetNamespace(), "name": obj.GetName()})
	deleted, err := r.Engine.Delete(ctx, owner, obj)
	if err != nil {
		return false, fmt.Errorf("deleting %s %s: %w", kind, obj.GetName(), err)
	}
	if deleted {
		log.FromContext(ctx).Info("Deleted child object", "object", map[string]string{"kind": kind, "namespace": obj.GetNamespace(), "name": obj.GetName()})
		r.normal(gw, "Deleted", "Prune", "deleted %s %s", kind, obj.GetName())
		childOperations.WithLabelValues(kind, "deleted").Inc()
	}
	return deleted, nil
}

// releaseClasses gives up the claim on IngressClasses that others made and that this gateway no longer serves.
func (r *Reconciler) releaseClasses(ctx context.Context, gw *v1alpha1.KongIstioGateway, keep map[string]bool) error {
	classes := networkingv1.IngressClassList{}
	if err := r.Client.List(ctx, &classes); err != nil {
		return fmt.Errorf("listing IngressClasses: %w", err)
	}
	for i := range classes.Items {
		c := &classes.Items[i]
		if c.Annotations[render.AnnotationOwnerUID] != string(gw.UID) || c.Labels[render.LabelGatewayUID] != "" || keep["IngressClass/"+c.Name] {
			continue
		}
		c.SetGroupVersionKind(networkingv1.SchemeGroupVersion.WithKind("IngressClass"))
		if err := r.release(ctx, gw, c); err != nil {
			return err
		}
	}
	return nil
}

// releaseNamespace takes our injection label off the namespace once no gateway in it wants it.
func (r *Reconciler) releaseNamespace(ctx context.Context, gw *v1alpha1.KongIstioGateway) error {
	ns := &corev1.Namespace{}
	if err := r.Client.Get(ctx, types.NamespacedName{Name: gw.Namespace}, ns); err != nil {
		return client.IgnoreNotFound(err)
	}
	if !apply.AppliedByUs(ns.ManagedFields) {
		return nil
	}
	others := v1alpha1.KongIstioGatewayList{}
	if err := r.Client.List(ctx, &others, client.InNamespace(gw.Namespace)); err != nil {
		return fmt.Errorf("listing KongIstioGateways in %s: %w", gw.Namespace, err)
	}
	for _, other := range others.Items {
		if other.UID != gw.UID && other.DeletionTimestamp == nil && other.Spec.Mesh.NamespaceInjection.Mode == v1alpha1.Managed {
			return nil
		}
	}
	ns.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	return r.release(ctx, gw, ns)
}

func (r *Reconciler) release(ctx context.Context, gw *v1alpha1.KongIstioGateway, obj client.Object) error {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(obj.GetObjectKind().GroupVersionKind())
	u.SetName(obj.GetName())
	u.SetUID(obj.GetUID())
	if err := r.Engine.Release(ctx, u); err != nil {
		return fmt.Errorf("releasing %s %s: %w", u.GetKind(), u.GetName(), err)
	}
	r.normal(gw, "Released", "Prune", "gave up our fields on %s %s", u.GetKind(), u.GetName())
	return nil
}

// stopPods deletes the Deployments and reports whether pods are left.
func (r *Reconciler) stopPods(ctx context.Context, gw *v1alpha1.KongIstioGateway) (bool, error) {
	deployments := appsv1.DeploymentList{}
	if err := r.Client.List(ctx, &deployments, client.InNamespace(gw.Namespace), ofGateway(gw)); err != nil {
		return false, fmt.Errorf("listing Deployments: %w", err)
	}
	for i := range deployments.Items {
		if _, err := r.delete(ctx, gw, gw.UID, &deployments.Items[i]); err != nil {
			return false, err
		}
	}
	pods := corev1.PodList{}
	if err := r.Client.List(ctx, &pods, client.InNamespace(gw.Namespace), ofGateway(gw)); err != nil {
		return false, fmt.Errorf("listing Pods: %w", err)
	}
	return len(pods.Items) > 0, nil
}

// cleanUp deletes the rest of a deleted gateway's objects.
func (r *Reconciler) cleanUp(ctx context.Context, gw *v1alpha1.KongIstioGateway) error {
	return r.prune(ctx, gw, r.Kinds.Served(), nil)
}

// stable is an error text that is the same each time, so that a condition holding it does not change for ever.
func stable(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) && apierrors.IsConflict(err) {
		return "an object changed while it was written; it is tried again"
	}
	return err.Error()
}

func describe(o *unstructured.Unstructured) string {
	return fmt.Sprintf("%s %s", o.GetKind(), o.GetName())
}

// listed shortens a list of field paths for an Event.
func listed(fields []string) string {
	const shown = 8
	if len(fields) > shown {
		return fmt.Sprintf("%s and %d more", strings.Join(fields[:shown], ", "), len(fields)-shown)
	}
	return strings.Join(fields, ", ")
}
