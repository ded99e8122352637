// SPDX-License-Identifier: Apache-2.0

package tlscert

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/kong/kong-istio-gateway/internal/dataplane/persistent"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// CAs is the trusted authorities of one configuration. It is immutable; the
// next version shares with it what stays.
type CAs struct {
	certs persistent.Map[entity.ID, *x509.Certificate]
}

// NewCAs parses the CA certificates. Entities with problems are left out and
// reported.
func NewCAs(list []*entity.CACertificate) (*CAs, []Problem) { return (&CAs{}).With(list, nil) }

// With returns the authorities after a change, with the problems of those that
// were put.
func (c *CAs) With(put []*entity.CACertificate, removed []entity.ID) (*CAs, []Problem) {
	certs := c.certs.Edit()
	for _, id := range removed {
		certs.Delete(id)
	}
	var problems []Problem
	for _, e := range put {
		cert, err := parseCA(e.Cert)
		if err != nil {
			problems = append(problems, Problem{entity.KindCACertificate, e.ID, "cert", err})
			certs.Delete(e.ID)
			continue
		}
		certs.Put(e.ID, cert)
	}
	return &CAs{certs.Done()}, problems
}

func parseCA(text string) (*x509.Certificate, error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("not a PEM certificate")
	}
	if next, _ := pem.Decode(rest); next != nil {
		return nil, errors.New("more than one certificate; make one entity of each")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	if !cert.IsCA {
		return nil, errors.New("the certificate is not one of an authority (its basic constraint CA is not set)")
	}
	return cert, nil
}

// Pool returns the authorities with these ids.
func (c *CAs) Pool(ids []entity.ID) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	for _, id := range ids {
		if c.certs.At(id) == nil {
			return nil, fmt.Errorf("ca_certificates: %q does not exist or is invalid", id)
		}
		pool.AddCert(c.certs.At(id))
	}
	return pool, nil
}
