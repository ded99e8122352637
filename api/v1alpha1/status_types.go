// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MaxStatusProblems is how many entries status.problems holds at most; status.problemCount counts
// all of them.
const MaxStatusProblems = 20

// KongIstioGatewayStatus is what the operator observed.
type KongIstioGatewayStatus struct {
	// conditions are, always all and in this order: Accepted, Paused, MeshReady, AddressReady,
	// RolledOut, Programmed, Available, Ready.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// addresses are where clients reach the gateway.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Addresses []Address `json:"addresses,omitempty"`

	// replicas is the number of proxies that exist.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Replicas *int32 `json:"replicas,omitempty"`

	// readyReplicas is the number of proxies that are ready.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ReadyReplicas *int32 `json:"readyReplicas,omitempty"`

	// selector selects the proxies' pods, in the form of a query string, for the scale subresource.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Selector string `json:"selector,omitempty"`

	// mesh is how the gateway takes part in the mesh.
	// +optional
	Mesh MeshStatus `json:"mesh,omitzero"`

	// attachedRoutes is the number of objects, of any route kind, whose routes this gateway serves.
	// +optional
	// +kubebuilder:validation:Minimum=0
	AttachedRoutes *int32 `json:"attachedRoutes,omitempty"`

	// proxies counts proxies by their state on the configuration stream.
	// +optional
	Proxies ProxiesStatus `json:"proxies,omitzero"`

	// version is the version of the proxies.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Version string `json:"version,omitempty"`

	// problems are what is wrong with objects that this gateway uses, worst first, at most 20.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	Problems []Problem `json:"problems,omitempty"`

	// problemCount is the number of all problems, also of those that problems has no room for.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ProblemCount *int32 `json:"problemCount,omitempty"`
}

// AddressType is the form of an address.
//
// +kubebuilder:validation:Enum=IPAddress;Hostname
type AddressType string

// Address types.
const (
	// AddressTypeIPAddress is an IPv4 or IPv6 address.
	AddressTypeIPAddress AddressType = "IPAddress"
	// AddressTypeHostname is a DNS name.
	AddressTypeHostname AddressType = "Hostname"
)

// Address is where clients reach the gateway.
type Address struct {
	// type is IPAddress or Hostname.
	// +required
	Type AddressType `json:"type,omitempty"`

	// value is the address.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Value string `json:"value,omitempty"`
}

// MeshStatus is how the gateway takes part in the mesh.
type MeshStatus struct {
	// mode is the mode in force: Sidecar, Ambient or None.
	// +optional
	Mode MeshMode `json:"mode,omitempty"`

	// revision is the Istio revision in force.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Revision string `json:"revision,omitempty"`
}

// ProxiesStatus counts proxies by their state on the configuration stream.
type ProxiesStatus struct {
	// connected is the number of proxies with an open stream.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Connected *int32 `json:"connected,omitempty"`

	// programmed is the number of proxies that acknowledged the newest configuration.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Programmed *int32 `json:"programmed,omitempty"`
}

// Problem is one thing that is wrong with one object that the gateway uses.
type Problem struct {
	// object is the object that is wrong.
	// +required
	Object ProblemObject `json:"object,omitzero"`

	// field is the path of the wrong field, where there is one.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Field string `json:"field,omitempty"`

	// reason is a word for programs, in CamelCase.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Reason string `json:"reason,omitempty"`

	// message says what is wrong and how to put it right.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// ProblemObject names an object.
type ProblemObject struct {
	// group is the API group; empty for the core group.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Group string `json:"group,omitempty"`

	// kind is the kind.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind,omitempty"`

	// namespace is the namespace; empty for cluster-scoped objects.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`

	// name is the name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`
}
