// SPDX-License-Identifier: Apache-2.0

package ingress

import (
	"fmt"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// serviceField is a field of a Kong service that an annotation sets.
type serviceField struct {
	annotation string
	reset      func(*entity.Service)
}

var serviceFields = map[string]serviceField{
	"protocol":           {fragment.AnnotationProtocol, func(s *entity.Service) { s.Protocol = "" }},
	"path":               {fragment.AnnotationPath, func(s *entity.Service) { s.Path = "" }},
	"retries":            {fragment.AnnotationRetries, func(s *entity.Service) { s.Retries = nil }},
	"connect_timeout":    {fragment.AnnotationConnectTimeout, func(s *entity.Service) { s.ConnectTimeout = nil }},
	"write_timeout":      {fragment.AnnotationWriteTimeout, func(s *entity.Service) { s.WriteTimeout = nil }},
	"read_timeout":       {fragment.AnnotationReadTimeout, func(s *entity.Service) { s.ReadTimeout = nil }},
	"client_certificate": {fragment.AnnotationClientCert, func(s *entity.Service) { s.ClientCertificate = nil }},
	"ca_certificates":    {fragment.AnnotationCACertificatesSecrets, func(s *entity.Service) { s.CACertificates = nil }},
	"tls_verify":         {fragment.AnnotationTLSVerify, func(s *entity.Service) { s.TLSVerify = nil }},
	"tls_verify_depth":   {fragment.AnnotationTLSVerifyDepth, func(s *entity.Service) { s.TLSVerifyDepth = nil }},
}

// repair takes back, one by one, what annotations set and Kong does not accept,
// alone or together with what else they set. It reports false when something
// else is wrong.
func (b *backend) repair() bool {
	for tries := 0; ; tries++ {
		problems := b.refs.Check(b.service)
		if len(problems) == 0 {
			break
		}
		field, known := serviceFields[problems[0].Field]
		if !known || tries == len(serviceFields) {
			return b.unrepaired(problems[0])
		}
		if b.unverifiable(problems[0].Field) {
			b.distrusted = true
		}
		field.reset(b.service)
		b.result.Report(b.ref, fragment.AnnotationField(field.annotation), fragment.ReasonAnnotationIgnored,
			fmt.Sprintf("%s: %s; the annotation is ignored", problems[0].Field, problems[0].Message),
			"correct the annotation, or "+fragment.AnnotationProtocol)
	}
	problems := b.refs.Check(b.upstream)
	if len(problems) > 0 && problems[0].Field == "host_header" {
		b.upstream.HostHeader = ""
		b.result.Report(b.ref, fragment.AnnotationField(fragment.AnnotationHostHeader), fragment.ReasonAnnotationIgnored,
			fmt.Sprintf("host_header: %s; the annotation is ignored", problems[0].Message), "write a host name, with a port if need be")
		problems = b.refs.Check(b.upstream)
	}
	return len(problems) == 0 || b.unrepaired(problems[0])
}

// unverifiable reports whether a field that has to be taken back asks for the
// verification of a connection that goes over TLS all the same.
func (b *backend) unverifiable(field string) bool {
	return field == "tls_verify" && *b.service.TLSVerify && secured(b.service.Protocol)
}

func (b *backend) unrepaired(p entity.Problem) bool {
	b.result.Report(b.ref, "metadata.annotations", fragment.ReasonAnnotationIgnored,
		fmt.Sprintf("%s: %s; the Service's annotations are ignored", p.Field, p.Message), "correct the annotation")
	return false
}
