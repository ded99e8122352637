// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
)

// Ports of the proxy's pod that no listener may use.
const (
	// ConfigStreamPort is the TCP port of the manager on which proxies fetch their configuration.
	ConfigStreamPort int32 = 8005
	// StatusPort is the container port of the proxy's status listener (/status, /metrics); the
	// default of Kong's status API.
	StatusPort int32 = 8007
	// IstioPortFirst and IstioPortLast bound the ports that Istio's sidecar uses for itself.
	IstioPortFirst int32 = 15000
	// IstioPortLast is the last of the sidecar's ports; see IstioPortFirst.
	IstioPortLast int32 = 15090
)

// StatusPortName is the name of the status container port; no listener may have it.
const StatusPortName = "status"

// ListenerProtocol is what a listener speaks with clients.
//
// +kubebuilder:validation:Enum=HTTP;HTTPS;TLS;TCP;UDP
type ListenerProtocol string

// Listener protocols.
const (
	// ProtocolHTTP is plain HTTP/1.1 and HTTP/2 with prior knowledge.
	ProtocolHTTP ListenerProtocol = "HTTP"
	// ProtocolHTTPS is HTTP over TLS; the certificate is chosen by SNI.
	ProtocolHTTPS ListenerProtocol = "HTTPS"
	// ProtocolTLS is a byte stream over TLS, routed by SNI: terminated for routes of protocol tls, passed on as it is for
	// those of tls_passthrough.
	ProtocolTLS ListenerProtocol = "TLS"
	// ProtocolTCP is a plain byte stream, routed by port.
	ProtocolTCP ListenerProtocol = "TCP"
	// ProtocolUDP is datagrams, routed by port.
	ProtocolUDP ListenerProtocol = "UDP"
)

// ListenerExposure is who reaches a listener, and how.
//
// +kubebuilder:validation:Enum=External;Mesh
type ListenerExposure string

// Listener exposures.
const (
	// ExposureExternal is for clients outside the mesh: the port bypasses the sidecar inbound, so
	// that the proxy sees the client's address and bytes.
	ExposureExternal ListenerExposure = "External"
	// ExposureMesh is for callers inside the mesh: the sidecar captures the port and demands mTLS.
	ExposureMesh ListenerExposure = "Mesh"
)

// Listener is one port that the gateway offers.
//
// +kubebuilder:validation:XValidation:rule="!has(self.tls) || self.protocol in ['HTTPS', 'TLS']",message="tls is only for protocol HTTPS or TLS; remove tls or change the protocol"
// +kubebuilder:validation:XValidation:rule="self.protocol != 'UDP' || self.exposure == 'External'",message="protocol UDP needs exposure External, because the sidecar does not carry UDP; set exposure: External"
// +kubebuilder:validation:XValidation:rule="has(self.containerPort) || self.port >= 1024 || self.port in [80, 443]",message="containerPort is required for a port below 1024 other than 80 and 443, because the proxy runs without privileges; set containerPort to a free port from 1024 up"
// +kubebuilder:validation:XValidation:rule="(has(self.containerPort) ? self.containerPort : self.port) < 15000 || (has(self.containerPort) ? self.containerPort : self.port) > 15090",message="container ports 15000 to 15090 belong to Istio's sidecar; set containerPort to another port"
// +kubebuilder:validation:XValidation:rule="!((has(self.containerPort) ? self.containerPort : self.port) in [8005, 8007])",message="container ports 8005 (configuration stream) and 8007 (status listener) belong to the gateway itself; set containerPort to another port"
type Listener struct {
	// name tells the listener apart; it is the name of the Service's and the container's port.
	// At most 15 characters: lower case letters, digits and single '-', starting with a letter.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=15
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z](-?[a-z0-9])*$')",message="must be a port name: at most 15 lower case letters, digits and single '-', starting with a letter"
	// +kubebuilder:validation:XValidation:rule="self != 'status'",message="the name status belongs to the gateway's own status port; choose another name"
	Name string `json:"name,omitempty"`

	// port is the port of the Service, the one that clients use.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// containerPort is the port that the proxy listens on inside its pod. Default: 8000 for port
	// 80, 8443 for port 443, else the same as port. Not 8005, 8007 or 15000 to 15090.
	// +optional
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=65535
	ContainerPort int32 `json:"containerPort,omitempty"`

	// protocol is what the listener speaks: HTTP, HTTPS, TLS, TCP or UDP. TLS, TCP and UDP are
	// for stream routes (TCPIngress, UDPIngress), whose port is the listener's port.
	// +optional
	// +kubebuilder:default=HTTP
	Protocol ListenerProtocol `json:"protocol,omitempty"`

	// exposure is External (clients outside the mesh; the port bypasses the sidecar inbound and
	// the proxy sees the client's address) or Mesh (callers inside the mesh; captured by the
	// sidecar, mTLS demanded). Without a mesh both mean the same.
	// +optional
	// +kubebuilder:default=External
	Exposure ListenerExposure `json:"exposure,omitempty"`

	// tls is how a listener of protocol HTTPS or TLS terminates TLS.
	// +optional
	TLS *ListenerTLS `json:"tls,omitempty"`
}

// ListenerTLS is how a listener terminates TLS.
type ListenerTLS struct {
	// defaultCertificate names the Secret, of type kubernetes.io/tls and in the gateway's
	// namespace, whose certificate is shown when no certificate matches the client's SNI.
	// Without it the proxy shows a self-signed one, as Kong does. Declared but not acted on yet: a
	// gateway that sets it is not accepted.
	// +optional
	DefaultCertificate *SecretReference `json:"defaultCertificate,omitempty"`
}

// SecretReference names a Secret in the gateway's own namespace.
type SecretReference struct {
	// name is the Secret's name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be the name of a Secret in the gateway's namespace: a DNS-1123 subdomain"
	Name string `json:"name,omitempty"`
}

// TargetPort is the container port that the listener really uses: containerPort, or its default.
func (l Listener) TargetPort() int32 {
	switch {
	case l.ContainerPort != 0:
		return l.ContainerPort
	case l.Port == 80:
		return 8000
	case l.Port == 443:
		return 8443
	default:
		return l.Port
	}
}

// Transport is the transport protocol below the listener's protocol: UDP or TCP.
func (l Listener) Transport() corev1.Protocol {
	if l.Protocol == ProtocolUDP {
		return corev1.ProtocolUDP
	}
	return corev1.ProtocolTCP
}
