// SPDX-License-Identifier: Apache-2.0

package tlscert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"sync"
	"sync/atomic"
	"time"
)

// Store gives each TLS connection its certificate. Changing the set affects
// new handshakes only. It is safe for concurrent use and takes no lock.
type Store struct {
	set      atomic.Pointer[Set]
	defaults []*tls.Certificate
	// lastDefault makes one more, for clients that can use none of defaults.
	lastDefault func() (*tls.Certificate, error)
}

// NewStore returns a store without certificates. defaults are shown to clients
// whose name has none (Kong's ssl_cert), in the order of preference; without
// any, self-signed ones for localhost are made.
func NewStore(defaults []*tls.Certificate) (*Store, error) {
	if len(defaults) > 0 {
		return &Store{defaults: defaults}, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("default certificate: %w", err)
	}
	cert, err := selfSigned(key)
	if err != nil {
		return nil, err
	}
	return &Store{
		defaults: []*tls.Certificate{cert},
		// An RSA key takes long to make and is rarely asked for.
		lastDefault: sync.OnceValues(func() (*tls.Certificate, error) {
			key, err := rsa.GenerateKey(rand.Reader, 2048)
			if err != nil {
				return nil, fmt.Errorf("default certificate: %w", err)
			}
			return selfSigned(key)
		}),
	}, nil
}

// Use makes set the current one.
func (s *Store) Use(set *Set) { s.set.Store(set) }

// Set returns the current set, nil before the first Use.
func (s *Store) Set() *Set { return s.set.Load() }

// GetCertificate is for tls.Config: it chooses from the current set.
func (s *Store) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return s.Of(s.set.Load(), hello)
}

// Of chooses the certificate from a set, which may be nil, or a default one.
func (s *Store) Of(set *Set, hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if p := set.find(hello.ServerName); p != nil {
		return p.choose(hello), nil
	}
	return s.defaultFor(hello)
}

func (s *Store) defaultFor(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if len(s.defaults) == 1 && s.lastDefault == nil {
		return s.defaults[0], nil
	}
	for _, c := range s.defaults {
		if supports(hello, c) {
			return c, nil
		}
	}
	if s.lastDefault != nil {
		return s.lastDefault()
	}
	return s.defaults[0], nil
}

// selfSignedLifetime is long, as nobody verifies a self-signed certificate.
const selfSignedLifetime = 20 * 365 * 24 * time.Hour

func selfSigned(key crypto.Signer) (*tls.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("default certificate: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "localhost"},
		DNSNames:     []string{"localhost"},
		NotBefore:    now.Add(-time.Hour), // clocks differ
		NotAfter:     now.Add(selfSignedLifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("default certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("default certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}
