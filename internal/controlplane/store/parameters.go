// SPDX-License-Identifier: Apache-2.0

package store

import (
	kongv1alpha1 "github.com/kong/kubernetes-configuration/api/configuration/v1alpha1"
	netv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
)

// ParametersOf returns the name of the IngressClassParameters of a class; ok is
// false where it has none. Kong knows those of a namespace only.
func ParametersOf(class *netv1.IngressClass) (name types.NamespacedName, ok bool) {
	if class == nil || class.Spec.Parameters == nil {
		return types.NamespacedName{}, false
	}
	ref := class.Spec.Parameters
	if ref.Kind != kongv1alpha1.IngressClassParametersKind || ref.APIGroup == nil || *ref.APIGroup != kongv1alpha1.GroupVersion.Group || ref.Namespace == nil {
		return types.NamespacedName{}, false
	}
	return types.NamespacedName{Namespace: *ref.Namespace, Name: ref.Name}, true
}

// IsDefault reports whether objects that name no class belong to this one: it
// says so, and its controller is ours or, in manifests that were made for it,
// Kong's. What is another controller's is not ours by default. A nil class is
// none.
func IsDefault(class *netv1.IngressClass) bool {
	if class == nil || class.Annotations[fragment.AnnotationDefaultClass] != "true" {
		return false
	}
	return class.Spec.Controller == fragment.Controller || class.Spec.Controller == fragment.KongController
}
