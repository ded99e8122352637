// SPDX-License-Identifier: Apache-2.0

package tlscert

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
)

// Kong's names of the TLS policies (its setting ssl_cipher_suite). The first
// three are Mozilla's (wiki.mozilla.org/Security/Server_Side_TLS, version 5.7).
const (
	Modern       = "modern"
	Intermediate = "intermediate"
	Old          = "old"
	// Custom takes protocols and ciphers from their own settings.
	Custom = "custom"
)

// nginx's defaults of a custom policy.
const (
	defaultCiphers   = "HIGH:!aNULL:!MD5"
	defaultProtocols = "TLSv1.2 TLSv1.3"
)

// intermediateSuites are Mozilla's but for finite-field DHE, which crypto/tls
// does not have.
var intermediateSuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// oldSuites are what "old" adds.
var oldSuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
	tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
	tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
	tls.TLS_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_RSA_WITH_AES_128_CBC_SHA256,
	tls.TLS_RSA_WITH_AES_128_CBC_SHA,
	tls.TLS_RSA_WITH_AES_256_CBC_SHA,
	tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA,
}

// Policy says which protocol versions and cipher suites clients may use, under
// the names of Kong's settings.
type Policy struct {
	// CipherSuite is Modern, Intermediate, Old or Custom; empty means
	// Intermediate.
	CipherSuite string
	// Ciphers (a list as OpenSSL writes it) and Protocols (such as
	// "TLSv1.2 TLSv1.3") count for Custom only; empty means nginx's defaults.
	Ciphers, Protocols string
	// PreferServerCiphers is nil when not set. crypto/tls keeps an order of its
	// own, and only lets a client without AES hardware turn it.
	PreferServerCiphers *bool
}

// Apply sets the protocol versions and cipher suites of c. The warnings name
// what crypto/tls cannot do as asked, the error what must be changed.
func (p Policy) Apply(c *tls.Config) (warnings []string, err error) {
	c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS13
	switch p.CipherSuite {
	case Modern:
		c.MinVersion, c.CipherSuites = tls.VersionTLS13, nil
	case Intermediate, "":
		c.CipherSuites = slices.Clone(intermediateSuites)
	case Old:
		c.MinVersion, c.CipherSuites = tls.VersionTLS10, slices.Concat(intermediateSuites, oldSuites)
	case Custom:
		return p.applyCustom(c)
	default:
		return nil, fmt.Errorf("ssl_cipher_suite: %q is not known; use %s, %s, %s or %s", p.CipherSuite, Modern, Intermediate, Old, Custom)
	}
	for name, set := range map[string]bool{"ssl_ciphers": p.Ciphers != "", "ssl_protocols": p.Protocols != "", "ssl_prefer_server_ciphers": p.PreferServerCiphers != nil} {
		if set {
			warnings = append(warnings, name+": has no effect unless ssl_cipher_suite is custom")
		}
	}
	slices.Sort(warnings)
	return warnings, nil
}

func (p Policy) applyCustom(c *tls.Config) (warnings []string, err error) {
	protocols, ciphers := p.Protocols, p.Ciphers
	if protocols == "" {
		protocols = defaultProtocols
	}
	if ciphers == "" {
		ciphers = defaultCiphers
	}
	if c.MinVersion, c.MaxVersion, err = parseProtocols(protocols); err != nil {
		return nil, err
	}
	if c.MinVersion < tls.VersionTLS13 {
		if c.CipherSuites, warnings, err = parseCiphers(ciphers); err != nil {
			return nil, err
		}
	}
	if p.PreferServerCiphers != nil && !*p.PreferServerCiphers {
		warnings = append(warnings, "ssl_prefer_server_ciphers: off has no effect; crypto/tls orders cipher suites itself and takes ChaCha20 first for clients that do")
	}
	return warnings, nil
}

var protocolNames = []string{"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"}

// parseProtocols reads a list of versions, which must have no gap.
func parseProtocols(list string) (lowest, highest uint16, err error) {
	var wanted [4]bool
	low, high := len(wanted), -1
	for name := range strings.FieldsSeq(list) {
		i := slices.Index(protocolNames, name)
		if i < 0 {
			return 0, 0, fmt.Errorf("ssl_protocols: %q is not supported; use %s", name, strings.Join(protocolNames, ", "))
		}
		wanted[i] = true
		low, high = min(low, i), max(high, i)
	}
	if high < 0 {
		return 0, 0, fmt.Errorf("ssl_protocols: no protocol given; use %s", strings.Join(protocolNames, ", "))
	}
	if gap := slices.Index(wanted[low:high], false); gap >= 0 {
		return 0, 0, fmt.Errorf("ssl_protocols: %q leaves out %s; crypto/tls serves versions without gaps only", list, protocolNames[low+gap])
	}
	return tls.VersionTLS10 + uint16(low), tls.VersionTLS10 + uint16(high), nil
}
