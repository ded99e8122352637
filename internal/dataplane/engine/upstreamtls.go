// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"

	"github.com/kong/kong-istio-gateway/internal/dataplane/tlscert"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// anyDepth is the verification depth where none is set: OpenSSL's default of
// 100 is no bound in practice.
const anyDepth = 100

// upstreamTLS is what the settings say about TLS with upstreams.
type upstreamTLS struct {
	// roots are trusted where a service names no authorities; nil: the system's.
	roots *x509.CertPool
	// client is shown where nothing else is configured; nil: none.
	client *tls.Certificate
	verify bool
	depth  int
	// chosen is for hosts that plugins chose for requests without a service.
	chosen *tls.Config
}

func newUpstreamTLS(settings *TLSSettings) (*upstreamTLS, error) {
	u := &upstreamTLS{verify: settings.Verify, depth: anyDepth}
	if u.verify {
		// nginx sets up a depth only together with its own verification.
		u.depth = settings.VerifyDepth
	}
	var err error
	if settings.ProxyTrusted != "" {
		u.roots, err = tlscert.LoadRoots("nginx_proxy_proxy_ssl_trusted_certificate", []string{settings.ProxyTrusted})
	} else {
		u.roots, err = tlscert.LoadRoots("lua_ssl_trusted_certificate", settings.Trusted)
	}
	if err != nil {
		return nil, err
	}
	certs, keys := settings.clientSSL()
	loaded, err := tlscert.LoadKeyPairs("client_", certs, keys)
	if err != nil {
		return nil, err
	}
	if len(loaded) > 0 {
		u.client = loaded[0]
	}
	u.chosen = u.config(u.verify, u.depth, u.roots, u.client)
	return u, nil
}

func (u *upstreamTLS) config(verify bool, depth int, roots *x509.CertPool, client *tls.Certificate) *tls.Config {
	config := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: !verify, //nolint:gosec // Kong's default: tls_verify is off
		RootCAs:            roots,
	}
	if client != nil {
		config.Certificates = []tls.Certificate{*client}
	}
	if verify && depth < anyDepth {
		config.VerifyConnection = func(cs tls.ConnectionState) error { return checkDepth(cs.VerifiedChains, depth) }
	}
	return config
}

// checkDepth accepts chains of which one has at most depth intermediates: as
// OpenSSL counts since 1.1.0, neither leaf nor root is one.
func checkDepth(chains [][]*x509.Certificate, depth int) error {
	shortest := anyDepth
	for _, c := range chains {
		shortest = min(shortest, max(0, len(c)-2))
	}
	if shortest > depth {
		return fmt.Errorf("the certificate chain has %d intermediates; tls_verify_depth is %d", shortest, depth)
	}
	return nil
}

// clientTLSFacts are what the TLS settings of a service depend on besides it.
type clientTLSFacts struct {
	certs       *tlscert.Set
	cas         *tlscert.CAs
	authorities func(entity.ID) *entity.CACertificate
	// upstream is the one that the service's host names, nil without.
	upstream *entity.Upstream
}

// certificates returns the ids of all that the settings of a service are made
// of, usable or not.
func (in *clientTLSFacts) certificates(s *entity.Service) []entity.ID {
	out := slices.Clone(s.CACertificates)
	switch {
	case s.ClientCertificate != nil:
		out = append(out, s.ClientCertificate.ID)
	case in.upstream != nil && in.upstream.ClientCertificate != nil:
		out = append(out, in.upstream.ClientCertificate.ID)
	}
	return out
}

// clientTLS returns the TLS settings for a service and an id that is equal for
// equal settings, so that connections and sessions are shared only between
// these. The error is about field.
func (e *Engine) clientTLS(s *entity.Service, in *clientTLSFacts) (config *tls.Config, id, field string, err error) {
	u := e.upstreamTLS
	verify, depth, roots, client := u.verify, u.depth, u.roots, u.client
	if s.TLSVerify != nil {
		verify = *s.TLSVerify
	}
	if s.TLSVerifyDepth != nil {
		depth = *s.TLSVerifyDepth
	}
	digest := sha256.New()
	fmt.Fprintf(digest, "verify=%t/%d\n", verify, depth)
	if own, field, err := clientCertificate(s, in, digest); err != nil {
		return nil, "", field, err
	} else if own != nil {
		client = own
	}
	if len(s.CACertificates) > 0 {
		if roots, err = in.cas.Pool(s.CACertificates); err != nil {
			return nil, "", "ca_certificates", err
		}
		for _, ca := range s.CACertificates {
			fmt.Fprintf(digest, "ca=%q\n", in.authorities(ca).Cert)
		}
	}
	return u.config(verify, depth, roots, client), hex.EncodeToString(digest.Sum(nil)[:16]), "", nil
}

// clientCertificate returns the certificate that the service names, or else its
// upstream entity; nil when neither does.
func clientCertificate(s *entity.Service, in *clientTLSFacts, digest hash.Hash) (cert *tls.Certificate, field string, err error) {
	ref, field, of := s.ClientCertificate, "client_certificate", ""
	if u := in.upstream; ref == nil && u != nil {
		ref, field, of = u.ClientCertificate, "host", fmt.Sprintf("upstream %s, client_certificate: ", cmp.Or(u.Name, string(u.ID)))
	}
	if ref == nil {
		return nil, "", nil
	}
	if cert = in.certs.Certificate(ref.ID); cert == nil {
		return nil, field, fmt.Errorf("%sno usable certificate with id %s", of, ref.ID)
	}
	for _, der := range cert.Certificate {
		fmt.Fprintf(digest, "certificate=%x\n", der)
	}
	return cert, "", nil
}

// verifying returns the settings with another answer to whether the upstream
// is verified.
func verifying(config *tls.Config, verify bool) *tls.Config {
	changed := config.Clone()
	changed.InsecureSkipVerify = !verify
	if !verify {
		changed.VerifyConnection = nil
	}
	return changed
}
