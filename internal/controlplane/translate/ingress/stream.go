// SPDX-License-Identifier: Apache-2.0

package ingress

import (
	"fmt"
	"strconv"
	"strings"

	kongv1beta1 "github.com/kong/kubernetes-configuration/api/configuration/v1beta1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Names of Kong's kinds for stream routes.
const (
	kindTCPIngress = "TCPIngress"
	kindUDPIngress = "UDPIngress"
)

// The transports of stream routes' backends.
const (
	streamTCP = "tcp"
	streamUDP = "udp"
)

// TCPRef names a TCPIngress.
func TCPRef(ing *kongv1beta1.TCPIngress) fragment.ObjectRef {
	return fragment.RefOf(kongv1beta1.GroupVersion.Group, kongv1beta1.GroupVersion.Version, kindTCPIngress, ing)
}

// UDPRef names a UDPIngress.
func UDPRef(ing *kongv1beta1.UDPIngress) fragment.ObjectRef {
	return fragment.RefOf(kongv1beta1.GroupVersion.Group, kongv1beta1.GroupVersion.Version, kindUDPIngress, ing)
}

// TranslateTCP returns the stream routes of a TCPIngress, one for each rule, the
// plugins attached to them and the SNIs of its TLS section.
func TranslateTCP(ing *kongv1beta1.TCPIngress, refs fragment.Refs) fragment.Result {
	t := streamTranslation{transport: streamTCP, protocols: []entity.Protocol{entity.ProtocolTCP, entity.ProtocolTLS}}
	t.routeObject = routeObject{
		ref: TCPRef(ing), annotations: ing.Annotations, refs: refs, stream: true,
		owner: fragment.Owner{Kind: fragment.OwnerTCPIngress, Namespace: ing.Namespace, Name: ing.Name},
	}
	for i, rule := range ing.Spec.Rules {
		t.rule(i, rule.Host, rule.Port, rule.Backend)
	}
	t.plugins()
	for i, section := range ing.Spec.TLS {
		t.tls(i, section.SecretName, section.Hosts)
	}
	return t.result
}

// TranslateUDP returns the stream routes of a UDPIngress, one for each rule, and
// the plugins attached to them.
func TranslateUDP(ing *kongv1beta1.UDPIngress, refs fragment.Refs) fragment.Result {
	t := streamTranslation{transport: streamUDP, suffix: ".udp", protocols: []entity.Protocol{entity.ProtocolUDP}}
	t.routeObject = routeObject{
		ref: UDPRef(ing), annotations: ing.Annotations, refs: refs, stream: true,
		owner: fragment.Owner{Kind: fragment.OwnerUDPIngress, Namespace: ing.Namespace, Name: ing.Name},
	}
	for i, rule := range ing.Spec.Rules {
		t.rule(i, "", rule.Port, rule.Backend)
	}
	t.plugins()
	return t.result
}

// streamTranslation is the state of one TranslateTCP or TranslateUDP call.
type streamTranslation struct {
	routeObject
	transport string // as in fragment.BackendKey
	suffix    string // of the routes' names
	protocols []entity.Protocol
}

// rule adds the route of a rule. Its host is a server name, which only TLS tells.
func (t *streamTranslation) rule(i int, host string, port int, to kongv1beta1.IngressBackend) {
	field := fmt.Sprintf("spec.rules[%d]", i)
	name := strings.Join([]string{t.owner.Namespace, t.owner.Name, strconv.Itoa(i)}, ".") + t.suffix
	backend := fragment.BackendKey{Namespace: t.owner.Namespace, Service: to.ServiceName, Port: strconv.Itoa(to.ServicePort), Stream: t.transport}
	r, _ := t.add(name, backend, field+".backend")
	if r == nil {
		return
	}
	r.Protocols = t.protocols
	r.Destinations = []entity.Endpoint{{Port: &port}}
	if host != "" {
		r.SNIs = []string{host}
	}
	t.check(r, annotateStream(r, t.annotations), field, "correct the port, host or annotation")
}
