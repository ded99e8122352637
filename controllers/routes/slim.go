// SPDX-License-Identifier: Apache-2.0

package routes

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// transform is what the cache does to objects before it keeps them.
func transform(o any) (any, error) {
	switch o := o.(type) {
	case *metav1.PartialObjectMetadata: // of Secrets: that they changed is all that is asked
		o.ObjectMeta = metav1.ObjectMeta{Namespace: o.Namespace, Name: o.Name, UID: o.UID, ResourceVersion: o.ResourceVersion}
	case client.Object:
		slim(o)
	}
	return o, nil
}

// slim takes out of an object what is large and nobody here looks at: managed
// fields, the copy of the object that kubectl apply leaves in an annotation,
// and of endpoints all but where requests are sent to.
func slim(o client.Object) {
	o.SetManagedFields(nil)
	if annotations := o.GetAnnotations(); annotations[corev1.LastAppliedConfigAnnotation] != "" {
		annotations = maps.Clone(annotations)
		delete(annotations, corev1.LastAppliedConfigAnnotation)
		o.SetAnnotations(annotations)
	}
	if s, ok := o.(*discoveryv1.EndpointSlice); ok {
		s.OwnerReferences, s.GenerateName = nil, ""
		for i := range s.Endpoints {
			e := &s.Endpoints[i]
			*e = discoveryv1.Endpoint{Addresses: e.Addresses, Conditions: e.Conditions}
		}
	}
}
