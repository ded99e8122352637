// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// clientTLS returns the TLS settings for a service and an id that is equal for
// equal settings, so that connections are shared only between these.
func clientTLS(s *entity.Service, set *entity.Set) (*tls.Config, string, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: s.TLSVerify == nil || !*s.TLSVerify}
	digest := sha256.New()
	fmt.Fprintf(digest, "verify=%t\n", !config.InsecureSkipVerify)
	if s.ClientCertificate != nil {
		cert, err := certificateOf(s.ClientCertificate.ID, set)
		if err != nil {
			return nil, "", err
		}
		config.Certificates = []tls.Certificate{cert}
		digest.Write(cert.Certificate[0])
	}
	if len(s.CACertificates) > 0 {
		config.RootCAs = x509.NewCertPool()
		for _, ca := range set.CACertificates {
			for _, id := range s.CACertificates {
				if ca.ID == id && config.RootCAs.AppendCertsFromPEM([]byte(ca.Cert)) {
					digest.Write([]byte(ca.Cert))
				}
			}
		}
	}
	return config, hex.EncodeToString(digest.Sum(nil)[:8]), nil
}

func certificateOf(id entity.ID, set *entity.Set) (tls.Certificate, error) {
	for _, c := range set.Certificates {
		if c.ID == id {
			return tls.X509KeyPair([]byte(c.Cert), []byte(c.Key))
		}
	}
	return tls.Certificate{}, fmt.Errorf("client_certificate: no certificate with id %s", id)
}

// chosenTarget is the target of a request that a plugin directed elsewhere.
func (e *Engine) chosenTarget(u *plugin.Upstream, s *service) *target {
	t := &target{engine: e, retries: 5, connectTimeout: defaultTimeout, writeTimeout: defaultTimeout, readTimeout: defaultTimeout}
	if s != nil {
		*t = s.target
	}
	t.scheme = u.Scheme
	t.hostHeader = ""
	t.peers = e.hostPeers(u.Host, u.Port, u.Scheme)
	if u.Scheme == "https" && t.tls == nil {
		t.tls, t.tlsID = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}, "plugin"
	}
	if t.tls != nil && (u.SNI != "" || u.TLSVerify != nil) {
		t.tls = t.tls.Clone()
		t.tls.ServerName = u.SNI
		if u.TLSVerify != nil {
			t.tls.InsecureSkipVerify = !*u.TLSVerify
		}
		t.tlsID += fmt.Sprintf("/verify=%t", !t.tls.InsecureSkipVerify)
	}
	return t
}
