// SPDX-License-Identifier: Apache-2.0

package routes

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// addressesOf brings the addresses of Kong's own route kinds into the form of an
// Ingress. Ports are not ours.
func addressesOf(s corev1.LoadBalancerStatus) []networkingv1.IngressLoadBalancerIngress {
	out := make([]networkingv1.IngressLoadBalancerIngress, 0, len(s.Ingress))
	for _, a := range s.Ingress {
		out = append(out, networkingv1.IngressLoadBalancerIngress{IP: a.IP, Hostname: a.Hostname})
	}
	return out
}

func addressStatus(list []networkingv1.IngressLoadBalancerIngress) map[string]any {
	out := make([]any, 0, len(list))
	for _, a := range list {
		entry := map[string]any{}
		if a.IP != "" {
			entry["ip"] = a.IP
		}
		if a.Hostname != "" {
			entry["hostname"] = a.Hostname
		}
		out = append(out, entry)
	}
	return map[string]any{"loadBalancer": map[string]any{"ingress": out}}
}

// sameAddresses compares what we write; ports are not ours.
func sameAddresses(a, b []networkingv1.IngressLoadBalancerIngress) bool {
	return slices.EqualFunc(a, b, func(a, b networkingv1.IngressLoadBalancerIngress) bool {
		return a.IP == b.IP && a.Hostname == b.Hostname
	})
}
