// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"maps"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/internal/operator/mesh"
	"github.com/kong/kong-istio-gateway/internal/operator/render"
)

const (
	// indexClass finds gateways by the class that their spec names.
	indexClass = "spec.ingressClassName"
	// indexUID finds a gateway's objects by the inventory label, without looking at those of other gateways.
	indexUID = "metadata.labels.gateway-uid"
)

// concurrency is how many gateways are reconciled at once.
const concurrency = 4

// CacheByObject narrows the manager's cache to what the operator made, for kinds of which a cluster holds many others.
func CacheByObject() map[client.Object]cache.ByObject {
	ours := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{"app.kubernetes.io/managed-by": render.ManagedBy})}
	return map[client.Object]cache.ByObject{
		&appsv1.Deployment{}:                        ours,
		&appsv1.ControllerRevision{}:                ours,
		&corev1.ServiceAccount{}:                    ours,
		&corev1.ConfigMap{}:                         ours,
		&corev1.Pod{}:                               ours,
		&policyv1.PodDisruptionBudget{}:             ours,
		&corev1.Service{}:                           {Transform: stripService},
		&apiextensionsv1.CustomResourceDefinition{}: {Transform: StripDefinition},
	}
}

// stripService drops what nobody looks at of Services that the operator did not make: the backends, of which there are
// many. Of its own ones it wants to know who manages which field.
func stripService(obj any) (any, error) {
	if s, ok := obj.(*corev1.Service); ok && s.Labels["app.kubernetes.io/managed-by"] != render.ManagedBy {
		s.ManagedFields, s.Annotations = nil, nil
	}
	return obj, nil
}

// SetupWithManager registers the reconciler, its watches and its index. r.Kinds is made here.
//
// Errors: those of the manager, all of them fatal at start.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	if err := index(mgr.GetFieldIndexer()); err != nil {
		return err
	}
	r.Kinds = NewIstioKinds(mgr.GetCache(), handler.EnqueueRequestsFromMapFunc(r.inNamespaceOf))
	owned := builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})
	c, err := ctrl.NewControllerManagedBy(mgr).
		Named("kongistiogateway").
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrency, EnableWarmup: new(true)}).
		For(&v1alpha1.KongIstioGateway{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Owns(&appsv1.Deployment{}, owned).
		Owns(&appsv1.ControllerRevision{}, owned).
		Owns(&corev1.Service{}, owned).
		Owns(&corev1.ServiceAccount{}, owned).
		Owns(&corev1.ConfigMap{}, owned).
		Owns(&policyv1.PodDisruptionBudget{}, owned).
		Watches(&v1alpha1.KongIstioGateway{}, handler.EnqueueRequestsFromMapFunc(r.rivals), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&networkingv1.IngressClass{}, handler.EnqueueRequestsFromMapFunc(r.ofClass), owned).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(ofPod), builder.WithPredicates(podChanged())).
		Watches(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(r.inNamespace), builder.WithPredicates(predicate.LabelChangedPredicate{})).
		Watches(&admissionv1.MutatingWebhookConfiguration{}, handler.EnqueueRequestsFromMapFunc(r.all), builder.WithPredicates(injectorChanged())).
		WatchesRawSource(source.Channel(r.Routes.Changes(), &handler.EnqueueRequestForObject{})).
		WatchesRawSource(source.Channel(r.Fleet.Changes(), &handler.EnqueueRequestForObject{})).
		WatchesRawSource(source.Channel(r.Trust.Changes(), handler.EnqueueRequestsFromMapFunc(r.all))).
		WatchesRawSource(source.Channel(r.Kinds.changes, handler.EnqueueRequestsFromMapFunc(r.all))).
		Build(r)
	if err != nil {
		return err
	}
	r.Kinds.controller = c
	return ctrl.NewControllerManagedBy(mgr).
		Named("istio-kinds").
		For(&apiextensionsv1.CustomResourceDefinition{}, builder.WithPredicates(predicate.NewPredicateFuncs(isIstioKind))).
		Complete(r.Kinds)
}

