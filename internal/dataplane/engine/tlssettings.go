// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/tlscert"
)

// TLSSettings are the settings of TLS with clients and upstreams.
type TLSSettings struct {
	// Policy is ssl_cipher_suite, ssl_ciphers, ssl_protocols and
	// ssl_prefer_server_ciphers.
	Policy tlscert.Policy
	// Cert and CertKey are the certificates shown to clients whose name has
	// none: files, PEM, or PEM in base64 (ssl_cert, ssl_cert_key).
	Cert, CertKey []string
	// SessionTickets lets clients resume sessions, for SessionTimeout.
	SessionTickets bool
	SessionTimeout time.Duration
	// Client shows ClientCert to upstreams where neither the service nor the
	// upstream entity names a certificate (client_ssl, client_ssl_cert,
	// client_ssl_cert_key).
	Client                    bool
	ClientCert, ClientCertKey string
	// Trusted are the authorities that verify upstreams of services without
	// ca_certificates: files, PEM, or "system" (lua_ssl_trusted_certificate, and
	// before it nginx_proxy_proxy_ssl_trusted_certificate).
	Trusted      []string
	ProxyTrusted string
	// Verify and VerifyDepth stand for services without tls_verify and
	// tls_verify_depth (nginx_proxy_proxy_ssl_verify and _depth). The depth
	// counts intermediate certificates.
	Verify      bool
	VerifyDepth int
	// unheeded are settings that were given and have no effect here.
	unheeded []string
}

func defaultTLSSettings() TLSSettings {
	return TLSSettings{
		Policy:         tlscert.Policy{CipherSuite: tlscert.Intermediate},
		SessionTickets: true,
		SessionTimeout: 24 * time.Hour,
		Trusted:        []string{"system"},
		VerifyDepth:    1,
	}
}

var tlsSettings = []setting{
	{"KONG_SSL_CIPHER_SUITE", func(s *Settings, v string) error {
		if v == "fips" {
			return errors.New("fips is not supported; use modern, intermediate, old or custom")
		}
		return parseOneOf(v, &s.TLS.Policy.CipherSuite, tlscert.Modern, tlscert.Intermediate, tlscert.Old, tlscert.Custom)
	}},
	{"KONG_SSL_CIPHERS", func(s *Settings, v string) error { s.TLS.Policy.Ciphers = v; return nil }},
	{"KONG_SSL_PROTOCOLS", func(s *Settings, v string) error { s.TLS.Policy.Protocols = v; return nil }},
	{"KONG_SSL_PREFER_SERVER_CIPHERS", func(s *Settings, v string) error {
		s.TLS.Policy.PreferServerCiphers = new(bool)
		return parseOnOff(v, s.TLS.Policy.PreferServerCiphers)
	}},
	{"KONG_SSL_CERT", func(s *Settings, v string) error { s.TLS.Cert = splitEntries(v); return nil }},
	{"KONG_SSL_CERT_KEY", func(s *Settings, v string) error { s.TLS.CertKey = splitEntries(v); return nil }},
	{"KONG_SSL_SESSION_TICKETS", func(s *Settings, v string) error { return parseOnOff(v, &s.TLS.SessionTickets) }},
	{"KONG_SSL_SESSION_TIMEOUT", func(s *Settings, v string) error { return parseSessionTimeout(v, &s.TLS.SessionTimeout) }},
	{"KONG_SSL_SESSION_CACHE_SIZE", unheeded("ssl_session_cache_size: has no effect; sessions are resumed with tickets only")},
	{"KONG_SSL_DHPARAM", unheeded("ssl_dhparam: has no effect; crypto/tls has no finite-field DHE suites")},
	{"KONG_CLIENT_SSL", func(s *Settings, v string) error { return parseOnOff(v, &s.TLS.Client) }},
	{"KONG_CLIENT_SSL_CERT", func(s *Settings, v string) error { s.TLS.ClientCert = v; return nil }},
	{"KONG_CLIENT_SSL_CERT_KEY", func(s *Settings, v string) error { s.TLS.ClientCertKey = v; return nil }},
	{"KONG_LUA_SSL_TRUSTED_CERTIFICATE", func(s *Settings, v string) error { s.TLS.Trusted = splitEntries(v); return nil }},
	{"KONG_NGINX_PROXY_PROXY_SSL_TRUSTED_CERTIFICATE", func(s *Settings, v string) error { s.TLS.ProxyTrusted = v; return nil }},
	{"KONG_NGINX_PROXY_PROXY_SSL_VERIFY", func(s *Settings, v string) error { return parseOnOff(v, &s.TLS.Verify) }},
	{"KONG_NGINX_PROXY_PROXY_SSL_VERIFY_DEPTH", func(s *Settings, v string) error { return parseCount(v, &s.TLS.VerifyDepth) }},
}

func unheeded(warning string) func(*Settings, string) error {
	return func(s *Settings, _ string) error {
		s.TLS.unheeded = append(s.TLS.unheeded, warning)
		return nil
	}
}

// splitEntries reads a comma-separated list whose entries may hold blanks.
func splitEntries(v string) (entries []string) {
	for e := range strings.SplitSeq(v, ",") {
		if e = strings.TrimSpace(e); e != "" {
			entries = append(entries, e)
		}
	}
	return entries
}

// parseSessionTimeout reads a time with nginx's unit d beside those of
// parseSeconds.
func parseSessionTimeout(v string, into *time.Duration) error {
	if days, ok := strings.CutSuffix(v, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return fmt.Errorf("%q is not a time such as 300, 10m or 1d", v)
		}
		*into = time.Duration(n) * 24 * time.Hour
	} else if err := parseSeconds(v, into); err != nil {
		return err
	}
	switch {
	case *into < time.Second:
		return fmt.Errorf("%q is too short; use at least 1s, or turn ssl_session_tickets off", v)
	case *into > tlscert.MaxTicketLifetime:
		return fmt.Errorf("%q is more than the 7d that RFC 8446 allows", v)
	}
	return nil
}

// clientSSL is the client certificate for upstreams as LoadKeyPairs takes it.
func (s *TLSSettings) clientSSL() (certs, keys []string) {
	if !s.Client {
		return nil, nil
	}
	if s.ClientCert != "" {
		certs = []string{s.ClientCert}
	}
	if s.ClientCertKey != "" {
		keys = []string{s.ClientCertKey}
	}
	return certs, keys
}
