// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// KongIstioGateway describes a fleet of Kong gateway proxies inside an Istio mesh. The operator
// creates the fleet with everything that it needs to work under STRICT mTLS, keeps it correct, and
// streams to it the routes, plugins and consumers of the named ingress class.
//
// The name becomes a Service name and a label value, hence its limits.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.deployment.replicas,statuspath=.status.replicas,selectorpath=.status.selector
// +kubebuilder:resource:scope=Namespaced,path=kongistiogateways,singular=kongistiogateway,shortName=kig
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,description="The gateway as a whole works at its current generation"
// +kubebuilder:printcolumn:name="Address",type=string,JSONPath=`.status.addresses[*].value`,description="Where clients reach the gateway"
// +kubebuilder:printcolumn:name="Replicas",type=integer,JSONPath=`.status.replicas`,description="Number of proxies"
// +kubebuilder:printcolumn:name="Mesh",type=string,JSONPath=`.status.mesh.mode`,description="How the gateway takes part in the mesh"
// +kubebuilder:printcolumn:name="Routes",type=integer,JSONPath=`.status.attachedRoutes`,description="Number of objects whose routes this gateway serves"
// +kubebuilder:printcolumn:name="Programmed",type=string,JSONPath=`.status.conditions[?(@.type=="Programmed")].status`,description="The proxies acknowledged the configuration"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Revision",type=string,priority=1,JSONPath=`.status.mesh.revision`,description="The Istio revision in force"
// +kubebuilder:printcolumn:name="Version",type=string,priority=1,JSONPath=`.status.version`,description="The proxies' version"
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`,description="Why the gateway is ready or not"
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 40",message="metadata.name: must be at most 40 characters, because it becomes a Service name and a label value; choose a shorter name",reason=FieldValueInvalid
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name: must be a DNS-1035 label (lower case letters, digits and '-', starting with a letter, ending with a letter or digit), because it becomes a Service name",reason=FieldValueInvalid
type KongIstioGateway struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is what the gateway should be. An empty spec is a complete gateway: class kong, ports
	// 80 and 443 behind a LoadBalancer, member of the mesh if there is one.
	// +optional
	// +kubebuilder:default={}
	Spec KongIstioGatewaySpec `json:"spec,omitzero"`

	// status is what the operator observed.
	// +optional
	Status KongIstioGatewayStatus `json:"status,omitzero"`
}

// KongIstioGatewayList is a list of KongIstioGateway.
//
// +kubebuilder:object:root=true
type KongIstioGatewayList struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitzero"`

	// items are the gateways.
	Items []KongIstioGateway `json:"items"`
}

// KongIstioGatewaySpec is the wanted state of a gateway.
//
// +kubebuilder:validation:XValidation:rule="!has(self.service) || !has(self.service.nodePorts) || self.service.nodePorts.all(n, self.listeners.exists(l, l.name == n.listener))",message="spec.service.nodePorts: each entry must name one of spec.listeners; correct the listener's name or remove the entry"
type KongIstioGatewaySpec struct {
	// ingressClassName is the class whose objects this gateway serves. The operator creates the
	// IngressClass if it is absent and marks it as owned by this gateway; a second gateway that
	// names the same class is refused with condition Accepted=False, reason ClassClaimed.
	// Setting or changing it needs the verb "claim" on ingressclasses/<name>.
	// +optional
	// +kubebuilder:default=kong
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be a DNS-1123 subdomain, as every IngressClass name; use lower case letters, digits, '-' and '.'"
	IngressClassName string `json:"ingressClassName,omitempty"`

	// listeners are the ports that the gateway offers. Default: http (80 to container port 8000)
	// and https (443 to container port 8443), both External.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:default={{name: "http", port: 80, containerPort: 8000, protocol: "HTTP", exposure: "External"}, {name: "https", port: 443, containerPort: 8443, protocol: "HTTPS", exposure: "External"}}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, a.port == b.port && (a.protocol == 'UDP') == (b.protocol == 'UDP')))",message="two listeners use the same port with the same transport (TCP or UDP); give each listener a port of its own"
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, (has(a.containerPort) ? a.containerPort : a.port == 80 ? 8000 : a.port == 443 ? 8443 : a.port) == (has(b.containerPort) ? b.containerPort : b.port == 80 ? 8000 : b.port == 443 ? 8443 : b.port) && (a.protocol == 'UDP') == (b.protocol == 'UDP')))",message="two listeners use the same containerPort with the same transport (TCP or UDP); give each listener a containerPort of its own"
	Listeners []Listener `json:"listeners,omitempty"`

	// deployment shapes the proxies' pods.
	// +optional
	// +kubebuilder:default={}
	Deployment Deployment `json:"deployment,omitzero"`

	// service shapes the Service in front of the proxies.
	// +optional
	// +kubebuilder:default={}
	Service Service `json:"service,omitzero"`

	// proxy holds Kong's own settings for the proxies.
	// +optional
	// +kubebuilder:default={}
	Proxy Proxy `json:"proxy,omitzero"`

	// mesh is how the gateway takes part in the Istio mesh.
	// +optional
	// +kubebuilder:default={}
	Mesh Mesh `json:"mesh,omitzero"`

	// drain is how a proxy that is asked to stop ends its work.
	// +optional
	// +kubebuilder:default={}
	Drain Drain `json:"drain,omitzero"`

	// rollout is how a change of the pods reaches the fleet.
	// +optional
	// +kubebuilder:default={}
	Rollout Rollout `json:"rollout,omitzero"`

	// observability is what the gateway tells about itself.
	// +optional
	// +kubebuilder:default={}
	Observability Observability `json:"observability,omitzero"`

	// paused freezes the gateway's child objects: the operator writes none of them until it is
	// unset. Status and the configuration stream go on; condition Paused says so. A deletion is
	// carried out all the same.
	// +optional
	Paused bool `json:"paused,omitempty"`
}