func index(indexer client.FieldIndexer) error {
	ctx := context.Background()
	if err := indexer.IndexField(ctx, &v1alpha1.KongIstioGateway{}, indexClass, func(o client.Object) []string {
		if gw, ok := o.(*v1alpha1.KongIstioGateway); ok {
			return []string{gw.Spec.IngressClassName}
		}
		return nil
	}); err != nil {
		return err
	}
	for _, kind := range []client.Object{
		&appsv1.Deployment{}, &appsv1.ControllerRevision{}, &corev1.Service{}, &corev1.ServiceAccount{}, &corev1.ConfigMap{},
		&corev1.Pod{}, &policyv1.PodDisruptionBudget{}, &networkingv1.IngressClass{},
	} {
		if err := indexer.IndexField(ctx, kind, indexUID, func(o client.Object) []string {
			if uid := o.GetLabels()[render.LabelGatewayUID]; uid != "" {
				return []string{uid}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

func isIstioKind(o client.Object) bool {
	for _, k := range istioKinds {
		if k.crd == o.GetName() {
			return true
		}
	}
	return false
}

func request(o client.Object) ctrl.Request {
	return ctrl.Request{NamespacedName: client.ObjectKeyFromObject(o)}
}

func (r *Reconciler) requests(ctx context.Context, opts ...client.ListOption) []ctrl.Request {
	list := v1alpha1.KongIstioGatewayList{}
	if err := r.Client.List(ctx, &list, opts...); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Listing KongIstioGateways for an event")
		return nil
	}
	out := make([]ctrl.Request, 0, len(list.Items))
	for i := range list.Items {
		out = append(out, request(&list.Items[i]))
	}
	return out
}

func (r *Reconciler) all(ctx context.Context, _ client.Object) []ctrl.Request { return r.requests(ctx) }

func (r *Reconciler) inNamespace(ctx context.Context, o client.Object) []ctrl.Request {
	return r.concerned(ctx, o.GetName())
}

func (r *Reconciler) inNamespaceOf(ctx context.Context, o client.Object) []ctrl.Request {
	if o.GetObjectKind().GroupVersionKind().Kind == peerAuthenticationKind.gvk.Kind {
		return r.concerned(ctx, o.GetNamespace())
	}
	return r.requests(ctx, client.InNamespace(o.GetNamespace()))
}

// rivals are the other gateways of the same class: when one changes or goes, another may get the class.
func (r *Reconciler) rivals(ctx context.Context, o client.Object) []ctrl.Request {
	gw, ok := o.(*v1alpha1.KongIstioGateway)
	if !ok {
		return nil
	}
	var out []ctrl.Request
	for _, q := range r.requests(ctx, client.MatchingFields{indexClass: gw.Spec.IngressClassName}) {
		if q != request(o) {
			out = append(out, q)
		}
	}
	return out
}

func (r *Reconciler) ofClass(ctx context.Context, o client.Object) []ctrl.Request {
	return r.requests(ctx, client.MatchingFields{indexClass: o.GetName()})
}

func ofPod(_ context.Context, o client.Object) []ctrl.Request {
	if name := o.GetLabels()[render.LabelGateway]; name != "" {
		return []ctrl.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: name}}}
	}
	return nil
}

// podChanged passes what the status is made of, not every heartbeat of a pod.
func podChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok1 := e.ObjectOld.(*corev1.Pod)
		after, ok2 := e.ObjectNew.(*corev1.Pod)
		if !ok1 || !ok2 {
			return true
		}
		return podReady(before) != podReady(after) || before.Status.Phase != after.Status.Phase ||
			mesh.InspectPod(before) != mesh.InspectPod(after) || !maps.Equal(before.Labels, after.Labels) ||
			(before.DeletionTimestamp == nil) != (after.DeletionTimestamp == nil)
	}}
}

// injectorChanged passes Istio's injectors, when their webhooks or labels change.
func injectorChanged() predicate.Predicate {
	injector := predicate.NewPredicateFuncs(func(o client.Object) bool {
		c, ok := o.(*admissionv1.MutatingWebhookConfiguration)
		return ok && mesh.IsInjector(c)
	})
	return predicate.And(injector, predicate.Or(predicate.GenerationChangedPredicate{}, predicate.LabelChangedPredicate{}))
}
