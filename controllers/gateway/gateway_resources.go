// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/internal/operator/mesh"
	"github.com/kong/kong-istio-gateway/internal/operator/render"
)

// observed is everything that one reconcile looks at.
type observed struct {
	gateway *v1alpha1.KongIstioGateway

	// class is the IngressClass that the spec names, nil when absent; servingClass that of the last accepted spec.
	class, servingClass                  *networkingv1.IngressClass
	classOwnerExists, servingOwnerExists bool
	// claimants are all gateways whose spec names the class, this one included.
	claimants []v1alpha1.KongIstioGateway
	// revisions are the records of accepted specs.
	revisions []appsv1.ControllerRevision

	namespaceLabels map[string]string
	injectors       []admissionv1.MutatingWebhookConfiguration
	served          render.IstioKinds

	deployment *appsv1.Deployment
	service    *corev1.Service
	account    *corev1.ServiceAccount
	pods       []corev1.Pod
	livePorts  []int32

	peerAuthentications, sidecars []unstructured.Unstructured
	outboundTrafficPolicy         map[string]any

	routes   RouteFacts
	strict   []v1alpha1.Problem // of backends that refuse a gateway outside the mesh
	fleet    FleetFacts
	caBundle string
	// streamless are ready pods that have had no stream for too long; lookAgain is when that may change, 0 for never.
	streamless []string
	lookAgain  time.Duration
}

// observe reads, from caches only, what the plan and the status need.
func (r *Reconciler) observe(ctx context.Context, gw *v1alpha1.KongIstioGateway) (*observed, error) {
	key := client.ObjectKeyFromObject(gw)
	o := &observed{
		gateway: gw, served: r.Kinds.Served(),
		routes: r.Routes.Facts(key), fleet: r.Fleet.Facts(key), caBundle: r.Trust.Bundle(),
	}
	for _, read := range []func(context.Context, *observed) error{
		r.readRevisions, r.readClass, r.readNamespace, r.readWorkload, r.readPolicies,
	} {
		if err := read(ctx, o); err != nil {
			return nil, err
		}
	}
	judgeStreams(o, r.Clock.Now())
	return o, nil
}

// streamPatience is how long a ready proxy may be without a stream before that counts.
const streamPatience = 10 * time.Second

// judgeStreams looks for ready proxies without a stream: they may serve an old configuration. Right after a manager's
// start they say nothing but that not everything is known yet.
func judgeStreams(o *observed, now time.Time) {
	if o.fleet.Expected.IsZero() {
		return
	}
	for i := range o.pods {
		pod := &o.pods[i]
		since, ready := readySince(pod)
		if !ready || pod.DeletionTimestamp != nil || o.fleet.Streams[pod.Name] {
			continue
		}
		due := o.fleet.Expected
		for _, from := range []time.Time{since, o.fleet.Lost[pod.Name]} {
			if t := from.Add(streamPatience); t.After(due) {
				due = t
			}
		}
		switch left := due.Sub(now); {
		case left <= 0:
			o.streamless = append(o.streamless, pod.Name)
			continue
		case o.lookAgain == 0 || left < o.lookAgain:
			o.lookAgain = left
		}
		if now.Before(o.fleet.Expected) {
			o.fleet.Known = false
		}
	}
}

func (r *Reconciler) readRevisions(ctx context.Context, o *observed) error {
	list := appsv1.ControllerRevisionList{}
	if err := r.Client.List(ctx, &list, client.InNamespace(o.gateway.Namespace), ofGateway(o.gateway)); err != nil {
		return fmt.Errorf("listing ControllerRevisions: %w", err)
	}
	o.revisions = list.Items
	return nil
}

func (r *Reconciler) readClass(ctx context.Context, o *observed) error {
	name := o.gateway.Spec.IngressClassName
	var err error
	if o.class, o.classOwnerExists, err = r.classByName(ctx, name); err != nil {
		return err
	}
	o.servingClass, o.servingOwnerExists = o.class, o.classOwnerExists
	if spec, _, ok := lastAccepted(o.revisions); ok && spec.IngressClassName != name {
		if o.servingClass, o.servingOwnerExists, err = r.classByName(ctx, spec.IngressClassName); err != nil {
			return err
		}
	}
	list := v1alpha1.KongIstioGatewayList{}
	if err := r.Client.List(ctx, &list, client.MatchingFields{indexClass: name}); err != nil {
		return fmt.Errorf("listing KongIstioGateways of class %s: %w", name, err)
	}
	o.claimants = list.Items
	return nil
}

