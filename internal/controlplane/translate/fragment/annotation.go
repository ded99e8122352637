// SPDX-License-Identifier: Apache-2.0

package fragment

import (
	"slices"
	"strings"
)

// Values of spec.controller of an IngressClass.
const (
	// Controller is ours, and our name in the status of policies.
	Controller = "gateway.konghq.com/kong-istio-gateway"
	// KongController is that of Kong's own ingress controller.
	KongController = "ingress-controllers.konghq.com/kong"
)

// Annotation keys. The prefix and the names are Kong's; see
// https://developer.konghq.com/kubernetes-ingress-controller/reference/annotations/.
const (
	AnnotationPrefix = "konghq.com/"

	AnnotationClass            = "kubernetes.io/ingress.class"
	AnnotationDefaultClass     = "ingressclass.kubernetes.io/is-default-class"
	AnnotationForceSSLRedirect = "ingress.kubernetes.io/force-ssl-redirect"
	AnnotationServiceUpstream  = "ingress.kubernetes.io/service-upstream"

	AnnotationPlugins                 = AnnotationPrefix + "plugins"
	AnnotationTags                    = AnnotationPrefix + "tags"
	AnnotationProtocols               = AnnotationPrefix + "protocols"
	AnnotationStripPath               = AnnotationPrefix + "strip-path"
	AnnotationPreserveHost            = AnnotationPrefix + "preserve-host"
	AnnotationHTTPSRedirectStatusCode = AnnotationPrefix + "https-redirect-status-code"
	AnnotationRegexPriority           = AnnotationPrefix + "regex-priority"
	AnnotationRegexPrefix             = AnnotationPrefix + "regex-prefix"
	AnnotationMethods                 = AnnotationPrefix + "methods"
	AnnotationSNIs                    = AnnotationPrefix + "snis"
	AnnotationRequestBuffering        = AnnotationPrefix + "request-buffering"
	AnnotationResponseBuffering       = AnnotationPrefix + "response-buffering"
	AnnotationHostAliases             = AnnotationPrefix + "host-aliases"
	AnnotationHeadersPrefix           = AnnotationPrefix + "headers."
	AnnotationHeadersSeparator        = AnnotationPrefix + "headers-separator"
	AnnotationPathHandling            = AnnotationPrefix + "path-handling"
	AnnotationRewrite                 = AnnotationPrefix + "rewrite"

	AnnotationProtocol       = AnnotationPrefix + "protocol"
	AnnotationPath           = AnnotationPrefix + "path"
	AnnotationHostHeader     = AnnotationPrefix + "host-header"
	AnnotationConnectTimeout = AnnotationPrefix + "connect-timeout"
	AnnotationWriteTimeout   = AnnotationPrefix + "write-timeout"
	AnnotationReadTimeout    = AnnotationPrefix + "read-timeout"
	AnnotationRetries        = AnnotationPrefix + "retries"
	AnnotationTLSVerify      = AnnotationPrefix + "tls-verify"
	AnnotationTLSVerifyDepth = AnnotationPrefix + "tls-verify-depth"

	AnnotationUpstreamPolicy           = AnnotationPrefix + "upstream-policy"
	AnnotationOverride                 = AnnotationPrefix + "override"
	AnnotationClientCert               = AnnotationPrefix + "client-cert"
	AnnotationCACertificatesSecrets    = AnnotationPrefix + "ca-certificates-secrets"
	AnnotationCACertificatesConfigMaps = AnnotationPrefix + "ca-certificates-configmaps"

	// LabelCACertificate marks Secrets that hold a CA certificate.
	LabelCACertificate = AnnotationPrefix + "ca-cert"
)

// Labels.
const (
	LabelCredential = "konghq.com/credential"
	LabelGlobal     = "global"
)

// AnnotationField returns the field path of an annotation.
func AnnotationField(key string) string { return "metadata.annotations[" + key + "]" }

// List splits a comma list, trims its entries and drops empty ones.
func List(value string) []string {
	return Split(value, ",")
}

// Split splits value at sep, trims the entries and drops empty ones.
func Split(value, sep string) []string {
	var out []string
	for v := range strings.SplitSeq(value, sep) {
		if v = strings.TrimSpace(v); v != "" {
			out = append(out, v)
		}
	}
	return out
}

// Unique returns the entries of list without repetitions, in their first order.
// What it returns is not to be changed: it may be list.
func Unique(list []string) []string {
	if len(list) < 2 {
		return list
	}
	out := make([]string, 0, len(list))
	for _, v := range list {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}
