// SPDX-License-Identifier: Apache-2.0

package tlscert

import (
	"crypto/tls"
	"fmt"
)

// Kong's names of the TLS policies (its setting ssl_cipher_suite), which are
// Mozilla's (wiki.mozilla.org/Security/Server_Side_TLS, version 5.7).
const (
	Modern       = "modern"
	Intermediate = "intermediate"
	Old          = "old"
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

// ApplyPolicy sets the protocol versions and cipher suites of one of Kong's
// policies; an empty name means Intermediate.
func ApplyPolicy(c *tls.Config, name string) error {
	c.MaxVersion = tls.VersionTLS13
	switch name {
	case Modern:
		c.MinVersion, c.CipherSuites = tls.VersionTLS13, nil
	case Intermediate, "":
		c.MinVersion, c.CipherSuites = tls.VersionTLS12, append([]uint16(nil), intermediateSuites...)
	case Old:
		c.MinVersion, c.CipherSuites = tls.VersionTLS10, append(append([]uint16(nil), intermediateSuites...), oldSuites...)
	default:
		return fmt.Errorf("ssl_cipher_suite: %q is not known; use %s, %s or %s", name, Modern, Intermediate, Old)
	}
	return nil
}
