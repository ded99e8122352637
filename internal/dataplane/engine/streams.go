// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"crypto/tls"
	"crypto/x509"

	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// What the stream half of the gateway shares with this one.

// PeerStates returns what is known about targets. The engine asks those of all
// upstreams how they are, whoever sends to them.
func (e *Engine) PeerStates() *balancer.Store { return e.peerStates }

// StreamTLS returns TLS as this engine's listeners have it, with the same
// certificates and policy, that offers no application protocol. The caller may
// change it.
func (e *Engine) StreamTLS() *tls.Config {
	config := e.serverTLS.configs[serverTLSKind{}].Clone()
	config.GetCertificate = e.certs.GetCertificate
	// These look at connections of this engine, and at HTTP.
	config.GetConfigForClient, config.NextProtos = nil, nil
	return config
}

// ClientTLS returns the TLS settings for a service, for the caller to change.
// client and roots are its own certificate and authorities; nil stands for
// those of the settings.
func (e *Engine) ClientTLS(s *entity.Service, client *tls.Certificate, roots *x509.CertPool) *tls.Config {
	u := e.upstreamTLS
	verify, depth := u.verify, u.depth
	if s.TLSVerify != nil {
		verify = *s.TLSVerify
	}
	if s.TLSVerifyDepth != nil {
		depth = *s.TLSVerifyDepth
	}
	if client == nil {
		client = u.client
	}
	if roots == nil {
		roots = u.roots
	}
	return u.config(verify, depth, roots, client)
}

// Check returns what of a configuration cannot run, and runs none of it.
func (e *Engine) Check(set *entity.Set) []pipeline.Rejection {
	e.applying.Lock()
	defer e.applying.Unlock()
	running := e.current.Load()
	next, rejected := e.build(running, set)
	e.discard(running, next)
	return rejected
}
