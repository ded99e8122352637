// SPDX-License-Identifier: Apache-2.0

package entity

import (
	"fmt"
	"strings"
)

// CheckSet returns everything that is wrong with a Set: each entity on its
// own, references that lead nowhere, and values that must be unique and are
// not.
func CheckSet(set *Set, s SchemaSet) []Problem {
	var problems []Problem
	for e := range set.All() {
		problems = append(problems, CheckEntity(e, s)...)
	}
	return append(problems, crossCheck(set, s, func(Key) bool { return false })...)
}

// crossCheck checks what no entity can tell on its own. known tells of entities
// that exist besides those in the Set.
func crossCheck(set *Set, s SchemaSet, known func(Key) bool) []Problem {
	c := crossChecker{schemas: s, others: known, known: make(map[Key]bool, set.Len()), taken: make(map[string]bool)}
	for e := range set.All() {
		c.unique(e)
	}
	for e := range set.All() {
		c.references(e)
	}
	c.pluginProtocols(set)
	c.checkReferences(set)
	return c.problems
}

type crossChecker struct {
	schemas  SchemaSet
	others   func(Key) bool
	known    map[Key]bool
	taken    map[string]bool
	problems []Problem
}

func (c *crossChecker) add(e Entity, field, message string) {
	c.problems = append(c.problems, Problem{Key: KeyOf(e), Name: NameOf(e), Field: field, Message: message})
}

func (c *crossChecker) unique(e Entity) {
	kind, collection := e.EntityKind(), string(e.EntityKind())
	if t := credentialTypeOf(e); t != "" {
		collection = t
	}
	if c.known[KeyOf(e)] {
		c.add(e, "", c.schemas.duplicate(kind, collection, "primary key", string(e.EntityID())))
	}
	c.known[KeyOf(e)] = true
	for _, u := range uniqueValues(e, c.schemas) {
		key := strings.Join([]string{collection, u[0], u[1]}, "\x00")
		if u[1] != "" && c.taken[key] {
			c.add(e, "", c.schemas.duplicate(kind, collection, u[0], u[1]))
		}
		c.taken[key] = true
	}
}

// uniqueValues returns the fields of an entity whose values no other entity of
// its kind may have, with these values.
func uniqueValues(e Entity, s SchemaSet) [][2]string {
	switch e := e.(type) {
	case *Service:
		return [][2]string{{"name", e.Name}}
	case *Route:
		return [][2]string{{"name", e.Name}}
	case *Upstream:
		return [][2]string{{"name", e.Name}}
	case *Plugin:
		return [][2]string{{"instance_name", e.InstanceName}}
	case *Consumer:
		return [][2]string{{"username", e.Username}, {"custom_id", e.CustomID}}
	case *ConsumerGroup:
		return [][2]string{{"name", e.Name}}
	case *SNI:
		return [][2]string{{"name", CanonicalServerName(e.Name)}}
	case *CACertificate:
		return [][2]string{{"cert_digest", digest(e.Cert)}}
	case *Vault:
		return [][2]string{{"prefix", e.Prefix}}
	case *Credential:
		t, _ := s.Credential(e.Type)
		value, _ := e.Fields[t.UniqueKey].(string)
		return [][2]string{{t.UniqueKey, value}}
	}
	return nil
}

func (c *crossChecker) references(e Entity) {
	switch e := e.(type) {
	case *Service:
		c.reference(e, "client_certificate", e.ClientCertificate, KindCertificate)
		for i, id := range e.CACertificates {
			c.reference(e, fmt.Sprintf("ca_certificates[%d]", i), &Ref{ID: id}, KindCACertificate)
		}
	case *Route:
		c.reference(e, "service", e.Service, KindService)
	case *Upstream:
		c.reference(e, "client_certificate", e.ClientCertificate, KindCertificate)
	case *Target:
		c.reference(e, "upstream", e.Upstream, KindUpstream)
	case *Plugin:
		c.reference(e, "service", e.Service, KindService)
		c.reference(e, "route", e.Route, KindRoute)
		c.reference(e, "consumer", e.Consumer, KindConsumer)
		c.reference(e, "consumer_group", e.ConsumerGroup, KindConsumerGroup)
	case *Consumer:
		for i := range e.Groups {
			c.reference(e, fmt.Sprintf("groups[%d]", i), &e.Groups[i], KindConsumerGroup)
		}
	case *Credential:
		c.reference(e, "consumer", e.Consumer, KindConsumer)
	case *SNI:
		c.reference(e, "certificate", e.Certificate, KindCertificate)
	}
}

func (c *crossChecker) reference(e Entity, field string, ref *Ref, kind Kind) {
	if ref == nil {
		return
	}
	if to := (Key{kind, ref.ID}); c.known[to] || c.others(to) {
		return
	}
	name, _, _ := strings.Cut(field, "[")
	c.add(e, field, fmt.Sprintf("invalid reference '%s: %s' (no such entry in '%s')", name, ref.ID, kind))
}
