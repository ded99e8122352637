// SPDX-License-Identifier: Apache-2.0

package population

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// CertificateName returns the name of the Secret with the i-th certificate.
func CertificateName(i int) string { return "tls-" + strconv.Itoa(i) }

// padding is random and makes an elliptic-curve certificate with its key as
// large as one of RSA with 2048 bits, which takes far longer to make. Random
// bytes compress as badly as those of keys and signatures.
const padding = 1900

// Certificates returns n TLS Secrets of a namespace, each about as large as
// size bytes of random content make it.
func Certificates(namespace string, n, size int) ([]*corev1.Secret, error) {
	issuer, err := newIssuer()
	if err != nil {
		return nil, err
	}
	list := make([]*corev1.Secret, 0, n)
	for i := range n {
		secret, err := issuer.secret(namespace, i, size)
		if err != nil {
			return nil, err
		}
		list = append(list, secret)
	}
	return list, nil
}

// issuer signs certificates. Like public authorities, it is an intermediate one
// that travels with each certificate.
type issuer struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	chain       []byte
}

func newIssuer() (*issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("key of the issuer: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Scale Issuer"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("certificate of the issuer: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certificate of the issuer: %w", err)
	}
	return &issuer{certificate, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, nil
}

// secret returns a TLS Secret for the host of the i-th Ingress, with padding.
func (c *issuer) secret(namespace string, i, padding int) (*corev1.Secret, error) {
	noise := make([]byte, padding)
	if _, err := rand.Read(noise); err != nil {
		return nil, fmt.Errorf("certificate %d: %w", i, err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("key %d: %w", i, err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(i) + 2), DNSNames: []string{fmt.Sprintf("app-%d.example.com", i)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 3, 0),
		ExtKeyUsage:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 1}, Value: noise}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, c.certificate, &key.PublicKey, c.key)
	if err != nil {
		return nil, fmt.Errorf("certificate %d: %w", i, err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("key %d: %w", i, err)
	}
	o := &corev1.Secret{ObjectMeta: meta(namespace, CertificateName(i)), Type: corev1.SecretTypeTLS}
	o.Data = map[string][]byte{
		corev1.TLSCertKey:       slices.Concat(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), c.chain),
		corev1.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}),
	}
	return o, nil
}
