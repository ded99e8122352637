// SPDX-License-Identifier: Apache-2.0

package entity

import (
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// Redact returns a printable copy of an entity: secrets are replaced by
// schema.Redacted. What a plugin that s does not know is configured with counts
// as secret altogether.
func Redact(e Entity, s SchemaSet) Entity {
	m := toMap(e)
	r, _, _ := s.recordOf(e.EntityKind(), m, credentialTypeOf(e))
	if r == nil {
		return redactUnknown(e)
	}
	out, err := fromMap(e.EntityKind(), credentialTypeOf(e), r.Redact(m))
	if err != nil {
		return redactUnknown(e)
	}
	return out
}

func redactUnknown(e Entity) Entity {
	hide := func(m map[string]any) map[string]any {
		out := make(map[string]any, len(m))
		for k := range m {
			out[k] = schema.Redacted
		}
		return out
	}
	switch e := e.(type) {
	case *Plugin:
		c := *e
		c.Config = hide(e.Config)
		return &c
	case *Credential:
		c := *e
		c.Fields = hide(e.Fields)
		return &c
	}
	return New(e.EntityKind())
}

// RedactSet returns a printable copy of a Set.
func RedactSet(set *Set, s SchemaSet) *Set {
	out := new(Set)
	for e := range set.All() {
		out.Add(Redact(e, s))
	}
	return out
}
