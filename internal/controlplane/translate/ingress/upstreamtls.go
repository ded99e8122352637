// SPDX-License-Identifier: Apache-2.0

package ingress

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// secured are the protocols of services that are reached over TLS.
func secured(p entity.Protocol) bool {
	switch p {
	case entity.ProtocolHTTPS, entity.ProtocolTLS, entity.ProtocolGRPCS:
		return true
	}
	return false
}

// upstreamTLS applies the annotations that name Secrets: who the gateway is
// towards the backend, and whom it believes.
func (b *backend) upstreamTLS(annotations map[string]string) {
	if name, set := annotations[fragment.AnnotationClientCert]; set {
		b.clientCertificate(strings.TrimSpace(name))
	}
	b.authorities(annotations)
}

func (b *backend) ignore(annotation, message, fix string) {
	b.result.Report(b.ref, fragment.AnnotationField(annotation), fragment.ReasonAnnotationIgnored, message+"; the annotation is ignored", fix)
}

func (b *backend) clientCertificate(secret string) {
	if !secured(b.service.Protocol) {
		b.ignore(fragment.AnnotationClientCert, "a client certificate needs a protocol over TLS",
			"set "+fragment.AnnotationProtocol+" to https, grpcs, wss or tls")
		return
	}
	facts := b.refs.Certificate(b.key.Namespace, secret)
	if facts.ID == "" {
		b.result.Report(b.ref, fragment.AnnotationField(fragment.AnnotationClientCert), facts.Reason,
			fmt.Sprintf("Secret %s/%s has no usable pair of certificate and key; the backend is not called", b.key.Namespace, secret),
			facts.Fix)
		b.unidentified = true
		return
	}
	b.service.ClientCertificate = &entity.Ref{ID: facts.ID}
}

// authorities lists the CAs that may have signed the backend's certificate. One
// that cannot be used is left out: that makes verification stricter. Without any
// the public authorities would be believed, so the backend is not called then.
func (b *backend) authorities(annotations map[string]string) {
	named := false
	for _, source := range []struct {
		annotation string
		facts      func(namespace, name string) fragment.CertificateFacts
	}{
		{fragment.AnnotationCACertificatesSecrets, b.refs.CACertificate},
		{fragment.AnnotationCACertificatesConfigMaps, b.refs.CAConfigMap},
	} {
		names := fragment.List(annotations[source.annotation])
		if len(names) == 0 {
			continue
		}
		if !secured(b.service.Protocol) || b.service.TLSVerify == nil || !*b.service.TLSVerify {
			b.ignore(source.annotation, "CA certificates need a protocol over TLS, and verification",
				"set "+fragment.AnnotationProtocol+": https and "+fragment.AnnotationTLSVerify+": \"true\"")
			continue
		}
		named = true
		for _, name := range fragment.Unique(names) {
			facts := source.facts(b.key.Namespace, name)
			if facts.ID == "" {
				b.result.Report(b.ref, fragment.AnnotationField(source.annotation), facts.Reason, facts.Message, facts.Fix)
				continue
			}
			if !slices.Contains(b.service.CACertificates, facts.ID) {
				b.service.CACertificates = append(b.service.CACertificates, facts.ID)
			}
		}
	}
	b.distrusted = named && len(b.service.CACertificates) == 0
}
