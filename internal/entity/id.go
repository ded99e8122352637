// SPDX-License-Identifier: Apache-2.0

package entity

import (
	"crypto/sha1" //nolint:gosec // RFC 9562 defines version 5 UUIDs by SHA-1
	"encoding/hex"
	"strings"
)

// rootNamespace is the namespace of Kong's own declarative ids: with it, ids
// that a file leaves out come out as they do in Kong.
var rootNamespace = [16]byte{
	0xfd, 0x02, 0x80, 0x1f, 0x09, 0x57, 0x4a, 0x15, 0xa5, 0x5a, 0xc8, 0xd9, 0x60, 0x6f, 0x30, 0xb5,
}

// namespaces are those of the kinds; collections of credentials are told by the
// schemas.
var namespaces = func() map[string][16]byte {
	m := make(map[string][16]byte, len(layouts))
	for kind := range layouts {
		m[string(kind)] = uuid5(rootNamespace, string(kind))
	}
	return m
}()

// NewID returns the id of the entity with this natural key in a collection:
// the same key always has the same id. collection is a Kind, or the Type of a
// credential.
func NewID(collection, key string) ID {
	ns, ok := namespaces[collection]
	if !ok {
		ns = uuid5(rootNamespace, collection)
	}
	return formatID(uuid5(ns, key))
}

// uuid5 is RFC 9562, section 5.5.
func uuid5(namespace [16]byte, name string) (u [16]byte) {
	var room [256]byte                                                  // for nearly every name
	sum := sha1.Sum(append(append(room[:0], namespace[:]...), name...)) //nolint:gosec // see above
	copy(u[:], sum[:])
	u[6] = u[6]&0x0f | 0x50
	u[8] = u[8]&0x3f | 0x80
	return u
}

func formatID(u [16]byte) ID {
	var b [36]byte
	hex.Encode(b[:], u[:4])
	for i, at := range []int{9, 14, 19} {
		b[at-1] = '-'
		hex.Encode(b[at:], u[4+2*i:6+2*i])
	}
	b[23] = '-'
	hex.Encode(b[24:], u[10:])
	return ID(b[:])
}

// cacheKey joins the parts of a key as Kong does for kinds whose key has
// several fields. The star is Kong's default workspace.
func cacheKey(collection string, parts ...string) string {
	return collection + ":*:" + strings.Join(parts, ":")
}

// DeriveID returns the id that an entity without one gets: a version 5 UUID of
// its natural key. Entities without a name are known by what they select
// (routes), point to (services) or contain. References must be resolved.
func DeriveID(e Entity, s SchemaSet) ID {
	collection, key := naturalKey(e, s)
	return NewID(collection, key)
}

func naturalKey(e Entity, s SchemaSet) (collection, key string) {
	collection = string(e.EntityKind())
	switch e := e.(type) {
	case *Service:
		return collection, named(e.Name, &Service{Protocol: e.Protocol, Host: e.Host, Port: e.Port, Path: e.Path})
	case *Route:
		return collection, named(e.Name, &Route{
			Service: e.Service, Protocols: e.Protocols, Methods: e.Methods, Hosts: e.Hosts, Paths: e.Paths,
			Headers: e.Headers, SNIs: e.SNIs, Sources: e.Sources, Destinations: e.Destinations, Expression: e.Expression,
		})
	case *Upstream:
		return collection, e.Name
	case *Target:
		return collection, cacheKey(collection, refID(e.Upstream), e.Target)
	case *Plugin:
		parts := []string{e.Name, refID(e.Route), refID(e.Service), refID(e.Consumer)}
		if e.ConsumerGroup != nil {
			parts = append(parts, refID(e.ConsumerGroup))
		}
		return collection, cacheKey(collection, parts...)
	case *Consumer:
		return collection, named(e.Username, &Consumer{CustomID: e.CustomID})
	case *ConsumerGroup:
		return collection, e.Name
	case *Credential:
		return e.Type, credentialKey(e, s)
	case *Certificate:
		return collection, named("", &Certificate{Cert: e.Cert, CertAlt: e.CertAlt})
	case *SNI:
		return collection, e.Name
	case *CACertificate:
		return collection, named("", &CACertificate{Cert: e.Cert})
	case *Vault:
		return collection, cacheKey(collection, e.Prefix)
	}
	return collection, ""
}

// named returns name, or a text that stands for the fields in e when there is
// none.
func named(name string, e Entity) string {
	if name != "" {
		return name
	}
	sum, err := HashEntity(e)
	if err != nil {
		return "#" + err.Error()
	}
	return "#" + hex.EncodeToString(sum[:])
}

func credentialKey(e *Credential, s SchemaSet) string {
	t, _ := s.Credential(e.Type)
	fields := t.Key
	if fields == nil && t.UniqueKey != "" {
		fields = []string{t.UniqueKey}
	}
	var parts []string
	for _, f := range fields {
		if f == "consumer" {
			parts = append(parts, refID(e.Consumer))
			continue
		}
		text, ok := e.Fields[f].(string)
		if !ok {
			parts = nil
			break
		}
		parts = append(parts, text)
	}
	if parts == nil {
		return named("", &Credential{Type: e.Type, Consumer: e.Consumer, Fields: e.Fields})
	}
	return cacheKey(e.Type, parts...)
}

func refID(r *Ref) string {
	if r == nil {
		return ""
	}
	return string(r.ID)
}
