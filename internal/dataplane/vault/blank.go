// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Blank returns a configuration in which something stands for every entity that
// holds references: so that all else can be tried where the secrets are not. The
// set is not changed.
func (l *Layer) Blank(set *entity.Set) (*entity.Set, error) {
	out := *set
	out.Vaults, out.Plugins, out.Certificates, out.Credentials = nil, nil, nil, nil
	for _, p := range set.Plugins {
		if l.refers(p) {
			p = l.standIn(p)
		}
		out.Plugins = append(out.Plugins, p)
	}
	for _, c := range set.Credentials {
		if !l.refers(c) {
			out.Credentials = append(out.Credentials, c)
		}
	}
	for _, c := range set.Certificates {
		if l.refers(c) {
			cert, key, err := blankPair()
			if err != nil {
				return nil, err
			}
			c = &entity.Certificate{ID: c.ID, Cert: cert, Key: key}
		}
		out.Certificates = append(out.Certificates, c)
	}
	return &out, nil
}

func (l *Layer) refers(e entity.Entity) bool {
	found := false
	entity.MapReferences(e, l.options.Schemas, func(_, text string) string {
		found = true
		return text
	})
	return found
}

// blankPair makes a certificate that nobody trusts.
func blankPair() (cert, key string, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", fmt.Errorf("vault: %w", err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Unix(0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		return "", "", fmt.Errorf("vault: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return "", "", fmt.Errorf("vault: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})), nil
}
