// SPDX-License-Identifier: Apache-2.0

package store

import (
	kongv1alpha1 "github.com/kong/kubernetes-configuration/api/configuration/v1alpha1"
	netv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
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
