// SPDX-License-Identifier: Apache-2.0

package tlscert

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Problem says why an entity was left out. Its text holds no secret.
type Problem struct {
	Kind  entity.Kind
	ID    entity.ID
	Field string // the field to fix
	Err   error
}

// String says which entity to fix, where and why.
func (p Problem) String() string { return fmt.Sprintf("%s %q: %s: %v", p.Kind, p.ID, p.Field, p.Err) }

// pair is a parsed certificate entity: one certificate, or one of each key type.
type pair struct {
	source *entity.Certificate
	main   *tls.Certificate
	alt    *tls.Certificate // of the other key type; nil without
}

// Set is the certificates of one configuration. It is immutable.
type Set struct {
	pairs map[entity.ID]*pair
	names map[string]*pair // by SNI: lower case, without a final dot
}

// NewSet parses the certificates. Those that prev holds unchanged are taken
// from it; prev may be nil. Entities with problems are left out and reported.
func NewSet(prev *Set, certs []*entity.Certificate, snis []*entity.SNI) (*Set, []Problem) {
	s := &Set{pairs: make(map[entity.ID]*pair, len(certs)), names: make(map[string]*pair, len(snis))}
	var problems []Problem
	for _, c := range certs {
		if p := prev.unchanged(c); p != nil {
			s.pairs[c.ID] = p
			continue
		}
		p, field, err := parse(c)
		if err != nil {
			problems = append(problems, Problem{entity.KindCertificate, c.ID, field, err})
			continue
		}
		s.pairs[c.ID] = p
	}
	for _, n := range snis {
		if err := s.addName(n); err != nil {
			problems = append(problems, *err)
		}
	}
	return s, problems
}

func (s *Set) addName(n *entity.SNI) *Problem {
	if n.Certificate == nil || s.pairs[n.Certificate.ID] == nil {
		return &Problem{entity.KindSNI, n.ID, "certificate", fmt.Errorf("the certificate of %q is missing or invalid", n.Name)}
	}
	name := canonical(n.Name)
	if s.names[name] != nil {
		return &Problem{entity.KindSNI, n.ID, "name", fmt.Errorf("%q is taken by another SNI", n.Name)}
	}
	s.names[name] = s.pairs[n.Certificate.ID]
	return nil
}

func (s *Set) unchanged(c *entity.Certificate) *pair {
	if s == nil {
		return nil
	}
	p := s.pairs[c.ID]
	if p == nil || p.source.Cert != c.Cert || p.source.Key != c.Key || p.source.CertAlt != c.CertAlt || p.source.KeyAlt != c.KeyAlt {
		return nil
	}
	return p
}

func parse(c *entity.Certificate) (p *pair, field string, err error) {
	p = &pair{source: c}
	if p.main, field, err = keyPair(c.Cert, c.Key, "cert", "key"); err != nil {
		return nil, field, err
	}
	if c.CertAlt == "" && c.KeyAlt == "" {
		return p, "", nil
	}
	if p.alt, field, err = keyPair(c.CertAlt, c.KeyAlt, "cert_alt", "key_alt"); err != nil {
		return nil, field, err
	}
	if p.main.Leaf.PublicKeyAlgorithm == p.alt.Leaf.PublicKeyAlgorithm {
		return nil, "cert_alt", errors.New("cert and cert_alt have keys of the same type; use one RSA and one ECDSA key")
	}
	return p, "", nil
}

// Certificate returns the certificate of an entity, for example to show it to
// an upstream; nil if there is none.
func (s *Set) Certificate(id entity.ID) *tls.Certificate {
	if s == nil || s.pairs[id] == nil {
		return nil
	}
	return s.pairs[id].main
}

// find returns the pair for a server name, nil for the default certificate.
func (s *Set) find(sni string) *pair {
	if s == nil {
		return nil
	}
	name := strings.TrimSuffix(sni, ".")
	if p := s.names[canonical(name)]; p != nil && name != "" {
		return p
	}
	// Kong compares names with regard to case. For exact names that is only an
	// accident, but a recorded answer shows it for wildcards, so it is kept.
	p, _ := lookup(s.names, name)
	return p
}

// choose returns the certificate of the pair that the client can use, ECDSA
// first as it costs less.
func (p *pair) choose(hello *tls.ClientHelloInfo) *tls.Certificate {
	if p.alt == nil {
		return p.main
	}
	first, second := p.main, p.alt
	if isECDSA(second) {
		first, second = second, first
	}
	if supports(hello, first) || !supports(hello, second) {
		return first
	}
	return second
}

// supports reports whether the client can use the certificate's key. Which
// names the certificate holds is not asked: the SNI entity decides that.
func supports(hello *tls.ClientHelloInfo, c *tls.Certificate) bool {
	anyName := *hello
	anyName.ServerName = ""
	return anyName.SupportsCertificate(c) == nil
}

func isECDSA(c *tls.Certificate) bool { return c.Leaf.PublicKeyAlgorithm == x509.ECDSA }
