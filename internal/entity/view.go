// SPDX-License-Identifier: Apache-2.0

package entity

import "github.com/kong/kong-istio-gateway/internal/entity/schema"

// View returns an entity as Kong's Admin API shows it: every field of its kind,
// with Kong's defaults, and null for those without. Secrets are replaced by
// schema.Redacted; vault references stay. An entity that is not valid is shown
// as it is, without defaults.
func View(e Entity, s SchemaSet) map[string]any {
	if full, err := Complete(e, s); err == nil {
		e = full
	}
	m := toMap(e)
	r, _, _ := s.recordOf(e.EntityKind(), m, credentialTypeOf(e))
	if r == nil {
		return toMap(redactUnknown(e))
	}
	m = r.Redact(m)
	showOpen(r, m)
	if e.EntityKind() == KindConsumer {
		delete(m, groupsOfConsumer) // an entity of its own in Kong
	}
	return m
}

// showOpen adds the fields that a value leaves open.
func showOpen(r *schema.Record, value map[string]any) {
	for _, f := range r.Fields() {
		v, set := value[f.Name()]
		if !set {
			value[f.Name()] = nil
			continue
		}
		showOpenIn(f, v)
	}
}

func showOpenIn(f *schema.Field, v any) {
	switch v := v.(type) {
	case map[string]any:
		if f.Record() != nil {
			showOpen(f.Record(), v)
		} else if f.Elements() != nil {
			for _, e := range v {
				showOpenIn(f.Elements(), e)
			}
		}
	case []any:
		if f.Elements() != nil {
			for _, e := range v {
				showOpenIn(f.Elements(), e)
			}
		}
	}
}

// Describe returns the fields of a kind, or of one variant of it: the name of a
// plugin, of a vault's backend, or of a collection of credentials. ok is false
// when there is none of that name.
func Describe(kind Kind, variant string, s SchemaSet) (fields []map[string]any, ok bool) {
	m := map[string]any{}
	if kind == KindPlugin || kind == KindVault {
		m["name"] = variant
	}
	r, _, _ := s.recordOf(kind, m, variant)
	if r == nil {
		return nil, false
	}
	return r.Describe(), true
}
