// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"

	"k8s.io/apimachinery/pkg/util/intstr"
)

// MaxNameLength is the largest number of characters in the name of a KongIstioGateway.
const MaxNameLength = 40

var (
	gatewayNameForm  = regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`)
	subdomainForm    = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	listenerNameForm = regexp.MustCompile(`^[a-z](-?[a-z0-9])*$`)
	imageForm        = regexp.MustCompile(`^[^ \t\r\n]+$`)
	headerNameForm   = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	sizeForm         = regexp.MustCompile(`^[0-9]{1,11}[kKmMgG]?$`)
	labelValueForm   = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`)
	percentageForm   = regexp.MustCompile(`^(100|[0-9]{1,2})%$`)
)

// Validate returns what is wrong with gateway, nil when nothing is: the rules of the
// CustomResourceDefinition once more, and those that its CEL cannot express (a podTemplate that is
// not a PodSpec). Its spec needs its defaults; see SetDefaults. Rules on a change are in
// ValidateUpdate.
func Validate(gateway *KongIstioGateway) []FieldProblem {
	v := &validator{}
	v.name(gateway.Name)
	spec := &gateway.Spec
	v.check(subdomainForm.MatchString(spec.IngressClassName) && len(spec.IngressClassName) <= 253, "spec.ingressClassName", msgClassName)
	v.listeners(spec.Listeners)
	v.deployment(&spec.Deployment)
	v.service(spec)
	v.proxy(&spec.Proxy)
	v.mesh(&spec.Mesh)
	v.drainAndRollout(spec)
	v.observability(&spec.Observability)
	return v.found
}

// ValidateUpdate returns what is wrong with the change from before to after, nil when nothing is.
// It holds only the rules that look at both; Validate holds the others.
func ValidateUpdate(before, after *KongIstioGatewaySpec) []FieldProblem {
	v := &validator{}
	stays := before.Service.Type == "LoadBalancer" && after.Service.Type == "LoadBalancer"
	v.check(!stays || before.Service.LoadBalancerClass == after.Service.LoadBalancerClass, "spec.service", msgBalancerClass)
	return v.found
}

type validator struct {
	found []FieldProblem
}

// check records a problem with field unless holds.
func (v *validator) check(holds bool, field, message string) {
	if !holds {
		v.found = append(v.found, FieldProblem{Field: field, Message: message})
	}
}

// between checks that an integer lies within the bounds that the schema declares.
func (v *validator) between(value, low, high int32, field string) {
	v.check(value >= low && value <= high, field, fmt.Sprintf("must be from %d to %d", low, high))
}

// oneOf checks that an enumerated value is one that the schema declares.
func oneOf[T ~string](v *validator, field string, value T, allowed ...T) {
	v.check(slices.Contains(allowed, value), field, fmt.Sprintf("must be one of %q", allowed))
}

func (v *validator) name(name string) {
	v.check(len(name) <= MaxNameLength, "metadata.name", msgNameLength)
	v.check(gatewayNameForm.MatchString(name), "metadata.name", msgNameForm)
}

func (v *validator) listeners(listeners []Listener) {
	const field = "spec.listeners"
	v.check(len(listeners) >= 1 && len(listeners) <= 32, field, "must have 1 to 32 listeners")
	type endpoint struct {
		transport string
		port      int32
	}
	names, ports, containerPorts := map[string]bool{}, map[endpoint]bool{}, map[endpoint]bool{}
	portClash, containerPortClash := false, false
	for i, listener := range listeners {
		v.listener(listener, fmt.Sprintf("%s[%d]", field, i))
		v.check(!names[listener.Name], fmt.Sprintf("%s[%d].name", field, i), "another listener has the same name; choose another name")
		names[listener.Name] = true
		port := endpoint{string(listener.Transport()), listener.Port}
		containerPort := endpoint{string(listener.Transport()), listener.TargetPort()}
		portClash = portClash || ports[port]
		containerPortClash = containerPortClash || containerPorts[containerPort]
		ports[port], containerPorts[containerPort] = true, true
	}
	v.check(!portClash, field, msgListenerPorts)
	v.check(!containerPortClash, field, msgListenerContainerPorts)
}

func (v *validator) listener(listener Listener, field string) {
	v.check(len(listener.Name) <= 15 && listenerNameForm.MatchString(listener.Name), field+".name", msgListenerName)
	v.check(listener.Name != StatusPortName, field+".name", msgListenerStatusName)
	v.between(listener.Port, 1, 65535, field+".port")
	if listener.ContainerPort != 0 {
		v.between(listener.ContainerPort, 1024, 65535, field+".containerPort")
	}
	oneOf(v, field+".protocol", listener.Protocol, ProtocolHTTP, ProtocolHTTPS, ProtocolTLS, ProtocolTCP, ProtocolUDP)
	oneOf(v, field+".exposure", listener.Exposure, ExposureExternal, ExposureMesh)
	terminates := listener.Protocol == ProtocolHTTPS || listener.Protocol == ProtocolTLS
	v.check(listener.TLS == nil || terminates, field, msgListenerTLS)
	v.check(listener.Protocol != ProtocolUDP || listener.Exposure == ExposureExternal, field, msgListenerUDP)
	target := listener.TargetPort()
	v.check(listener.ContainerPort != 0 || target >= 1024, field, msgListenerPrivileged)
	v.check(target < IstioPortFirst || target > IstioPortLast, field, msgListenerIstioPort)
	v.check(target != ConfigStreamPort && target != StatusPort, field, msgListenerOwnPort)
	if listener.TLS != nil && listener.TLS.DefaultCertificate != nil {
		v.check(subdomainForm.MatchString(listener.TLS.DefaultCertificate.Name), field+".tls.defaultCertificate.name", msgSecretName)
	}
}

