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
	a := authority{
		owner: fragment.Owner{Kind: fragment.OwnerCACertificate, Namespace: namespace, Name: name},
		kind:  "Secret", invalid: fragment.ReasonSecretInvalid,
	}
	if secret == nil {
		return a.fail(fragment.ReasonSecretNotFound, "does not exist", "create the Secret, with the members id and cert")
	}
	a.ref, a.annotations = fragment.RefOf("", "v1", "Secret", secret), secret.Annotations
	a.marked = secret.Labels[fragment.LabelCACertificate] == "true"
	a.member = func(key string) string { return string(secret.Data[key]) }
	return a.translate(refs)
}

// TranslateCAConfigMap is TranslateCACertificate for a ConfigMap.
func TranslateCAConfigMap(namespace, name string, refs fragment.Refs) fragment.Result {
	configMap := refs.ConfigMap(namespace, name)
	a := authority{
		owner: fragment.Owner{Kind: fragment.OwnerCAConfigMap, Namespace: namespace, Name: name},
		kind:  "ConfigMap", invalid: fragment.ReasonConfigMapInvalid,
	}
	if configMap == nil {
		return a.fail(fragment.ReasonConfigMapNotFound, "does not exist, or is not marked as a CA certificate",
			"create the ConfigMap, with the members id and cert, and label it "+fragment.LabelCACertificate+`: "true"`)
	}
	a.ref, a.annotations = fragment.RefOf("", "v1", "ConfigMap", configMap), configMap.Annotations
	a.marked = configMap.Labels[fragment.LabelCACertificate] == "true"
	a.member = func(key string) string { return configMap.Data[key] }
	return a.translate(refs)
}

// authority is the CA certificate in a Secret or ConfigMap.
type authority struct {
	owner  fragment.Owner
	kind   string
	ref    fragment.ObjectRef
	marked bool
	// annotations are the object's.
	annotations map[string]string
	member      func(key string) string
	// invalid is the reason when the object's members are wrong.
	invalid string
}

func (a *authority) fail(reason, message, fix string) fragment.Result {
	return fragment.Result{Facts: fragment.CertificateFacts{
		Reason: reason, Message: fmt.Sprintf("%s %s/%s %s; it is believed by nobody", a.kind, a.owner.Namespace, a.owner.Name, message), Fix: fix,
	}}
}

func (a *authority) translate(refs fragment.Refs) fragment.Result {
	if !a.marked {
		return a.fail(a.invalid, "is not marked as a CA certificate", "label it "+fragment.LabelCACertificate+`: "true"`)
	}
	id := strings.ToLower(strings.TrimSpace(a.member(caCertificateID)))
	if _, err := uuid.Parse(id); err != nil {
		return a.fail(a.invalid, "has no UUID in its member id", "put a UUID of its own into "+caCertificateID)
	}
	cert := strings.TrimSpace(a.member(caCertificateCert))
	if cert == "" {
		cert = strings.TrimSpace(a.member(caCertificateCACrt))
	}
	if err := checkAuthority(cert); err != "" {
		return a.fail(fragment.ReasonCertificateInvalid, err, "put one PEM certificate of an authority into "+caCertificateCert)
	}
	claim := fragment.Claim{Scope: fragment.ClaimCACertificate, Value: id}
	if first, ok := refs.First(claim); ok && first.Owner != a.owner {
		r := a.fail(fragment.ReasonConflict, fmt.Sprintf("has the id %s of %s", id, whose(first.Owner)), "give each CA certificate an id of its own")
		r.Claims = []fragment.Claim{claim}
		return r
	}
	// Kong has each certificate once: who brings it again means the same one.
	digest := fragment.Claim{Scope: fragment.ClaimCADigest, Value: fragment.CertificateDigest(cert), Data: id}
	if first, ok := refs.First(digest); ok && first.Owner != a.owner {
		return fragment.Result{Claims: []fragment.Claim{claim, digest}, Facts: fragment.CertificateFacts{ID: entity.ID(first.Data)}}
	}
	return fragment.Result{
		Claims:   []fragment.Claim{claim, digest},
		Entities: []entity.Entity{&entity.CACertificate{ID: entity.ID(id), Cert: cert, Tags: fragment.Tags(a.ref, a.annotations)}},
		Facts:    fragment.CertificateFacts{ID: entity.ID(id)},
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

// whose names the object that a claimant is made from.
func whose(o fragment.Owner) string {
	kind := "Secret"
	switch o.Kind {
	case fragment.OwnerCAConfigMap:
		kind = "ConfigMap"
	case fragment.OwnerCustomEntity:
		kind = string(o.Kind)
	}
	return kind + " " + o.Namespace + "/" + o.Name
}
