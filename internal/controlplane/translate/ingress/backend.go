// SPDX-License-Identifier: Apache-2.0

package ingress

import (
	"fmt"
	"net"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/kongcrd"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// ServiceRef names a Service.
func ServiceRef(s *corev1.Service) fragment.ObjectRef {
	return fragment.RefOf("", "v1", "Service", s)
}

// TranslateBackend returns the Kong service, upstream and targets of a Service
// port, and the plugins that the Service's annotation attaches. A Service that
// does not exist has an upstream without targets, which answers 503.
func TranslateBackend(key fragment.BackendKey, refs fragment.Refs) fragment.Result {
	b := backend{key: key, refs: refs, svc: refs.Service(key.Namespace, key.Service)}
	if b.entities() {
		b.resolve()
		b.finish()
	}
	b.result.Facts = b.facts
	return b.result
}

// backend is the state of one TranslateBackend call.
type backend struct {
	key      fragment.BackendKey
	refs     fragment.Refs
	svc      *corev1.Service
	ref      fragment.ObjectRef
	service  *entity.Service
	upstream *entity.Upstream
	targets  []string
	facts    fragment.BackendFacts
	result   fragment.Result
	// distrusted says that the backend's certificate cannot be verified as the
	// annotations ask for: it is not called then.
	distrusted bool
	// unidentified says that the client certificate that the annotations ask for
	// cannot be used: a call without one would be somebody else's.
	unidentified bool
}

// names returns the names of the Kong service and upstream. Kong's controller
// gives the backends of HTTP and of stream routes to one Service port the same
// upstream, and those of HTTP and TCP the same service, of which one is lost:
// here the later ones have names of their own.
func (b *backend) names() (service, upstream string) {
	service = b.key.Namespace + "." + b.key.Service + "." + b.key.Port
	upstream = b.key.Service + "." + b.key.Namespace + "." + b.key.Port
	claim := fragment.Claim{Scope: fragment.ClaimUpstreamName, Value: upstream}
	b.result.Claims = append(b.result.Claims, claim)
	first, claimed := b.refs.First(claim)
	shared := claimed && first.Owner != b.key.Owner()
	if shared {
		upstream += "." + b.key.Stream
	}
	if b.key.Stream == streamUDP || shared {
		service += "." + b.key.Stream
	}
	return service, upstream + ".svc"
}

// entities makes the Kong service and upstream, with annotations. It reports
// false for a name that no Service can have.
func (b *backend) entities() bool {
	name, host := b.names()
	b.ref = fragment.ObjectRef{Version: "v1", Kind: "Service", Namespace: b.key.Namespace, Name: b.key.Service}
	var annotations map[string]string
	if b.svc != nil {
		b.ref = ServiceRef(b.svc)
		annotations = b.svc.Annotations
	}
	tags := fragment.Tags(b.ref, annotations)
	b.plain(name, host, tags)
	b.kongIngress(annotations)
	for _, p := range annotateService(b.service, b.upstream, annotations, b.key.Stream) {
		b.result.Report(b.ref, p.field, fragment.ReasonAnnotationIgnored, p.message, p.fix)
	}
	b.upstreamTLS(annotations)
	b.upstreamPolicy(annotations)
	if !b.repair() {
		b.plain(name, host, tags)
		if len(b.refs.Check(b.service)) > 0 || len(b.refs.Check(b.upstream)) > 0 {
			b.result.Problems = nil
			b.fail(fragment.ReasonBackendNotFound,
				fmt.Sprintf("%q is not the name of a Service and a port; the rule is not served", b.key.Service+":"+b.key.Port),
				"name a Service and one of its ports")
			return false
		}
	}
	b.facts.Service = b.service.ID
	return true
}

// plain makes the Kong service and upstream, without annotations.
func (b *backend) plain(name, host string, tags []string) {
	b.service = &entity.Service{
		ID: fragment.ID(entity.KindService, name), Name: name, Host: host, Protocol: entity.Protocol(b.key.Stream), Tags: tags,
	}
	b.upstream = &entity.Upstream{ID: fragment.ID(entity.KindUpstream, host), Name: host, Tags: tags}
}

// consequence says what it means that there are no targets.
func (b *backend) consequence() string {
	if b.key.Stream != "" {
		return "sessions are closed"
	}
	return "requests are answered with 503"
}

// fail records why there are no targets.
func (b *backend) fail(reason, message, fix string) {
	b.facts.Reason, b.facts.Message, b.facts.Fix = reason, message, fix
}

// resolve finds the addresses to send requests to.
func (b *backend) resolve() {
	if b.svc == nil {
		b.fail(fragment.ReasonBackendNotFound,
			fmt.Sprintf("Service %s/%s does not exist; %s", b.key.Namespace, b.key.Service, b.consequence()),
			"create the Service or correct its name")
		return
	}
	settings := b.refs.Settings()
	// A Service that balances itself is called by its name.
	byName := !settings.Mesh && (settings.ServiceUpstream || b.svc.Annotations[fragment.AnnotationServiceUpstream] == "true")
	if b.svc.Spec.Type == corev1.ServiceTypeExternalName {
		b.externalName(byName)
		return
	}
	port := servicePort(b.svc, b.key)
	if port == nil {
		b.fail(fragment.ReasonBackendPort,
			fmt.Sprintf("Service %s/%s has no port %q; %s", b.key.Namespace, b.key.Service, b.key.Port, b.consequence()),
			"name one of the Service's ports")
		return
	}
	b.servicePort(int(port.Port))
	if b.distrust() {
		return
	}
	headless := b.svc.Spec.ClusterIP == corev1.ClusterIPNone
	switch {
	case settings.Mesh && !headless:
		b.clusterIP(port)
	case byName:
		b.targets = []string{b.shortName() + ":" + strconv.Itoa(int(port.Port))}
	default:
		b.targets = endpointTargets(b.refs.EndpointSlices(b.key.Namespace, b.key.Service), port)
	}
	if settings.Mesh && b.key.Stream == "" && (headless || settings.ServiceHost) {
		b.rewriteHost(settings)
	}
	b.record(port, headless)
}

// distrust reports whether the backend must not be called.
func (b *backend) distrust() bool {
	if b.distrusted {
		b.fail(fragment.ReasonCertificateInvalid,
			fmt.Sprintf("the certificate of Service %s/%s cannot be verified as its annotations ask for; %s", b.key.Namespace, b.key.Service, b.consequence()),
			"look at the Service's problems, and mend its annotations, Secrets and ConfigMaps")
	} else if b.unidentified {
		b.fail(fragment.ReasonCertificateInvalid,
			fmt.Sprintf("the client certificate for Service %s/%s cannot be used; %s", b.key.Namespace, b.key.Service, b.consequence()),
			"look at the Service's problems, and mend its annotation "+fragment.AnnotationClientCert+" or the Secret")
	}
	return b.distrusted || b.unidentified
}

// clusterIP makes the Service's address the only target: the sidecar, which
// knows the pods and the mesh's rules, balances behind it.
func (b *backend) clusterIP(port *corev1.ServicePort) {
	if b.svc.Spec.ClusterIP == "" {
		b.fail(fragment.ReasonBackendNotFound,
			fmt.Sprintf("Service %s/%s has no cluster address yet; %s", b.key.Namespace, b.key.Service, b.consequence()),
			"wait for the address, or give the Service one")
		return
	}
	b.targets = []string{net.JoinHostPort(b.svc.Spec.ClusterIP, strconv.Itoa(int(port.Port)))}
}

// rewriteHost sends the Service's full name as Host: the mesh knows the pods of
// a headless Service by it only, and without an egress scope that is all it
// goes by.
func (b *backend) rewriteHost(settings fragment.Settings) {
	if b.upstream.HostHeader == "" {
		b.upstream.HostHeader = serviceHost(b.key, settings)
	}
	b.facts.RewriteHost = true
}

// shortName is the Service's name in the cluster's DNS, without its domain.
func (b *backend) shortName() string { return b.svc.Name + "." + b.svc.Namespace + ".svc" }

// serviceHost is the Service's full name.
func serviceHost(key fragment.BackendKey, s fragment.Settings) string {
	return key.Service + "." + key.Namespace + ".svc." + clusterDomain(s)
}

// servicePort records the Service's port in the Kong service, as Kong's
// controller does; the targets have ports of their own. 80 is the default.
func (b *backend) servicePort(port int) {
	if port != defaultPort {
		b.service.Port = &port
	}
}

const defaultPort = 80

func clusterDomain(s fragment.Settings) string {
	if s.ClusterDomain == "" {
		return "cluster.local"
	}
	return s.ClusterDomain
}

// externalName makes the DNS name the only target; the port must be a number,
// since such a Service need not list any.
func (b *backend) externalName(byName bool) {
	port, err := strconv.Atoi(b.key.Port)
	if err != nil {
		if p := servicePort(b.svc, b.key); p != nil {
			port = int(p.Port)
		} else {
			b.fail(fragment.ReasonBackendPort,
				fmt.Sprintf("Service %s/%s is of type ExternalName and has no port %q; %s", b.key.Namespace, b.key.Service, b.key.Port, b.consequence()),
				"refer to the port by number")
			return
		}
	}
	b.servicePort(port)
	if b.distrust() {
		return
	}
	host := b.svc.Spec.ExternalName
	if byName {
		host = b.shortName()
	}
	b.targets = []string{net.JoinHostPort(host, strconv.Itoa(port))}
	if b.key.Stream == streamUDP {
		return
	}
	b.result.Backends = []fragment.Backend{{
		Namespace: b.key.Namespace, Service: b.key.Service, ExternalName: b.svc.Spec.ExternalName,
		Port: int32(port), Protocol: string(b.service.Protocol), // #nosec G109 G115 -- a port, bounded by the API server
	}}
}

// record makes the backend known to the egress scope. Sidecars leave UDP alone.
func (b *backend) record(port *corev1.ServicePort, headless bool) {
	if b.key.Stream == streamUDP {
		return
	}
	r := fragment.Backend{
		Namespace: b.key.Namespace, Service: b.key.Service, Headless: headless,
		Port: port.Port, PortName: port.Name, Protocol: string(b.service.Protocol),
	}
	if !headless {
		r.ClusterIP = b.svc.Spec.ClusterIP
	}
	if b.refs.Settings().Mesh { // elsewhere pods come and go, and nobody asks
		r.Addresses = b.targets
	}
	if port.AppProtocol != nil {
		r.AppProtocol = *port.AppProtocol
	}
	b.result.Backends = []fragment.Backend{r}
}

// finish puts the entities in order and attaches the Service's plugins.
func (b *backend) finish() {
	b.result.Entities = append(make([]entity.Entity, 0, 2+len(b.targets)), b.service, b.upstream)
	upstream := &entity.Ref{ID: b.upstream.ID}
	for _, target := range b.targets {
		b.result.Entities = append(b.result.Entities, &entity.Target{
			ID:       fragment.ID(entity.KindTarget, b.upstream.Name+"|"+target),
			Upstream: upstream,
			Target:   target,
			Tags:     b.upstream.Tags,
		})
	}
	if b.svc != nil {
		from := kongcrd.Referrer{Object: b.ref, Annotations: b.svc.Annotations, Refs: b.refs, Stream: b.key.Stream != ""}
		kongcrd.Attach(from, fragment.ClaimPluginOnService, []kongcrd.Attachment{{Service: b.service.ID, Protocols: routeProtocolsOf(b.key.Stream)}}, &b.result)
	}
}

// routeProtocolsOf returns the protocols of the routes to a backend.
func routeProtocolsOf(stream string) []entity.Protocol {
	switch stream {
	case streamTCP:
		return []entity.Protocol{entity.ProtocolTCP, entity.ProtocolTLS, entity.ProtocolTLSPassthrough}
	case streamUDP:
		return []entity.Protocol{entity.ProtocolUDP}
	}
	return nil
}

// servicePort finds a port by number or name; a number, or name, that is no port
// of the Service may be the target port of one. A Service may have the same
// number for TCP and for UDP.
func servicePort(svc *corev1.Service, key fragment.BackendKey) *corev1.ServicePort {
	number, err := strconv.Atoi(key.Port)
	byNumber := err == nil
	var target *corev1.ServicePort
	for i := range svc.Spec.Ports {
		p := &svc.Spec.Ports[i]
		if (p.Protocol == corev1.ProtocolUDP) != (key.Stream == streamUDP) {
			continue
		}
		if byNumber && int(p.Port) == number || !byNumber && p.Name == key.Port {
			return p
		}
		if target == nil && (byNumber && p.TargetPort.IntValue() == number || !byNumber && p.TargetPort.StrVal == key.Port) {
			target = p
		}
	}
	return target
}
