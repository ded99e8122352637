// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
)

// CIDR is an IP address range, such as 192.0.2.0/24 or 2001:db8::/32.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=49
// +kubebuilder:validation:XValidation:rule="isCIDR(self)",message="must be an address range in CIDR form, such as 192.0.2.0/24 or 2001:db8::/32"
type CIDR string

// Service shapes the Service in front of the proxies.
//
// +kubebuilder:validation:XValidation:rule="!has(self.loadBalancerClass) || self.type == 'LoadBalancer'",message="loadBalancerClass is only for type LoadBalancer; remove it or change the type"
// +kubebuilder:validation:XValidation:rule="!has(self.loadBalancerSourceRanges) || self.type == 'LoadBalancer'",message="loadBalancerSourceRanges is only for type LoadBalancer; remove it or change the type"
// +kubebuilder:validation:XValidation:rule="!has(self.nodePorts) || self.type != 'ClusterIP'",message="nodePorts is only for type LoadBalancer or NodePort; remove it or change the type"
// +kubebuilder:validation:XValidation:rule="!(self.type == 'LoadBalancer' && oldSelf.type == 'LoadBalancer') || (has(self.loadBalancerClass) == has(oldSelf.loadBalancerClass) && (!has(self.loadBalancerClass) || self.loadBalancerClass == oldSelf.loadBalancerClass))",message="loadBalancerClass cannot change while type is LoadBalancer, Kubernetes forbids it; set type: ClusterIP first, then LoadBalancer with the new class (the address will change)"
type Service struct {
	// type is LoadBalancer, NodePort or ClusterIP.
	// +optional
	// +kubebuilder:default=LoadBalancer
	// +kubebuilder:validation:Enum=LoadBalancer;NodePort;ClusterIP
	Type corev1.ServiceType `json:"type,omitempty"`

	// annotations are set on the Service, for instance to steer a cloud's load balancer. A key
	// that is removed here is removed from the Service.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('gateway.konghq.com/'))",message="annotations gateway.konghq.com/* belong to the operator; use other keys"
	Annotations map[string]string `json:"annotations,omitempty"`

	// loadBalancerClass chooses the load balancer implementation. It cannot change while type
	// stays LoadBalancer.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=316
	LoadBalancerClass string `json:"loadBalancerClass,omitempty"`

	// loadBalancerSourceRanges are the only client addresses that the load balancer lets in.
	// Default: all.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	LoadBalancerSourceRanges []CIDR `json:"loadBalancerSourceRanges,omitempty"`

	// externalTrafficPolicy is Local (keeps the client's address) or Cluster (spreads over all
	// nodes, hides the client's address). Not used with type ClusterIP.
	// +optional
	// +kubebuilder:default=Local
	// +kubebuilder:validation:Enum=Local;Cluster
	ExternalTrafficPolicy corev1.ServiceExternalTrafficPolicy `json:"externalTrafficPolicy,omitempty"`

	// ipFamilyPolicy is SingleStack, PreferDualStack or RequireDualStack. Default: the cluster's.
	// +optional
	// +kubebuilder:validation:Enum=SingleStack;PreferDualStack;RequireDualStack
	IPFamilyPolicy corev1.IPFamilyPolicy `json:"ipFamilyPolicy,omitempty"`

	// nodePorts fixes node ports per listener. Default: chosen by Kubernetes.
	// +optional
	// +listType=map
	// +listMapKey=listener
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, a.nodePort == b.nodePort))",message="two entries use the same nodePort; give each listener a nodePort of its own"
	NodePorts []NodePort `json:"nodePorts,omitempty"`
}

// NodePort fixes the node port of one listener.
type NodePort struct {
	// listener is the name of the listener.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=15
	Listener string `json:"listener,omitempty"`

	// nodePort is the port on every node; it must lie in the cluster's node port range, which is
	// 30000 to 32767 unless the cluster says otherwise.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	NodePort int32 `json:"nodePort,omitempty"`
}
