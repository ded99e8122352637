// SPDX-License-Identifier: Apache-2.0

package ingress

import (
	"net"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// endpointTargets returns the ready addresses of a Service port as "ip:port",
// sorted, from all of the Service's EndpointSlices.
func endpointTargets(slicesOfService []*discoveryv1.EndpointSlice, port *corev1.ServicePort) []string {
	var targets []string
	for _, slice := range slicesOfService {
		if slice.AddressType == discoveryv1.AddressTypeFQDN {
			continue
		}
		number := slicePort(slice, port)
		if number == "" {
			continue
		}
		for i := range slice.Endpoints {
			e := &slice.Endpoints[i]
			if !ready(e) {
				continue
			}
			for _, address := range e.Addresses {
				targets = append(targets, net.JoinHostPort(address, number))
			}
		}
	}
	slices.Sort(targets)
	return slices.Compact(targets)
}

// slicePort returns the number that a Service port has in a slice: slices carry
// the name of the Service's port.
func slicePort(slice *discoveryv1.EndpointSlice, port *corev1.ServicePort) string {
	for _, p := range slice.Ports {
		if p.Port == nil {
			continue
		}
		name := ""
		if p.Name != nil {
			name = *p.Name
		}
		if name == port.Name {
			return strconv.Itoa(int(*p.Port))
		}
	}
	return ""
}

// ready follows the API's rule that an unknown state counts as ready.
func ready(e *discoveryv1.Endpoint) bool {
	return e.Conditions.Ready == nil || *e.Conditions.Ready
}
