// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/internal/operator/mesh"
)

// reasonMeshRequired is the reason of a backend that refuses callers outside the mesh.
const reasonMeshRequired = "MeshRequired"

// strictBackends returns a problem for each backend whose sidecars refuse a gateway that is not in the mesh.
func (r *Reconciler) strictBackends(ctx context.Context, o *observed, p plan) ([]v1alpha1.Problem, error) {
	if p.spec == nil || p.resolution.Mode != v1alpha1.MeshNone || !o.served.PeerAuthentication || len(o.routes.Backends) == 0 {
		return nil, nil
	}
	policies, err := r.listIstio(ctx, peerAuthenticationKind, "")
	if err != nil || len(policies) == 0 {
		return nil, err
	}
	peers := mesh.PeerEnvironment{Policies: policies, Injectors: o.injectors, RootNamespace: p.resolution.Istiod.Namespace}
	var out []v1alpha1.Problem
	for _, b := range o.routes.Backends {
		pods, err := r.backendPods(ctx, b)
		if err != nil {
			return nil, err
		}
		if policy := peers.RequiresMTLS(pods); policy != "" {
			out = append(out, v1alpha1.Problem{
				Object: v1alpha1.ProblemObject{Kind: "Service", Namespace: b.Namespace, Name: b.Service},
				Reason: reasonMeshRequired,
				Message: fmt.Sprintf("PeerAuthentication %s makes the pods behind port %d refuse callers outside the mesh, and this gateway is outside it: "+
					"requests are answered with 502 (let the gateway take part in the mesh by spec.mesh.mode, or make the policy PERMISSIVE for this port)", policy, b.Port),
			})
		}
	}
	return out, nil
}

// backendPods reads, from caches, what tells how a backend's pods take part in the mesh. What is missing has no pods.
func (r *Reconciler) backendPods(ctx context.Context, b mesh.Backend) (mesh.BackendPods, error) {
	out := mesh.BackendPods{Backend: b}
	namespace, service := &corev1.Namespace{}, &corev1.Service{}
	if err := r.Client.Get(ctx, types.NamespacedName{Name: b.Namespace}, namespace); client.IgnoreNotFound(err) != nil {
		return out, fmt.Errorf("reading Namespace %s: %w", b.Namespace, err)
	}
	if err := r.Client.Get(ctx, types.NamespacedName{Namespace: b.Namespace, Name: b.Service}, service); client.IgnoreNotFound(err) != nil {
		return out, fmt.Errorf("reading Service %s/%s: %w", b.Namespace, b.Service, err)
	}
	out.NamespaceLabels, out.Selector = namespace.Labels, service.Spec.Selector
	for _, port := range service.Spec.Ports {
		if port.Port == b.Port && port.Protocol != corev1.ProtocolUDP {
			out.TargetPort = port.TargetPort.IntVal
		}
	}
	return out, nil
}

// concerned are the gateways whose status, or objects, an Istio object or a namespace's labels may change: those of the
// namespace, and those outside the mesh, whose backends may be anywhere.
func (r *Reconciler) concerned(ctx context.Context, namespace string) []ctrl.Request {
	list := v1alpha1.KongIstioGatewayList{}
	if err := r.Client.List(ctx, &list); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Listing KongIstioGateways for an event")
		return nil
	}
	var out []ctrl.Request
	for i := range list.Items {
		if gw := &list.Items[i]; gw.Namespace == namespace || gw.Status.Mesh.Mode == v1alpha1.MeshNone {
			out = append(out, request(gw))
		}
	}
	return out
}
