// SPDX-License-Identifier: Apache-2.0

package schema

// WithDefaults returns a copy of r, deep where it differs, in which fields have
// the defaults that choose returns for them; ok false leaves a field as it is.
// path is dotted and starts at r; the elements of lists and mappings have the
// path of their field.
func (r *Record) WithDefaults(choose func(path string, f *Field) (def any, ok bool)) *Record {
	return r.withDefaults("", choose)
}

func (r *Record) withDefaults(path string, choose func(string, *Field) (any, bool)) *Record {
	var changed []*Field
	for _, f := range r.fields {
		if c := f.withDefaults(join(path, f.name), choose); c != f {
			changed = append(changed, c)
		}
	}
	if len(changed) == 0 {
		return r
	}
	return r.With(changed...)
}

func (f *Field) withDefaults(path string, choose func(string, *Field) (any, bool)) *Field {
	c := *f
	if def, ok := choose(path, f); ok {
		c.Default(def)
	} else if f.record == nil && f.elem == nil {
		return f
	}
	if f.record != nil {
		c.record = f.record.withDefaults(path, choose)
	}
	if f.elem != nil {
		c.elem = f.elem.withDefaults(path, choose)
	}
	return &c
}
