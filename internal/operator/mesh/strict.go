// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"cmp"
	"slices"
	"strconv"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// DefaultRootNamespace is where Istio looks for policies of the whole mesh, unless its MeshConfig says otherwise.
const DefaultRootNamespace = "istio-system"

// PeerEnvironment is what decides whether backends take plaintext.
type PeerEnvironment struct {
	// Policies are the PeerAuthentications of all namespaces.
	Policies []unstructured.Unstructured
	// Injectors are the cluster's MutatingWebhookConfigurations.
	Injectors []admissionv1.MutatingWebhookConfiguration
	// RootNamespace holds the policies of the whole mesh; empty for Istio's default.
	RootNamespace string
}

// BackendPods is what is known about the pods behind a backend without looking at them.
type BackendPods struct {
	Backend
	NamespaceLabels map[string]string
	// Selector are the labels that the Service selects; its pods have at least these.
	Selector map[string]string
	// TargetPort is the pods' port; 0 when it has a name.
	TargetPort int32
}

// RequiresMTLS returns the PeerAuthentication, as namespace/name, for which the pods of a backend refuse callers outside
// the mesh; empty when they take them, or have no sidecar.
//
// As in Istio the oldest policy whose selector matches comes before that of the namespace, and that before the mesh's;
// mode UNSET takes over what the next one says. See https://istio.io/latest/docs/reference/config/security/peer_authentication/.
func (e *PeerEnvironment) RequiresMTLS(b BackendPods) string {
	if len(Injectors(e.Injectors, b.Namespace, b.NamespaceLabels, b.Selector)) == 0 {
		return ""
	}
	root := cmp.Or(e.RootNamespace, DefaultRootNamespace)
	workload := e.oldest(func(p *unstructured.Unstructured) bool {
		return p.GetNamespace() == b.Namespace && selects(p, []string{"spec", "selector", "matchLabels"}, b.Selector)
	})
	levels := []*unstructured.Unstructured{workload, e.oldest(wide(b.Namespace)), e.oldest(wide(root))}
	for _, policy := range levels {
		if policy == nil {
			continue
		}
		mode := ""
		if policy == workload && b.TargetPort != 0 {
			mode, _, _ = unstructured.NestedString(policy.Object, "spec", "portLevelMtls", strconv.Itoa(int(b.TargetPort)), "mode")
		}
		if mode == "" || mode == "UNSET" {
			mode, _, _ = unstructured.NestedString(policy.Object, "spec", "mtls", "mode")
		}
		switch mode {
		case "STRICT":
			return policy.GetNamespace() + "/" + policy.GetName()
		case "PERMISSIVE", "DISABLE":
			return ""
		}
	}
	return ""
}

// wide picks the policies of a namespace that are for all of its pods.
func wide(namespace string) func(*unstructured.Unstructured) bool {
	return func(p *unstructured.Unstructured) bool {
		selector, _, _ := unstructured.NestedMap(p.Object, "spec", "selector", "matchLabels")
		return p.GetNamespace() == namespace && len(selector) == 0
	}
}

func (e *PeerEnvironment) oldest(is func(*unstructured.Unstructured) bool) *unstructured.Unstructured {
	var found []*unstructured.Unstructured
	for i := range e.Policies {
		if is(&e.Policies[i]) {
			found = append(found, &e.Policies[i])
		}
	}
	if len(found) == 0 {
		return nil
	}
	return slices.MinFunc(found, byAge)
}