func (v *validator) proxy(proxy *Proxy) {
	for i, address := range proxy.TrustedIPs {
		v.check(isIP(string(address)) || isCIDR(string(address)), fmt.Sprintf("spec.proxy.trustedIPs[%d]", i), msgAddressRange)
	}
	v.check(headerNameForm.MatchString(proxy.RealIPHeader), "spec.proxy.realIPHeader", msgRealIPHeader)
	alone := len(proxy.Headers) == 1 || !slices.Contains(proxy.Headers, ResponseHeaderNone)
	v.check(alone, "spec.proxy.headers", msgHeadersNone)
	v.size(proxy.ClientMaxBodySize, "spec.proxy.clientMaxBodySize")
	v.size(proxy.ClientBodyBufferSize, "spec.proxy.clientBodyBufferSize")
	v.between(proxy.LargeClientHeaderBuffers.Number, 1, 1024, "spec.proxy.largeClientHeaderBuffers.number")
	v.size(proxy.LargeClientHeaderBuffers.Size, "spec.proxy.largeClientHeaderBuffers.size")
}

func (v *validator) size(size Size, field string) {
	v.check(sizeForm.MatchString(string(size)), field, msgSize)
}

func (v *validator) mesh(mesh *Mesh) {
	oneOf(v, "spec.mesh.mode", mesh.Mode, MeshAuto, MeshSidecar, MeshAmbient, MeshNone)
	v.check(mesh.Revision == "" || mesh.Mode != MeshNone, "spec.mesh", msgRevisionMode)
	v.check(mesh.Revision == "" || len(mesh.Revision) <= 63 && labelValueForm.MatchString(mesh.Revision), "spec.mesh.revision", msgRevision)
	oneOf(v, "spec.mesh.namespaceInjection.mode", mesh.NamespaceInjection.Mode, Managed, Unmanaged)
	oneOf(v, "spec.mesh.peerAuthentication.mode", mesh.PeerAuthentication.Mode,
		PeerAuthenticationStrict, PeerAuthenticationPermissive, PeerAuthenticationUnmanaged)
	oneOf(v, "spec.mesh.destinationRules.mode", mesh.DestinationRules.Mode,
		DestinationRulesOwnService, DestinationRulesBackends, DestinationRulesUnmanaged)
	oneOf(v, "spec.mesh.egressScope.mode", mesh.EgressScope.Mode, Managed, Unmanaged)
	oneOf(v, "spec.mesh.upstreamHost", mesh.UpstreamHost, UpstreamHostPreserve, UpstreamHostService)
	oneOf(v, "spec.mesh.authorization.mode", mesh.Authorization.Mode,
		AuthorizationUnmanaged, AuthorizationDryRun, AuthorizationEnforce)
}

func (v *validator) drainAndRollout(spec *KongIstioGatewaySpec) {
	if spec.Drain.AcceptSeconds != nil {
		v.between(*spec.Drain.AcceptSeconds, 0, 600, "spec.drain.acceptSeconds")
	}
	v.between(spec.Drain.TimeoutSeconds, 1, 3600, "spec.drain.timeoutSeconds")
	rollout := &spec.Rollout
	oneOf(v, "spec.rollout.mode", rollout.Mode, RolloutRollingUpdate, RolloutBlueGreen)
	v.between(rollout.ProgressDeadlineSeconds, 10, 86400, "spec.rollout.progressDeadlineSeconds")
	v.check(rollout.BlueGreen == nil || rollout.Mode == RolloutBlueGreen, "spec.rollout", msgBlueGreenMode)
}

func (v *validator) observability(observability *Observability) {
	oneOf(v, "spec.observability.accessLog.mode", observability.AccessLog.Mode, AccessLogStdout, AccessLogDisabled)
	monitor := &observability.PodMonitor
	oneOf(v, "spec.observability.podMonitor.mode", monitor.Mode, Managed, Unmanaged)
	bare := monitor.IntervalSeconds == 0 && len(monitor.Labels) == 0
	v.check(monitor.Mode == Managed || bare, "spec.observability.podMonitor", msgPodMonitorMode)
	tracing := &observability.Tracing
	oneOf(v, "spec.observability.tracing.mode", tracing.Mode, TracingDisabled, TracingOpenTelemetry)
	v.check((tracing.Mode == TracingOpenTelemetry) == (tracing.Endpoint != ""), "spec.observability.tracing", msgTracingEndpoint)
	v.check(tracing.Endpoint == "" || isHTTPURL(tracing.Endpoint), "spec.observability.tracing.endpoint", msgTracingURL)
}

// isIP and isCIDR judge as the CEL functions of the same names do: no zones, and no IPv4 address in
// IPv6 form.
func isIP(text string) bool {
	address, err := netip.ParseAddr(text)
	return err == nil && address.Zone() == "" && !address.Is4In6()
}

func isCIDR(text string) bool {
	prefix, err := netip.ParsePrefix(text)
	return err == nil && !prefix.Addr().Is4In6()
}

func isHTTPURL(text string) bool {
	parsed, err := url.ParseRequestURI(text)
	return err == nil && (parsed.Scheme == "http" || parsed.Scheme == "https") && parsed.Host != ""
}

func isBudgetValue(value *intstr.IntOrString) bool {
	if value == nil {
		return true
	}
	if value.Type == intstr.Int {
		return value.IntVal >= 0
	}
	return percentageForm.MatchString(value.StrVal)
}
