// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// clientSessions bounds the TLS sessions that are kept for resumption.
const clientSessions = 256

// unverifiedTLS is how upstreams are spoken to where nothing is configured, as
// Kong does: encrypted, without a look at the certificate.
func unverifiedTLS() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // Kong's default: tls_verify is off
		ClientSessionCache: tls.NewLRUClientSessionCache(clientSessions),
	}
}

// clientTLS returns the TLS settings for a service and an id that is equal for
// equal settings, so that connections are shared only between these. The error
// is about field.
func clientTLS(s *entity.Service, in *snapshot) (config *tls.Config, id, field string, err error) {
	config = unverifiedTLS()
	config.InsecureSkipVerify = s.TLSVerify == nil || !*s.TLSVerify
	digest := sha256.New()
	fmt.Fprintf(digest, "verify=%t\n", !config.InsecureSkipVerify)
	if s.ClientCertificate != nil {
		cert := in.certs.Certificate(s.ClientCertificate.ID)
		if cert == nil {
			return nil, "", "client_certificate", fmt.Errorf("no usable certificate with id %s", s.ClientCertificate.ID)
		}
		config.Certificates = []tls.Certificate{*cert}
		for _, der := range cert.Certificate {
			fmt.Fprintf(digest, "certificate=%x\n", der)
		}
	}
	if len(s.CACertificates) > 0 {
		if config.RootCAs, err = in.cas.Pool(s.CACertificates); err != nil {
			return nil, "", "ca_certificates", err
		}
		for _, ca := range s.CACertificates {
			fmt.Fprintf(digest, "ca=%q\n", caText(in.set, ca))
		}
	}
	return config, hex.EncodeToString(digest.Sum(nil)[:8]), "", nil
}

func caText(set *entity.Set, id entity.ID) string {
	for _, ca := range set.CACertificates {
		if ca.ID == id {
			return ca.Cert
		}
	}
	return ""
}
