// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"fmt"
)

// FieldProblem is one thing that is wrong with one field of a KongIstioGateway.
type FieldProblem struct {
	// Field is the path of the field, such as spec.listeners[1].port.
	Field string
	// Message says what is wrong and how to put it right.
	Message string
}

// String returns the problem as "field: message".
func (p FieldProblem) String() string {
	return p.Field + ": " + p.Message
}

// Unsupported returns the members of spec that the API declares but this build does not act on.
// A gateway that uses one is refused rather than silently served without it. It is nil when
// there are none. The spec needs its defaults; see SetDefaults.
func Unsupported(spec *KongIstioGatewaySpec) []FieldProblem {
	var found []FieldProblem
	refuse := func(condition bool, field, fix string) {
		if condition {
			found = append(found, FieldProblem{Field: field, Message: "is not supported yet; " + fix})
		}
	}
	for i, listener := range spec.Listeners {
		for _, other := range spec.Listeners[:i] {
			refuse(other.TargetPort() == listener.TargetPort() && other.Port != listener.Port, fmt.Sprintf("spec.listeners[%d].containerPort", i),
				fmt.Sprintf("listener %s (UDP or TCP) shares containerPort %d with listener %s but not its port: give it a containerPort of its own", listener.Name, listener.TargetPort(), other.Name))
		}
		refuse(listener.TLS != nil && listener.TLS.DefaultCertificate != nil, fmt.Sprintf("spec.listeners[%d].tls.defaultCertificate", i),
			"remove it, and name the Secret with its hosts in spec.tls of an Ingress")
	}
	refuse(spec.Deployment.Autoscaling != nil, "spec.deployment.autoscaling",
		"remove it and set spec.deployment.replicas")
	refuse(spec.Mesh.Mode == MeshAmbient, "spec.mesh.mode",
		"use Auto, Sidecar or None")
	refuse(spec.Mesh.DestinationRules.Mode == DestinationRulesBackends, "spec.mesh.destinationRules.mode",
		"use OwnService or Unmanaged")
	refuse(spec.Mesh.Authorization.Mode == AuthorizationDryRun || spec.Mesh.Authorization.Mode == AuthorizationEnforce,
		"spec.mesh.authorization.mode", "use Unmanaged and write the AuthorizationPolicies yourself")
	refuse(spec.Rollout.Mode == RolloutBlueGreen, "spec.rollout.mode",
		"use RollingUpdate")
	refuse(spec.Observability.PodMonitor.Mode == Managed, "spec.observability.podMonitor.mode",
		"use Unmanaged and write the PodMonitor yourself")
	refuse(spec.Observability.Tracing.Mode == TracingOpenTelemetry, "spec.observability.tracing.mode",
		"use Disabled")
	return found
}
