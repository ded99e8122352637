// SPDX-License-Identifier: Apache-2.0

package ingress

import (
	"bytes"
	"crypto/tls"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// TranslateCertificate returns the Kong certificate of a TLS Secret. Trouble is
// passed on to those who refer to the Secret; its content never is.
func TranslateCertificate(namespace, name string, refs fragment.Refs) fragment.Result {
	secret := refs.Secret(namespace, name)
	if secret == nil {
		return fragment.Result{Facts: fragment.CertificateFacts{
			Reason:  fragment.ReasonSecretNotFound,
			Message: fmt.Sprintf("Secret %s/%s does not exist; clients get the gateway's default certificate", namespace, name),
			Fix:     "create the Secret, of type kubernetes.io/tls",
		}}
	}
	cert, key := bytes.TrimSpace(secret.Data[corev1.TLSCertKey]), bytes.TrimSpace(secret.Data[corev1.TLSPrivateKeyKey])
	ref := fragment.RefOf("", "v1", "Secret", secret)
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		facts := fragment.CertificateFacts{
			Reason: fragment.ReasonCertificateInvalid,
			Message: fmt.Sprintf("Secret %s/%s holds no matching pair of certificate and key; clients get the gateway's default certificate",
				namespace, name),
			Fix: "put a PEM certificate chain into " + corev1.TLSCertKey + " and its private key into " + corev1.TLSPrivateKeyKey,
		}
		r := fragment.Result{Facts: facts, Invalid: true}
		r.Report(ref, "data", facts.Reason, "the Secret holds no matching pair of certificate and key", facts.Fix)
		return r
	}
	id := fragment.ID(entity.KindCertificate, namespace+"/"+name)
	return fragment.Result{
		Entities: []entity.Entity{&entity.Certificate{
			ID: id, Cert: string(cert), Key: string(key), Tags: fragment.Tags(ref, secret.Annotations),
		}},
		Facts: fragment.CertificateFacts{ID: id},
	}
}