// classByName returns an IngressClass, nil when absent, and whether the gateway that its annotation names exists.
func (r *Reconciler) classByName(ctx context.Context, name string) (*networkingv1.IngressClass, bool, error) {
	class := &networkingv1.IngressClass{}
	switch err := r.Client.Get(ctx, types.NamespacedName{Name: name}, class); {
	case apierrors.IsNotFound(err):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("reading IngressClass %s: %w", name, err)
	}
	namespace, gateway, ok := strings.Cut(class.Annotations[render.AnnotationOwner], "/")
	if !ok {
		return class, false, nil
	}
	owner := &v1alpha1.KongIstioGateway{}
	err := r.Client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: gateway}, owner)
	if client.IgnoreNotFound(err) != nil {
		return nil, false, fmt.Errorf("reading KongIstioGateway %s/%s: %w", namespace, gateway, err)
	}
	return class, err == nil && string(owner.UID) == class.Annotations[render.AnnotationOwnerUID], nil
}

func (r *Reconciler) readNamespace(ctx context.Context, o *observed) error {
	ns := &corev1.Namespace{}
	if err := r.Client.Get(ctx, types.NamespacedName{Name: o.gateway.Namespace}, ns); err != nil {
		return fmt.Errorf("reading Namespace %s: %w", o.gateway.Namespace, err)
	}
	o.namespaceLabels = ns.Labels
	list := admissionv1.MutatingWebhookConfigurationList{}
	if err := r.Client.List(ctx, &list); err != nil {
		return fmt.Errorf("listing MutatingWebhookConfigurations: %w", err)
	}
	o.injectors = list.Items
	return nil
}

func (r *Reconciler) readWorkload(ctx context.Context, o *observed) error {
	gw := o.gateway
	deployment := &appsv1.Deployment{}
	name := types.NamespacedName{Namespace: gw.Namespace, Name: render.DeploymentName(gw.Name, render.Blue)}
	if ok, err := r.readOwn(ctx, gw, name, deployment); err != nil {
		return err
	} else if ok {
		o.deployment = deployment
	}
	service := &corev1.Service{}
	if ok, err := r.readOwn(ctx, gw, client.ObjectKeyFromObject(gw), service); err != nil {
		return err
	} else if ok {
		o.service = service
	}
	account := &corev1.ServiceAccount{}
	if ok, err := r.readOwn(ctx, gw, client.ObjectKeyFromObject(gw), account); err != nil {
		return err
	} else if ok {
		o.account = account
	}
	pods := corev1.PodList{}
	if err := r.Client.List(ctx, &pods, client.InNamespace(gw.Namespace), ofGateway(gw)); err != nil {
		return fmt.Errorf("listing Pods: %w", err)
	}
	o.pods = pods.Items
	slices.SortFunc(o.pods, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	o.livePorts = livePorts(o.pods)
	return nil
}

// readOwn reads a child; one that belongs to somebody else counts as absent.
func (r *Reconciler) readOwn(ctx context.Context, gw *v1alpha1.KongIstioGateway, key types.NamespacedName, into client.Object) (bool, error) {
	err := r.Client.Get(ctx, key, into)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading %T %s: %w", into, key, err)
	}
	return into.GetLabels()[render.LabelGatewayUID] == string(gw.UID), nil
}

// livePorts are the ports that running pods keep out of their sidecars.
func livePorts(pods []corev1.Pod) []int32 {
	var ports []int32
	for i := range pods {
		for text := range strings.SplitSeq(pods[i].Annotations[mesh.AnnotationExcludeInboundPorts], ",") {
			if n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 16); err == nil {
				ports = append(ports, int32(n)) //nolint:gosec // parsed as 16 bits
			}
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

func (r *Reconciler) readPolicies(ctx context.Context, o *observed) error {
	var err error
	if o.served.PeerAuthentication {
		if o.peerAuthentications, err = r.listIstio(ctx, peerAuthenticationKind, o.gateway.Namespace); err != nil {
			return err
		}
	}
	if !o.served.Sidecar {
		return nil
	}
	if o.sidecars, err = r.listIstio(ctx, sidecarKind, o.gateway.Namespace); err != nil {
		return err
	}
	for i := range o.sidecars {
		if selector, found, _ := unstructured.NestedMap(o.sidecars[i].Object, "spec", "workloadSelector"); !found || len(selector) == 0 {
			o.outboundTrafficPolicy, _, _ = unstructured.NestedMap(o.sidecars[i].Object, "spec", "outboundTrafficPolicy")
		}
	}
	return nil
}

func (r *Reconciler) listIstio(ctx context.Context, kind istioKind, namespace string) ([]unstructured.Unstructured, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(kind.gvk)
	if err := r.Client.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("listing %s: %w", kind.gvk.Kind, err)
	}
	return list.Items, nil
}

// ofGateway selects, by index, the objects that carry a gateway's inventory label.
func ofGateway(gw *v1alpha1.KongIstioGateway) client.MatchingFields {
	return client.MatchingFields{indexUID: string(gw.UID)}
}
