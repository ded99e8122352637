// SPDX-License-Identifier: Apache-2.0

package ingress

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Members of a Secret with a CA certificate (docs.konghq.com, "CA certificates
// with the ingress controller").
const (
	caCertificateID    = "id"
	caCertificateCert  = "cert"
	caCertificateCACrt = "ca.crt"
)

// TranslateCACertificate returns the Kong CA certificate of a Secret with the
// label konghq.com/ca-cert. Trouble is passed on to those who refer to it.
func TranslateCACertificate(namespace, name string, refs fragment.Refs) fragment.Result {
	secret := refs.Secret(namespace, name)
	fail := func(reason, message, fix string) fragment.Result {
		return fragment.Result{Facts: fragment.CertificateFacts{
			Reason: reason, Message: fmt.Sprintf("Secret %s/%s %s; it is believed by nobody", namespace, name, message), Fix: fix,
		}}
	}
	if secret == nil {
		return fail(fragment.ReasonSecretNotFound, "does not exist", "create the Secret, with the members id and cert")
	}
	if secret.Labels[fragment.LabelCACertificate] != "true" {
		return fail(fragment.ReasonSecretInvalid, "is not marked as a CA certificate", "label it "+fragment.LabelCACertificate+`: "true"`)
	}
	id := strings.ToLower(strings.TrimSpace(string(secret.Data[caCertificateID])))
	if _, err := uuid.Parse(id); err != nil {
		return fail(fragment.ReasonSecretInvalid, "has no UUID in its member id", "put a UUID of its own into "+caCertificateID)
	}
	cert := strings.TrimSpace(string(secret.Data[caCertificateCert]))
	if cert == "" {
		cert = strings.TrimSpace(string(secret.Data[caCertificateCACrt]))
	}
	if err := checkAuthority(cert); err != "" {
		return fail(fragment.ReasonCertificateInvalid, err, "put one PEM certificate of an authority into "+caCertificateCert)
	}
	claim := fragment.Claim{Scope: fragment.ClaimCACertificate, Value: id}
	self := fragment.Owner{Kind: fragment.OwnerCACertificate, Namespace: namespace, Name: name}
	if first, ok := refs.First(claim); ok && first.Owner != self {
		r := fail(fragment.ReasonConflict, fmt.Sprintf("has the id %s of Secret %s/%s", id, first.Owner.Namespace, first.Owner.Name), "give each CA certificate an id of its own")
		r.Claims = []fragment.Claim{claim}
		return r
	}
	return fragment.Result{
		Claims: []fragment.Claim{claim},
		Entities: []entity.Entity{&entity.CACertificate{
			ID: entity.ID(id), Cert: cert, Tags: fragment.Tags(fragment.RefOf("", "v1", "Secret", secret), nil),
		}},
		Facts: fragment.CertificateFacts{ID: entity.ID(id)},
	}
}

// checkAuthority returns what is wrong with a CA certificate, or nothing.
func checkAuthority(text string) string {
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" || strings.TrimSpace(string(rest)) != "" {
		return "does not hold exactly one PEM certificate"
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	switch {
	case err != nil:
		return "holds a certificate that cannot be read"
	case !cert.IsCA:
		return "holds a certificate that is not an authority's"
	}
	return ""
}
