// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
)

// DefaultIngressClassName is the class of a gateway that names none.
const DefaultIngressClassName = "kong"

// SetDefaults fills absent members of spec with the defaults that the CustomResourceDefinition
// declares. Objects read from an API server have them already; it is for specs made in Go. It is
// idempotent.
func SetDefaults(spec *KongIstioGatewaySpec) {
	setDefault(&spec.IngressClassName, DefaultIngressClassName)
	if len(spec.Listeners) == 0 {
		spec.Listeners = defaultListeners()
	}
	for i := range spec.Listeners {
		setDefault(&spec.Listeners[i].Protocol, ProtocolHTTP)
		setDefault(&spec.Listeners[i].Exposure, ExposureExternal)
	}
	setDefault(&spec.Deployment.PodDisruptionBudget.Mode, Managed)
	if spec.Deployment.Autoscaling != nil {
		setDefault(&spec.Deployment.Autoscaling.Mode, AutoscalingHorizontalPodAutoscaler)
	}
	setDefault(&spec.Service.Type, corev1.ServiceTypeLoadBalancer)
	setDefault(&spec.Service.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyLocal)
	setProxyDefaults(&spec.Proxy)
	setMeshDefaults(&spec.Mesh)
	setOperationDefaults(spec)
}

func defaultListeners() []Listener {
	return []Listener{
		{Name: "http", Port: 80, ContainerPort: 8000, Protocol: ProtocolHTTP, Exposure: ExposureExternal},
		{Name: "https", Port: 443, ContainerPort: 8443, Protocol: ProtocolHTTPS, Exposure: ExposureExternal},
	}
}

func setProxyDefaults(proxy *Proxy) {
	setDefault(&proxy.RealIPHeader, "X-Real-IP")
	if len(proxy.Headers) == 0 {
		proxy.Headers = []ResponseHeader{"server_tokens", "latency_tokens", "X-Kong-Request-Id"}
	}
	setDefault(&proxy.ClientMaxBodySize, "0")
	setDefault(&proxy.ClientBodyBufferSize, "8k")
	setDefault(&proxy.LargeClientHeaderBuffers.Number, 4)
	setDefault(&proxy.LargeClientHeaderBuffers.Size, "8k")
	setDefault(&proxy.Compatibility.Mode, CompatibilityKong39)
}

func setMeshDefaults(mesh *Mesh) {
	setDefault(&mesh.Mode, MeshAuto)
	setDefault(&mesh.NamespaceInjection.Mode, Unmanaged)
	setDefault(&mesh.PeerAuthentication.Mode, PeerAuthenticationStrict)
	setDefault(&mesh.DestinationRules.Mode, DestinationRulesOwnService)
	setDefault(&mesh.EgressScope.Mode, Managed)
	setDefault(&mesh.UpstreamHost, UpstreamHostPreserve)
	setDefault(&mesh.Authorization.Mode, AuthorizationUnmanaged)
}

func setOperationDefaults(spec *KongIstioGatewaySpec) {
	setDefaultPointer(&spec.Drain.AcceptSeconds, 10)
	setDefault(&spec.Drain.TimeoutSeconds, 30)
	setDefault(&spec.Rollout.Mode, RolloutRollingUpdate)
	setDefault(&spec.Rollout.ProgressDeadlineSeconds, 600)
	if spec.Rollout.BlueGreen != nil {
		setDefault(&spec.Rollout.BlueGreen.Promotion.Mode, PromotionAutomatic)
		setDefaultPointer(&spec.Rollout.BlueGreen.Promotion.ObserveSeconds, 60)
	}
	setDefault(&spec.Observability.AccessLog.Mode, AccessLogStdout)
	setDefault(&spec.Observability.PodMonitor.Mode, Unmanaged)
	setDefault(&spec.Observability.Tracing.Mode, TracingDisabled)
	setDefaultPointer(&spec.Observability.Tracing.SamplingPercent, 1)
}

func setDefault[T comparable](member *T, value T) {
	var zero T
	if *member == zero {
		*member = value
	}
}

func setDefaultPointer[T any](member **T, value T) {
	if *member == nil {
		*member = &value
	}
}
