// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"

	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// clientTLS returns the TLS settings for a service and an id that is equal for
// equal settings, so that connections are shared only between these.
func clientTLS(s *entity.Service, in *snapshot) (*tls.Config, string, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: s.TLSVerify == nil || !*s.TLSVerify}
	digest := sha256.New()
	fmt.Fprintf(digest, "verify=%t\n", !config.InsecureSkipVerify)
	if s.ClientCertificate != nil {
		cert := in.certs.Certificate(s.ClientCertificate.ID)
		if cert == nil {
			return nil, "", fmt.Errorf("client_certificate: no usable certificate with id %s", s.ClientCertificate.ID)
		}
		config.Certificates = []tls.Certificate{*cert}
		digest.Write(cert.Certificate[0])
	}
	if len(s.CACertificates) > 0 {
		pool, err := in.cas.Pool(s.CACertificates)
		if err != nil {
			return nil, "", err
		}
		config.RootCAs = pool
		fmt.Fprintf(digest, "cas=%v\n", s.CACertificates)
	}
	return config, hex.EncodeToString(digest.Sum(nil)[:8]), nil
}

// chosenTarget is the target of a request that a plugin directed elsewhere.
func (e *Engine) chosenTarget(u *plugin.Upstream, s *service) *target {
	t := &target{engine: e, retries: 5, connectTimeout: defaultTimeout, writeTimeout: defaultTimeout, readTimeout: defaultTimeout}
	if s != nil {
		*t = s.target
	}
	t.scheme = u.Scheme
	t.upstream = nil
	t.balancer = balancer.Single(e.peerStates, u.Host, u.Port, e.options.Resolve)
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
