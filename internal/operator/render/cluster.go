// SPDX-License-Identifier: Apache-2.0

package render

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/internal/operator/mesh"
)

// IngressClass renders the class that the gateway serves. It has no owner reference, because it is cluster-scoped: the
// finalizer removes it. On a class that somebody else made for our controller only the claim is written.
func IngressClass(in Input) (*unstructured.Unstructured, error) {
	c := &networkingv1.IngressClass{
		TypeMeta: metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "IngressClass"},
		ObjectMeta: metav1.ObjectMeta{
			Name: in.Spec.IngressClassName,
			Annotations: map[string]string{
				AnnotationOwner: fmt.Sprintf("%s/%s", in.Namespace, in.Name), AnnotationOwnerUID: string(in.UID),
			},
		},
	}
	if in.ClassShared {
		u, err := convert(c)
		if err != nil {
			return nil, err
		}
		delete(u.Object, "spec")
		return u, nil
	}
	c.Labels = in.labels()
	c.Spec.Controller = IngressController
	return convert(c)
}

// Namespace renders the label that makes Istio inject the namespace; nil unless the spec asks for it.
func Namespace(in Input) (*unstructured.Unstructured, error) {
	if in.Spec.Mesh.NamespaceInjection.Mode != v1alpha1.Managed || !in.meshed() {
		return nil, nil
	}
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
	u.SetName(in.Namespace)
	u.SetLabels(mesh.NamespaceLabel(in.Spec.Mesh.Revision))
	return u, nil
}

// Revision renders the record of the accepted spec: what every later reconcile renders while a newer spec is not
// accepted. Its data is immutable, so its name holds the data's hash.
//
// Errors: a spec that cannot be marshalled (a raw overlay that is not JSON).
func Revision(in Input) (*unstructured.Unstructured, error) {
	data, err := json.Marshal(in.Spec)
	if err != nil {
		return nil, fmt.Errorf("spec: %w", err)
	}
	// The generation is part of the name: going back to an older spec makes a new record, which is the newest again.
	sum := sha256.Sum256(fmt.Appendf(data, "\x00%d", in.Generation))
	return convert(&appsv1.ControllerRevision{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "ControllerRevision"},
		ObjectMeta: in.meta(fmt.Sprintf("%s-%s", in.Name, hex.EncodeToString(sum[:5]))),
		Data:       runtime.RawExtension{Raw: data},
		Revision:   in.Generation,
	})
}
