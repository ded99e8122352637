// SPDX-License-Identifier: Apache-2.0

package entity

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// MarshalEntity returns the canonical JSON of a sparse entity: fields in their
// declared order, keys of mappings sorted, whole numbers without a fraction.
// Entities that mean the same have the same bytes.
func MarshalEntity(e Entity) ([]byte, error) {
	data, err := schema.EncodeJSON(canonical(e))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", e.EntityKind(), e.EntityID(), err)
	}
	return data, nil
}

// canonical returns e with its free-form parts in canonical form.
func canonical(e Entity) Entity {
	switch e := e.(type) {
	case *Plugin:
		if isCanonical(e.Config) {
			return e
		}
		c := *e
		c.Config = canonicalMap(e.Config)
		return &c
	case *Credential:
		if isCanonical(e.Fields) {
			return e
		}
		c := *e
		c.Fields = canonicalMap(e.Fields)
		return &c
	case *Vault:
		if isCanonical(e.Config) {
			return e
		}
		c := *e
		c.Config = canonicalMap(e.Config)
		return &c
	}
	return e
}

// isCanonical reports whether canonicalMap would return what is the same.
func isCanonical(m map[string]any) bool { return m == nil || len(m) > 0 && schema.IsCanonical(m) }

func canonicalMap(m map[string]any) map[string]any {
	if len(m) == 0 {
		return nil
	}
	return schema.Canonical(m).(map[string]any)
}

// UnmarshalEntity reads what MarshalEntity wrote. Unknown fields are an error:
// a manager leaves out what a proxy does not know.
func UnmarshalEntity(kind Kind, data []byte) (Entity, error) {
	e := New(kind)
	if e == nil {
		return nil, fmt.Errorf("unknown kind %q", kind)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	dec.UseNumber()
	if err := dec.Decode(e); err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("%s: more than one JSON value", kind)
	}
	return canonical(e), nil
}

// HashEntity returns a hash of an entity's content: the first 16 bytes of the
// SHA-256 of its kind and its canonical JSON. It fails when MarshalEntity does.
func HashEntity(e Entity) ([16]byte, error) {
	data, err := MarshalEntity(e)
	if err != nil {
		return [16]byte{}, err
	}
	h := sha256.New()
	h.Write([]byte(e.EntityKind()))
	h.Write([]byte{0})
	h.Write(data)
	return [16]byte(h.Sum(nil)[:16]), nil
}
