// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// AddressRange is an IP address or an address range in CIDR form.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=49
// +kubebuilder:validation:XValidation:rule="isIP(self) || isCIDR(self)",message="must be an IP address or an address range in CIDR form, such as 192.0.2.7 or 192.0.2.0/24"
type AddressRange string

// Size is a number of bytes as Kong and nginx write it: digits, then k (1024), m (1024²), g
// (1024³) or nothing.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=12
// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]{1,11}[kKmMgG]?$')",message="must be a size as Kong writes it: digits, then k, m, g or nothing, such as 8k or 10m"
type Size string

// ResponseHeader is a header, or a group of headers, that the proxy adds to responses; an element
// of Kong's setting headers.
//
// +kubebuilder:validation:Enum=server_tokens;latency_tokens;Server;Via;X-Kong-Proxy-Latency;X-Kong-Response-Latency;X-Kong-Upstream-Latency;X-Kong-Admin-Latency;X-Kong-Upstream-Status;X-Kong-Request-Id;None
type ResponseHeader string

// ResponseHeaderNone switches all of Kong's response headers off: Kong's own word "off" is a
// boolean in YAML.
const ResponseHeaderNone ResponseHeader = "None"

// RealIPProxyProtocol is the realIPHeader with which the client's address comes by the PROXY
// protocol.
const RealIPProxyProtocol = "proxy_protocol"

// Proxy holds Kong's own settings, under Kong's names in camel case. See Kong's configuration
// reference, section NGINX, for their meaning.
type Proxy struct {
	// trustedIPs (Kong: trusted_ips) are the addresses whose X-Forwarded-* headers, and whose
	// word about the client's address, the proxy believes. Default: none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	TrustedIPs []AddressRange `json:"trustedIPs,omitempty"`

	// realIPHeader (Kong: real_ip_header) is the request header that holds the client's address
	// when the peer is one of trustedIPs. The value proxy_protocol makes every External listener
	// but those of UDP expect the PROXY protocol, versions 1 and 2: connections that do not begin
	// with its header are closed, and the address in it is believed from trustedIPs.
	// +optional
	// +kubebuilder:default="X-Real-IP"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_-]+$')",message="must be a header name such as X-Real-IP or X-Forwarded-For, or proxy_protocol"
	RealIPHeader string `json:"realIPHeader,omitempty"`

	// realIPRecursive (Kong: real_ip_recursive) makes the proxy take the last address of
	// realIPHeader that is not one of trustedIPs, instead of the last one. Default: false.
	// +optional
	RealIPRecursive bool `json:"realIPRecursive,omitempty"`

	// headers (Kong: headers) are the headers that the proxy adds to responses. Default:
	// server_tokens, latency_tokens, X-Kong-Request-Id. None alone switches all of them off.
	// +optional
	// +listType=set
	// +kubebuilder:default={"server_tokens","latency_tokens","X-Kong-Request-Id"}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=11
	// +kubebuilder:validation:XValidation:rule="!('None' in self) || size(self) == 1",message="None excludes every other header; remove None or the others"
	Headers []ResponseHeader `json:"headers,omitempty"`

	// clientMaxBodySize (Kong: nginx_http_client_max_body_size) is the largest request body, in
	// bytes with an optional unit k, m or g; a larger one is answered 413. Default: 0, no limit.
	// +optional
	// +kubebuilder:default="0"
	ClientMaxBodySize Size `json:"clientMaxBodySize,omitempty"`

	// clientBodyBufferSize (Kong: nginx_http_client_body_buffer_size) is how much of a request
	// body is kept in memory for plugins that read it. Default: 8k.
	// +optional
	// +kubebuilder:default="8k"
	ClientBodyBufferSize Size `json:"clientBodyBufferSize,omitempty"`

	// largeClientHeaderBuffers (Kong: nginx_http_large_client_header_buffers) bounds the request
	// line and headers. Default: 4 buffers of 8k.
	// +optional
	// +kubebuilder:default={}
	LargeClientHeaderBuffers HeaderBuffers `json:"largeClientHeaderBuffers,omitzero"`

	// compatibility is the Kong whose defaults stand for what routes, services and plugins leave open.
	// +optional
	// +kubebuilder:default={}
	Compatibility Compatibility `json:"compatibility,omitzero"`
}

// Compatibility picks the defaults of a release line of Kong.
type Compatibility struct {
	// mode Kong39 has the defaults of Kong 3.9. With Kong314, those of Kong 3.14, routes without
	// protocols serve https only (plain HTTP is answered 426), certificates of upstreams and of
	// plugins' endpoints are verified, and authentication plugins hide credentials from upstreams,
	// unless the object says otherwise.
	// +optional
	// +kubebuilder:default=Kong39
	Mode CompatibilityMode `json:"mode,omitempty"`
}

// CompatibilityMode names a release line of Kong.
//
// +kubebuilder:validation:Enum=Kong39;Kong314
type CompatibilityMode string

// The modes of Compatibility.
const (
	CompatibilityKong39  CompatibilityMode = "Kong39"
	CompatibilityKong314 CompatibilityMode = "Kong314"
)

// HeaderBuffers bounds the request line and headers: each must fit one buffer, all together the
// sum of them. A longer line is answered 414, longer headers 400.
type HeaderBuffers struct {
	// number is the number of buffers.
	// +optional
	// +kubebuilder:default=4
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1024
	Number int32 `json:"number,omitempty"`

	// size is the size of each buffer, in bytes with an optional unit k, m or g.
	// +optional
	// +kubebuilder:default="8k"
	Size Size `json:"size,omitempty"`
}
