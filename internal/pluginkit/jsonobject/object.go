// SPDX-License-Identifier: Apache-2.0

// Package jsonobject edits the top level of JSON objects. Values that are not
// edited keep their bytes, so that no number loses digits.
package jsonobject

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// Object is a JSON object with its members in their order.
type Object struct {
	members []member
}

type member struct {
	name  string
	value json.RawMessage
}

// Parse reads an object. ok is false for anything else. Of members with the
// same name the last one counts.
func Parse(data []byte) (o *Object, ok bool) {
	if !json.Valid(data) {
		return nil, false
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return nil, false
	}
	o = &Object{}
	for decoder.More() {
		token, err := decoder.Token()
		name, isString := token.(string)
		var value json.RawMessage
		if err != nil || !isString || decoder.Decode(&value) != nil {
			return nil, false
		}
		o.Set(name, value)
	}
	return o, true
}

// Get returns the value of a member, as JSON; nil if there is none.
func (o *Object) Get(name string) json.RawMessage {
	if i := o.index(name); i >= 0 {
		return o.members[i].value
	}
	return nil
}

// Has reports whether there is a member of that name, null included.
func (o *Object) Has(name string) bool { return o.index(name) >= 0 }

// Set sets a member to a value, given as JSON.
func (o *Object) Set(name string, value json.RawMessage) {
	if i := o.index(name); i >= 0 {
		o.members[i].value = value
		return
	}
	o.members = append(o.members, member{name, value})
}

// Delete takes a member out and reports whether it was there.
func (o *Object) Delete(name string) bool {
	i := o.index(name)
	if i >= 0 {
		o.members = slices.Delete(o.members, i, i+1)
	}
	return i >= 0
}

// Append adds a value to a member: to the end of a list, behind a string that
// becomes a list, else as a new list. A member that is an object stays as it is
// and false is returned.
func (o *Object) Append(name string, value json.RawMessage) bool {
	old := o.Get(name)
	if len(old) == 0 {
		o.Set(name, list(value))
		return true
	}
	switch old[0] {
	case '{':
		return false
	case '[':
		inner := bytes.TrimSpace(old[1 : len(old)-1])
		if len(inner) == 0 {
			o.Set(name, list(value))
		} else {
			o.Set(name, list(inner, value))
		}
	case '"':
		o.Set(name, list(old, value))
	default:
		o.Set(name, list(value))
	}
	return true
}

func list(values ...[]byte) json.RawMessage {
	return append(append([]byte{'['}, bytes.Join(values, []byte{','})...), ']')
}

func (o *Object) index(name string) int {
	return slices.IndexFunc(o.members, func(m member) bool { return m.name == name })
}

// Encode renders the object without white space.
func (o *Object) Encode() []byte {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o.members {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(String(m.name))
		b.WriteByte(':')
		// Compact fails on invalid JSON only; values are valid by contract.
		_ = json.Compact(&b, m.value)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// String returns s as a JSON string.
func String(s string) json.RawMessage {
	data, _ := schema.EncodeJSON(s) // a string can always be encoded
	return data
}
