// SPDX-License-Identifier: Apache-2.0

package schema

// Describe returns the record as Kong's Admin API shows schemas: its fields in
// their order, each a mapping from its name to what is known of it. Rules are
// not part of it.
func (r *Record) Describe() []map[string]any {
	out := make([]map[string]any, len(r.fields))
	for i, f := range r.fields {
		out[i] = map[string]any{f.name: f.attributes()}
	}
	return out
}

func (f *Field) attributes() map[string]any {
	out := map[string]any{"type": string(f.typ)}
	for _, flag := range []struct {
		set  bool
		name string
	}{{f.required, "required"}, {f.secret, "encrypted"}, {f.referenceable, "referenceable"}} {
		if flag.set {
			out[flag.name] = true
		}
	}
	if f.hasDefault {
		out["default"] = f.def
	}
	switch f.typ {
	case TypeRecord:
		out["fields"] = f.record.Describe()
	case TypeMap:
		out["keys"], out["values"] = f.key.attributes(), f.elem.attributes()
	case TypeArray, TypeSet:
		out["elements"] = f.elem.attributes()
	}
	return out
}
