// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func peerPolicy(namespace, name string, age int, spec map[string]any) unstructured.Unstructured {
	o := unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	o.SetNamespace(namespace)
	o.SetName(name)
	o.SetCreationTimestamp(metav1.NewTime(time.Unix(1000-int64(age), 0)))
	return o
}

func TestRequiresMTLS(t *testing.T) {
	mode := func(m string) map[string]any { return map[string]any{"mtls": map[string]any{"mode": m}} }
	selected := func(m string, ports map[string]any) map[string]any {
		spec := mode(m)
		spec["selector"] = map[string]any{"matchLabels": map[string]any{"app": "web"}}
		if ports != nil {
			spec["portLevelMtls"] = ports
		}
		return spec
	}
	injector := admissionv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{injectorAppLabel: injectorApp}},
		Webhooks: []admissionv1.MutatingWebhook{{
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"istio-injection": "enabled"}},
			Rules: []admissionv1.RuleWithOperations{{
				Operations: []admissionv1.OperationType{admissionv1.Create}, Rule: admissionv1.Rule{APIGroups: []string{""}, Resources: []string{"pods"}},
			}},
		}},
	}
	injected := map[string]string{"istio-injection": "enabled"}
	root, shop := func(m string) unstructured.Unstructured {
		return peerPolicy(DefaultRootNamespace, "default", 1, mode(m))
	},
		func(m string) unstructured.Unstructured { return peerPolicy("shop", "default", 1, mode(m)) }
	for name, tc := range map[string]struct {
		policies []unstructured.Unstructured
		labels   map[string]string
		want     string
	}{
		"no policy":                      {nil, injected, ""},
		"the mesh is strict":             {[]unstructured.Unstructured{root("STRICT")}, injected, "istio-system/default"},
		"no sidecar":                     {[]unstructured.Unstructured{root("STRICT")}, nil, ""},
		"the namespace is not":           {[]unstructured.Unstructured{root("STRICT"), shop("PERMISSIVE")}, injected, ""},
		"only the namespace is":          {[]unstructured.Unstructured{shop("STRICT")}, injected, "shop/default"},
		"the namespace says nothing":     {[]unstructured.Unstructured{root("STRICT"), shop("UNSET")}, injected, "istio-system/default"},
		"another namespace is":           {[]unstructured.Unstructured{peerPolicy("bank", "default", 1, mode("STRICT"))}, injected, ""},
		"the workload is not":            {[]unstructured.Unstructured{shop("STRICT"), peerPolicy("shop", "web", 1, selected("PERMISSIVE", nil))}, injected, ""},
		"only the workload is":           {[]unstructured.Unstructured{peerPolicy("shop", "web", 1, selected("STRICT", nil))}, injected, "shop/web"},
		"its port is not":                {[]unstructured.Unstructured{peerPolicy("shop", "web", 1, selected("STRICT", map[string]any{"8080": map[string]any{"mode": "DISABLE"}}))}, injected, ""},
		"another port is not":            {[]unstructured.Unstructured{peerPolicy("shop", "web", 1, selected("STRICT", map[string]any{"9090": map[string]any{"mode": "DISABLE"}}))}, injected, "shop/web"},
		"of two for the workload, older": {[]unstructured.Unstructured{peerPolicy("shop", "new", 1, selected("PERMISSIVE", nil)), peerPolicy("shop", "old", 9, selected("STRICT", nil))}, injected, "shop/old"},
	} {
		e := PeerEnvironment{Policies: tc.policies, Injectors: []admissionv1.MutatingWebhookConfiguration{injector}}
		got := e.RequiresMTLS(BackendPods{
			Backend: Backend{Namespace: "shop", Service: "web", Port: 80}, NamespaceLabels: tc.labels, Selector: map[string]string{"app": "web"}, TargetPort: 8080,
		})
		if got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}
