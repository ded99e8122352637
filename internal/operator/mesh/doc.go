// SPDX-License-Identifier: Apache-2.0

// Package mesh is what the operator knows about Istio: who injects sidecars, how a pod proves that it has one, which
// policy objects win, and which egress scope the gateway needs. Everything here is a pure function over objects that
// somebody else read.
package mesh

// Labels and annotations that Istio reads and writes on pods and namespaces.
const (
	LabelInject          = "sidecar.istio.io/inject"
	LabelRevision        = "istio.io/rev"
	LabelTag             = "istio.io/tag"
	LabelDataplaneMode   = "istio.io/dataplane-mode"
	LabelNamespaceInject = "istio-injection"

	AnnotationExcludeInboundPorts  = "traffic.sidecar.istio.io/excludeInboundPorts"
	AnnotationExcludeOutboundPorts = "traffic.sidecar.istio.io/excludeOutboundPorts"
	AnnotationRewriteProbers       = "sidecar.istio.io/rewriteAppHTTPProbers"
	AnnotationProxyConfig          = "proxy.istio.io/config"

	annotationStatus   = "sidecar.istio.io/status"
	annotationRevision = "istio.io/rev"

	// DefaultRevision is the name of the revision of an install that names none.
	DefaultRevision = "default"

	sidecarContainer = "istio-proxy"
)
