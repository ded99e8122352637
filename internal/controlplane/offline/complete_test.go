// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

const withoutAddresses = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: all, namespace: shop}
spec:
  ingressClassName: kong
  rules:
    - http:
        paths:
          - {path: /plain, pathType: Prefix, backend: {service: {name: plain, port: {number: 80}}}}
          - {path: /addressed, pathType: Prefix, backend: {service: {name: addressed, port: {number: 80}}}}
          - {path: /headless, pathType: Prefix, backend: {service: {name: headless, port: {name: web}}}}
          - {path: /sliced, pathType: Prefix, backend: {service: {name: sliced, port: {number: 80}}}}
          - {path: /external, pathType: Prefix, backend: {service: {name: external, port: {number: 443}}}}
---
apiVersion: v1
kind: List
items:
  - {apiVersion: v1, kind: Service, metadata: {name: plain, namespace: shop}, spec: {ports: [{port: 80, targetPort: 8080}]}}
  - {apiVersion: v1, kind: Service, metadata: {name: addressed, namespace: shop}, spec: {clusterIP: 10.0.0.1, ports: [{port: 80}]}}
  - {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "headless", "namespace": "shop"}, "spec": {"clusterIP": "None", "ports": [{"name": "web", "port": 80, "targetPort": 8080}]}}
---
apiVersion: v1
kind: Service
metadata: {name: sliced, namespace: shop}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: external, namespace: shop}
spec: {type: ExternalName, externalName: db.example.org}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: sliced-1, namespace: shop, labels: {kubernetes.io/service-name: sliced}}
addressType: IPv4
ports: [{name: "", port: 8080}]
endpoints: [{addresses: [10.1.0.1]}]
`

// TestComplete translates Services as people write them, without what the
// cluster adds: each has an address to send requests to.
func TestComplete(t *testing.T) {
	objects, skipped, err := Decode(strings.NewReader(withoutAddresses))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(skipped, []metav1.TypeMeta{{APIVersion: "v1", Kind: "Namespace"}}) {
		t.Errorf("skipped %v", skipped)
	}
	for _, tt := range []struct {
		name   string
		meshed bool
		want   []string
	}{
		{"without mesh", false, []string{"10.0.0.1:80", "10.1.0.1:8080", "db.example.org:443", "headless.shop.svc:8080", "plain.shop.svc:80"}},
		{"mesh", true, []string{"10.0.0.1:80", "db.example.org:443", "headless.shop.svc:8080", "plain.shop.svc:80", "sliced.shop.svc:80"}},
	} {
		result := Translate(Complete(objects), fragment.Settings{Class: "kong", Mesh: tt.meshed}, schemas.All())
		var got []string
		for _, target := range result.Set.Targets {
			got = append(got, target.Target)
		}
		if slices.Sort(got); !slices.Equal(got, tt.want) || len(result.Problems) > 0 {
			t.Errorf("%s: targets %v, problems %v", tt.name, got, result.Problems)
		}
	}
	for _, o := range objects {
		if s, ok := o.(*corev1.Service); ok && strings.HasSuffix(s.Spec.ClusterIP, ".svc") {
			t.Errorf("the Service %s of the input was changed", s.Name)
		}
	}
}
