// SPDX-License-Identifier: Apache-2.0

package typedefs

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// Certificate declares a PEM certificate, or a chain that starts with the leaf.
func Certificate(name string) *schema.Field {
	return schema.String(name).CustomString("certificate", func(s string) string {
		if _, err := ParseCertificate(s); err != nil {
			return "invalid certificate: " + err.Error()
		}
		return ""
	})
}

// PrivateKey declares a PEM private key without a password.
func PrivateKey(name string) *schema.Field {
	return schema.String(name).Secret().CustomString("key", func(s string) string {
		if !isPrivateKey(s) {
			return "invalid key: not a PEM private key in PKCS #1, PKCS #8 or SEC 1 form"
		}
		return ""
	})
}

// ParseCertificate returns the first certificate of a PEM text.
func ParseCertificate(text string) (*x509.Certificate, error) {
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, errors.New("no PEM block of type CERTIFICATE")
		}
		if block.Type == "CERTIFICATE" {
			return x509.ParseCertificate(block.Bytes)
		}
	}
}

func isPrivateKey(text string) bool {
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return false
		}
		if _, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			return true
		}
		if _, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
			return true
		}
		if _, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
			return true
		}
	}
}

// KeyMatches reports whether a PEM key belongs to a PEM certificate.
func KeyMatches(cert, key string) bool {
	_, err := tls.X509KeyPair([]byte(cert), []byte(key))
	return err == nil
}
