// SPDX-License-Identifier: Apache-2.0

package tlscert

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/dataplane/persistent"
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

// Set is the certificates of one configuration. It is immutable; the next
// version shares with it what stays.
type Set struct {
	pairs persistent.Map[entity.ID, *pair]
	snis  persistent.Map[entity.ID, *entity.SNI]
	// claims are the SNIs of a name, in order; names what the one of them that
	// has it shows. Both by lower-case name without a final dot.
	claims persistent.Map[string, []claim]
	names  persistent.Map[string, named]
	users  persistent.Map[entity.ID, ids] // the SNIs of a certificate
}

// claim is one SNI with its place among those of the same name.
type claim struct {
	sni   *entity.SNI
	order int
}

// named is what a name shows, and the SNI that it is shown for.
type named struct {
	pair *pair
	sni  entity.ID
}

type ids = persistent.Map[entity.ID, struct{}]

// Change is what changes from one Set to the next.
type Change struct {
	Certificates []*entity.Certificate // added or changed
	SNIs         []*entity.SNI
	Removed      []entity.Key
	// Order is the place of an SNI among others with the same name, of which the
	// first one has it. Where that is equal, the one that has it already keeps it,
	// so that nobody takes a name from who serves it; else the smaller id is first.
	// nil: 0 for all.
	Order func(*entity.SNI) int
}

// NewSet parses the certificates. Those that prev holds unchanged are taken
// from it; prev may be nil. Entities with problems are left out and reported.
func NewSet(prev *Set, certs []*entity.Certificate, snis []*entity.SNI) (*Set, []Problem) {
	place := func(n *entity.SNI) int { return slices.Index(snis, n) }
	next, _, problems := (&Set{}).with(&Change{Certificates: certs, SNIs: snis, Order: place}, prev)
	slices.SortStableFunc(problems, func(a, b Problem) int {
		at := func(p Problem) int {
			return slices.IndexFunc(snis, func(n *entity.SNI) bool { return p.Kind == entity.KindSNI && p.ID == n.ID })
		}
		return cmp.Compare(at(a), at(b))
	})
	return next, problems
}

// With returns the set after a change. Its cost depends on what changes.
// Problems are those of the entities that were looked at, which are more than
// the changed ones: SNIs depend on certificates and on each other.
func (s *Set) With(c *Change) (next *Set, looked []entity.Key, problems []Problem) {
	return s.with(c, s)
}

func (s *Set) with(c *Change, parsed *Set) (*Set, []entity.Key, []Problem) {
	e := setEdit{
		pairs: s.pairs.Edit(), snis: s.snis.Edit(), claims: s.claims.Edit(), names: s.names.Edit(), users: s.users.Edit(),
		touched: map[string]bool{},
	}
	for _, key := range c.Removed {
		if key.Kind == entity.KindCertificate {
			e.certificate(key.ID, nil)
		} else {
			e.sni(key.ID, claim{})
		}
	}
	for _, cert := range c.Certificates {
		p, field, err := parsed.unchanged(cert), "", error(nil)
		if p == nil {
			p, field, err = parse(cert)
		}
		if err != nil {
			e.problems = append(e.problems, Problem{entity.KindCertificate, cert.ID, field, err})
		}
		e.certificate(cert.ID, p)
		e.looked = append(e.looked, entity.KeyOf(cert))
	}
	for _, n := range c.SNIs {
		order := 0
		if c.Order != nil {
			order = c.Order(n)
		}
		e.sni(n.ID, claim{n, order})
	}
	for _, name := range slices.Sorted(maps.Keys(e.touched)) {
		e.resolve(name)
	}
	return &Set{
		pairs: e.pairs.Done(), snis: e.snis.Done(), claims: e.claims.Done(), names: e.names.Done(), users: e.users.Done(),
	}, e.looked, e.problems
}

