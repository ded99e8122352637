// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/internal/operator/mesh"
	"github.com/kong/kong-istio-gateway/test/apiserver"
)

// TestUnmeshedBeforeStrict holds that a gateway outside the mesh says why its
// backend refuses it, for as long as it does.
func TestUnmeshedBeforeStrict(t *testing.T) {
	op := startOperator(t)
	ns, shop := namespace(t, nil), namespace(t, map[string]string{"istio-injection": "enabled"})
	key := types.NamespacedName{Namespace: ns, Name: "edge"}
	service := &corev1.Service{}
	service.Name, service.Namespace = "web", shop
	service.Spec.Selector = map[string]string{"app": "web"}
	service.Spec.Ports = []corev1.ServicePort{{Name: "http", Port: 80}}
	must(t, kube.Create(t.Context(), service))
	gw := newGateway(ns, "edge", ns)
	gw.Spec.Mesh.Mode = v1alpha1.MeshNone
	op.routes.tell(key, RouteFacts{Synced: true, Backends: []mesh.Backend{{Namespace: shop, Service: "web", ClusterIPs: []string{service.Spec.ClusterIP}, Port: 80}}})
	must(t, kube.Create(t.Context(), gw))
	problems := func(want ...string) func() error {
		return func() error {
			if err := kube.Get(t.Context(), key, gw); err != nil {
				return err
			}
			var got []string
			for _, p := range gw.Status.Problems {
				if p.Reason != reasonMeshRequired || p.Object.Kind != "Service" || p.Object.Name != "web" || !strings.Contains(p.Message, shop+"/default") {
					return fmt.Errorf("problem %+v", p)
				}
				got = append(got, p.Reason)
			}
			if gw.Status.Mesh.Mode != v1alpha1.MeshNone || len(got) != len(want) {
				return fmt.Errorf("mesh %+v, problems %v, want %v", gw.Status.Mesh, got, want)
			}
			return nil
		}
	}
	apiserver.Eventually(t, "no policy", problems())
	policy := istioObject(peerAuthenticationKind, types.NamespacedName{Namespace: shop, Name: "default"}, map[string]any{"mtls": map[string]any{"mode": "STRICT"}})
	must(t, kube.Create(t.Context(), policy))
	apiserver.Eventually(t, "STRICT", problems(reasonMeshRequired))
	must(t, kube.Delete(t.Context(), policy))
	apiserver.Eventually(t, "policy deleted", problems())
}
