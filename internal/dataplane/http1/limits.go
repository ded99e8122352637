// SPDX-License-Identifier: Apache-2.0

package http1

// Limits bounds what one message may hold. A limit is on bytes as they arrive, line ends included. It is read only and
// may be shared.
type Limits struct {
	// RequestLine is the longest request line; beyond it the request is refused with 414. Kong:
	// nginx_http_large_client_header_buffers, its size.
	RequestLine int
	// HeaderLine is the longest header line. Kong: nginx_http_large_client_header_buffers, its size.
	HeaderLine int
	// HeadBytes is the longest head: request or status line and all header lines. Kong:
	// nginx_http_large_client_header_buffers (number times size), and nginx_proxy_proxy_buffer_size for responses.
	HeadBytes int
	// Fields is the largest number of header fields.
	Fields int
	// TrailerBytes is the longest trailer section of a chunked body.
	TrailerBytes int
	// Body is the longest request body in bytes, after decoding; 0 is no limit. Kong: client_max_body_size.
	Body int64
	// Untrusted drops fields that mesh sidecars trust (x-envoy-*, x-istio-*, x-forwarded-client-cert, and their
	// underscore forms) while parsing, as for every client that is not a trusted proxy.
	Untrusted bool
	// ClientCert keeps x-forwarded-client-cert, in that spelling, from an untrusted client: a sidecar stands before it,
	// which has replaced or removed the client's own.
	ClientCert bool
}

// DefaultLimits returns the limits of a listener: nginx's "large_client_header_buffers 4 8k", 1000 fields, 8 KiB of
// trailers, no body limit, untrusted.
func DefaultLimits() Limits {
	return Limits{RequestLine: 8 << 10, HeaderLine: 8 << 10, HeadBytes: 32 << 10, Fields: 1000, TrailerBytes: 8 << 10, Untrusted: true}
}

// DefaultResponseLimits returns the limits of an upstream: 32 KiB of head in lines of any length, 1000 fields.
func DefaultResponseLimits() Limits {
	return Limits{RequestLine: 32 << 10, HeaderLine: 32 << 10, HeadBytes: 32 << 10, Fields: 1000, TrailerBytes: 8 << 10}
}
