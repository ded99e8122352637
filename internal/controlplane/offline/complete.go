// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Complete returns the objects with what a cluster would have added to them and
// manifests lack: the addresses of Services. The Service's DNS name,
// <name>.<namespace>.svc, stands for its cluster address; a Service without
// EndpointSlices gets one that leads to its cluster address or, if it is
// headless, through that name to its pods. The input is not changed.
func Complete(objects []client.Object) []client.Object {
	sliced := make(map[types.NamespacedName]bool)
	for _, o := range objects {
		if s, ok := o.(*discoveryv1.EndpointSlice); ok {
			sliced[types.NamespacedName{Namespace: s.Namespace, Name: s.Labels[discoveryv1.LabelServiceName]}] = true
		}
	}
	var out []client.Object
	for _, o := range objects {
		s, ok := o.(*corev1.Service)
		if !ok || s.Spec.Type == corev1.ServiceTypeExternalName {
			out = append(out, o)
			continue
		}
		s = s.DeepCopy()
		s.Spec.ClusterIP = cmp.Or(s.Spec.ClusterIP, dnsName(s))
		out = append(out, s)
		if !sliced[client.ObjectKeyFromObject(s)] {
			out = append(out, endpoints(s))
		}
	}
	return out
}

func dnsName(s *corev1.Service) string { return s.Name + "." + s.Namespace + ".svc" }

// endpoints makes the slice of a Service that has none.
func endpoints(s *corev1.Service) *discoveryv1.EndpointSlice {
	headless := s.Spec.ClusterIP == corev1.ClusterIPNone
	address := s.Spec.ClusterIP
	if headless {
		address = dnsName(s)
	}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name: dnsName(s), Namespace: s.Namespace, Labels: map[string]string{discoveryv1.LabelServiceName: s.Name},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{address}}},
	}
	for _, p := range s.Spec.Ports {
		name, number := p.Name, p.Port
		// A target port by name is known to the pods only; the Service's own
		// number is the best guess then.
		if target := p.TargetPort.IntVal; headless && target != 0 {
			number = target
		}
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: &name, Port: &number})
	}
	return slice
}
