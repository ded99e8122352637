// SPDX-License-Identifier: Apache-2.0

package routes

import (
	"fmt"
	"slices"

	kongv1beta1 "github.com/kong/kubernetes-configuration/api/configuration/v1beta1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/store"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
)

// reasonListenerNotFound is the reason of a rule that nobody can reach.
const reasonListenerNotFound = "ListenerNotFound"

// StreamPorts are the ports, as clients know them, at which a gateway listens
// for connections and datagrams that are not HTTP.
type StreamPorts struct{ TCP, UDP []int32 }

func (p StreamPorts) equal(other StreamPorts) bool {
	return slices.Equal(p.TCP, other.TCP) && slices.Equal(p.UDP, other.UDP)
}

// isStream reports whether a unit's routes are matched by the listener's port.
func isStream(o fragment.Owner) bool {
	return o.Kind == fragment.OwnerTCPIngress || o.Kind == fragment.OwnerUDPIngress
}

// unreachable are the rules of a unit's stream routes whose port the gateway does
// not listen at: they are configured, and nobody can reach them.
func (g *gatewayState) unreachable(s store.ObjectState) []fragment.Problem {
	var out []fragment.Problem
	switch o := s.Object.(type) {
	case *kongv1beta1.TCPIngress:
		for i, rule := range o.Spec.Rules {
			out = g.unheard(out, s, i, rule.Port, g.spec.StreamPorts.TCP, "TCP or TLS")
		}
	case *kongv1beta1.UDPIngress:
		for i, rule := range o.Spec.Rules {
			out = g.unheard(out, s, i, rule.Port, g.spec.StreamPorts.UDP, "UDP")
		}
	}
	return out
}

// unheard adds a problem when a rule's port is not among the gateway's.
func (g *gatewayState) unheard(out []fragment.Problem, s store.ObjectState, i, port int, ports []int32, protocol string) []fragment.Problem {
	if slices.Contains(ports, int32(port)) { // #nosec G115 -- the API server bounds it
		return out
	}
	return append(out, fragment.Problem{
		Object: fragment.RefOf(kongv1beta1.GroupVersion.Group, kongv1beta1.GroupVersion.Version, string(s.Owner.Kind), s.Object),
		Field:  fmt.Sprintf("spec.rules[%d].port", i), Reason: reasonListenerNotFound,
		Message: fmt.Sprintf("no listener of protocol %s of KongIstioGateway %s has port %d: nobody can reach the rule", protocol, g.spec.Key, port),
		Fix:     "add such a listener to the gateway's spec.listeners, or correct the port",
	})
}
