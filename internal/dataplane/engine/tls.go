// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"crypto/tls"

	"github.com/kong/kong-istio-gateway/internal/dataplane/tlscert"
)

// serverTLS returns the TLS settings of a listener. Certificates come from the
// configuration that runs when a handshake starts.
func (e *Engine) serverTLS() (*tls.Config, error) {
	config := &tls.Config{
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			now := e.current.Load()
			cert, err := now.plans.Unrouted().Certificate(hello.Context(), hello)
			if cert != nil || err != nil {
				return cert, err
			}
			return e.certs.GetCertificate(hello)
		},
		NextProtos: []string{"http/1.1"},
	}
	if err := tlscert.ApplyPolicy(config, e.settings.SSLCipherSuite); err != nil {
		return nil, err
	}
	return config, nil
}