// setEdit is a Set that is being changed.
type setEdit struct {
	pairs    persistent.Edit[entity.ID, *pair]
	snis     persistent.Edit[entity.ID, *entity.SNI]
	claims   persistent.Edit[string, []claim]
	names    persistent.Edit[string, named]
	users    persistent.Edit[entity.ID, ids]
	touched  map[string]bool // names to be looked at again
	looked   []entity.Key
	problems []Problem
}

// certificate sets or removes what a certificate was parsed to.
func (e *setEdit) certificate(id entity.ID, p *pair) {
	if p == nil {
		e.pairs.Delete(id)
	} else {
		e.pairs.Put(id, p)
	}
	for sni := range e.users.At(id).All() {
		e.touched[canonical(e.snis.At(sni).Name)] = true
	}
}

// sni sets or removes a name.
func (e *setEdit) sni(id entity.ID, now claim) {
	if old := e.snis.At(id); old != nil {
		e.claim(claim{sni: old}, false)
		e.snis.Delete(id)
	}
	if now.sni != nil {
		e.snis.Put(id, now.sni)
		e.claim(now, true)
	}
}

func (e *setEdit) claim(c claim, now bool) {
	n := c.sni
	name := canonical(n.Name)
	e.touched[name] = true
	claims := slices.DeleteFunc(slices.Clone(e.claims.At(name)), func(o claim) bool { return o.sni.ID == n.ID })
	if now {
		at, _ := slices.BinarySearchFunc(claims, c, func(a, b claim) int {
			return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.sni.ID, b.sni.ID))
		})
		claims = slices.Insert(claims, at, c)
	}
	if len(claims) == 0 {
		e.claims.Delete(name)
	} else {
		e.claims.Put(name, claims)
	}
	if n.Certificate == nil {
		return
	}
	users := e.users.At(n.Certificate.ID).Without(n.ID)
	if now {
		users = users.With(n.ID, struct{}{})
	}
	if users.Len() == 0 {
		e.users.Delete(n.Certificate.ID)
	} else {
		e.users.Put(n.Certificate.ID, users)
	}
}

// resolve decides which of the SNIs that claim a name has it.
func (e *setEdit) resolve(name string) {
	claims := e.claims.At(name)
	first := e.first(claims, e.names.At(name).sni)
	e.names.Delete(name)
	for i, c := range claims {
		n := c.sni
		e.looked = append(e.looked, entity.KeyOf(n))
		switch p := e.pairOf(n); {
		case p == nil:
			e.problems = append(e.problems, Problem{
				entity.KindSNI, n.ID, "certificate", fmt.Errorf("the certificate of %q is missing or invalid", n.Name),
			})
		case i != first:
			e.problems = append(e.problems, Problem{entity.KindSNI, n.ID, "name", fmt.Errorf("%q is taken by another SNI", n.Name)})
		default:
			e.names.Put(name, named{p, n.ID})
		}
	}
}

// first returns the place of the SNI that has a name, which holder had before;
// -1 if none has a certificate.
func (e *setEdit) first(claims []claim, holder entity.ID) int {
	first := -1
	for i, c := range claims {
		if e.pairOf(c.sni) == nil {
			continue
		}
		if first < 0 || c.sni.ID == holder && c.order == claims[first].order {
			first = i
		}
	}
	return first
}

func (e *setEdit) pairOf(n *entity.SNI) *pair {
	if n.Certificate == nil {
		return nil
	}
	return e.pairs.At(n.Certificate.ID)
}

func (s *Set) unchanged(c *entity.Certificate) *pair {
	if s == nil {
		return nil
	}
	p := s.pairs.At(c.ID)
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
	if s == nil || s.pairs.At(id) == nil {
		return nil
	}
	return s.pairs.At(id).main
}

// find returns the pair for a server name, nil for the default certificate.
func (s *Set) find(sni string) *pair {
	if s == nil {
		return nil
	}
	name := strings.TrimSuffix(sni, ".")
	if n, has := s.names.Get(canonical(name)); has && name != "" {
		return n.pair
	}
	// Kong compares names with regard to case. For exact names that is only an
	// accident, but a recorded answer shows it for wildcards, so it is kept.
	n, _ := lookup(s.names, name)
	return n.pair
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
