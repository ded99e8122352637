// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"crypto/tls"

	"github.com/kong/kong-istio-gateway/internal/dataplane/tlscert"
)

// handshakeSnapshot is the context key under which a handshake finds the
// configuration that its connection holds.
type handshakeSnapshot struct{}

// newServerTLS returns the TLS settings of listeners. Certificates come from
// the configuration that runs when a handshake starts.
func (e *Engine) newServerTLS() (*tls.Config, error) {
	config := &tls.Config{
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if s, ok := hello.Context().Value(handshakeSnapshot{}).(*snapshot); ok {
				cert, err := s.plans.Unrouted().Certificate(hello.Context(), hello)
				if cert != nil || err != nil {
					return cert, err
				}
			}
			return e.certs.GetCertificate(hello)
		},
		NextProtos: []string{"h2", "http/1.1"},
	}
	if err := tlscert.ApplyPolicy(config, e.settings.SSLCipherSuite); err != nil {
		return nil, err
	}
	return config, nil
}
