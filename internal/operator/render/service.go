// SPDX-License-Identifier: Apache-2.0

package render

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
)

// Service renders the Service in front of the proxies. Its target ports are names, so that old and new pods are both
// right while a container port changes.
func Service(in Input) (*unstructured.Unstructured, error) {
	spec := in.Spec.Service
	s := &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: in.meta(in.Name),
		Spec: corev1.ServiceSpec{
			Type: spec.Type, Selector: in.colourLabels(Blue), Ports: servicePorts(in.Spec),
		},
	}
	s.Annotations = spec.Annotations
	if spec.Type != corev1.ServiceTypeClusterIP {
		s.Spec.ExternalTrafficPolicy = spec.ExternalTrafficPolicy
	}
	if spec.IPFamilyPolicy != "" {
		s.Spec.IPFamilyPolicy = new(spec.IPFamilyPolicy)
	}
	if spec.LoadBalancerClass != "" {
		s.Spec.LoadBalancerClass = new(spec.LoadBalancerClass)
	}
	for _, r := range spec.LoadBalancerSourceRanges {
		s.Spec.LoadBalancerSourceRanges = append(s.Spec.LoadBalancerSourceRanges, string(r))
	}
	return convert(s)
}

func servicePorts(spec v1alpha1.KongIstioGatewaySpec) []corev1.ServicePort {
	nodePorts := map[string]int32{}
	for _, n := range spec.Service.NodePorts {
		nodePorts[n.Listener] = n.NodePort
	}
	ports := make([]corev1.ServicePort, 0, len(spec.Listeners))
	for _, l := range spec.Listeners {
		p := corev1.ServicePort{
			Name: l.Name, Port: l.Port, Protocol: l.Transport(), TargetPort: intstr.FromString(l.Name), NodePort: nodePorts[l.Name],
		}
		if l.Protocol != v1alpha1.ProtocolUDP {
			p.AppProtocol = new(strings.ToLower(string(l.Protocol)))
		}
		ports = append(ports, p)
	}
	return ports
}

// ServiceAccount renders the proxies' identity. It is bound to no role.
func ServiceAccount(in Input) (*unstructured.Unstructured, error) {
	return convert(&corev1.ServiceAccount{
		TypeMeta:                     metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
		ObjectMeta:                   in.meta(in.Name),
		AutomountServiceAccountToken: new(false),
	})
}

// CABundle renders the ConfigMap with the roots that proxies trust for the control stream; nil while there is none.
func CABundle(in Input) (*unstructured.Unstructured, error) {
	if in.CABundle == "" {
		return nil, nil
	}
	return convert(&corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: in.meta(CABundleName(in.Name)),
		Data:       map[string]string{CABundleKey: in.CABundle},
	})
}

// PodDisruptionBudget renders the bound on voluntary disruptions; nil when it is unmanaged.
func PodDisruptionBudget(in Input) (*unstructured.Unstructured, error) {
	b := in.Spec.Deployment.PodDisruptionBudget
	if b.Mode != v1alpha1.Managed {
		return nil, nil
	}
	pdb := &policyv1.PodDisruptionBudget{
		TypeMeta:   metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"},
		ObjectMeta: in.meta(in.Name),
		Spec: policyv1.PodDisruptionBudgetSpec{
			Selector:     &metav1.LabelSelector{MatchLabels: SelectorLabels(in.Name)},
			MinAvailable: b.MinAvailable, MaxUnavailable: b.MaxUnavailable,
			// A pod that is not ready serves nobody: it must not block a node drain.
			UnhealthyPodEvictionPolicy: new(policyv1.AlwaysAllow),
		},
	}
	if b.MinAvailable == nil && b.MaxUnavailable == nil {
		pdb.Spec.MaxUnavailable = new(intstr.FromInt32(1))
	}
	return convert(pdb)
}
