// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"strings"
)

// EntityCheck is a check that spans fields of a record. Field names may be
// dotted, to reach into nested records.
type EntityCheck struct {
	text string // describes the check, for the schema's hash
	run  func(r *Record, v map[string]any, path string, failed map[string]bool, c *checker)
}

// AtLeastOneOf wants one of the fields to be set and not empty.
func AtLeastOneOf(fields ...string) EntityCheck {
	return counted("at_least_one_of", "at least one of these fields must be non-empty: ", fields,
		func(n int) bool { return n >= 1 })
}

// OnlyOneOf wants exactly one of the fields to be set and not empty.
func OnlyOneOf(fields ...string) EntityCheck {
	return counted("only_one_of", "exactly one of these fields must be non-empty: ", fields,
		func(n int) bool { return n == 1 })
}

// MutuallyRequired wants all of the fields or none.
func MutuallyRequired(fields ...string) EntityCheck {
	return counted("mutually_required", "all or none of these fields must be set: ", fields,
		func(n int) bool { return n == 0 || n == len(fields) })
}

// MutuallyExclusive wants one of the fields at most.
func MutuallyExclusive(fields ...string) EntityCheck {
	return counted("mutually_exclusive", "only one or none of these fields must be set: ", fields,
		func(n int) bool { return n <= 1 })
}

func counted(kind, message string, fields []string, ok func(n int) bool) EntityCheck {
	list := quoted(fields)
	return EntityCheck{
		text: kind + " " + list,
		run: func(_ *Record, v map[string]any, path string, _ map[string]bool, c *checker) {
			n := 0
			for _, f := range fields {
				if !isEmpty(Get(v, f)) {
					n++
				}
			}
			if !ok(n) {
				c.add(join(path, EntityPath), message+list)
			}
		},
	}
}

// Distinct wants the plain values of these fields, where set, to differ.
func Distinct(fields ...string) EntityCheck {
	list := quoted(fields)
	return EntityCheck{
		text: "distinct " + list,
		run: func(_ *Record, v map[string]any, path string, _ map[string]bool, c *checker) {
			seen := make(map[any]bool, len(fields))
			for _, f := range fields {
				e := Get(v, f)
				switch e.(type) {
				case []any, map[string]any:
					continue
				}
				if isEmpty(e) {
					continue
				}
				if seen[e] {
					c.add(join(path, EntityPath), "values of these fields must be distinct: "+list)
					return
				}
				seen[e] = true
			}
		},
	}
}

// Conditional applies then to thenField where ifField meets when. Both are
// made with Match.
func Conditional(ifField string, when *Field, thenField string, then *Field) EntityCheck {
	return EntityCheck{
		text: "conditional " + ifField + " " + when.describe() + " => " + thenField + " " + then.describe(),
		run: func(_ *Record, v map[string]any, path string, _ map[string]bool, c *checker) {
			value := Get(v, ifField)
			if value == nil && !when.required || !when.accepts(value) {
				return
			}
			before := len(c.violations)
			c.field(then, Get(v, thenField), join(path, thenField))
			if len(c.violations) == before {
				return
			}
			c.add(join(path, EntityPath), "failed conditional validation given value of field '"+ifField+"'")
		},
	}
}

// accepts reports whether a field made with Match accepts v.
func (f *Field) accepts(v any) bool {
	if v == nil {
		return !f.required
	}
	return !f.forbidden && f.broken(v) == ""
}

// Custom is a check in Go over these fields. It does not run when one of them
// is invalid, when none of them is set, or when one that is referenceable holds a vault
// reference. report takes the path of the field at fault, "" for the record
// as a whole. name identifies the check, and its version, in the hash.
func Custom(name string, fields []string, check func(v map[string]any, report func(path, message string))) EntityCheck {
	return EntityCheck{
		text: "custom " + name,
		run: func(r *Record, v map[string]any, path string, failed map[string]bool, c *checker) {
			if !r.ready(v, path, fields, failed) {
				return
			}
			check(v, func(at, message string) {
				if at == "" {
					at = EntityPath
				}
				c.add(join(path, at), message)
			})
		},
	}
}

// ready reports whether the fields can be looked at together.
func (r *Record) ready(v map[string]any, path string, fields []string, failed map[string]bool) bool {
	someSet := false
	for _, f := range fields {
		at := join(path, f)
		for p := range failed {
			if p == at || strings.HasPrefix(p, at+".") || strings.HasPrefix(p, at+"[") {
				return false
			}
		}
		value := Get(v, f)
		if value != nil {
			someSet = true
		}
		if s, ok := value.(string); ok && IsReference(s) {
			if decl := r.find(f); decl != nil && decl.referenceable {
				return false
			}
		}
	}
	return someSet || len(fields) == 0
}

// Get returns the value at a dotted path of nested mappings, nil when there is
// none.
func Get(v map[string]any, path string) any {
	for {
		head, rest, nested := strings.Cut(path, ".")
		if !nested {
			return v[path]
		}
		next, ok := v[head].(map[string]any)
		if !ok {
			return nil
		}
		v, path = next, rest
	}
}

// isEmpty is Kong's notion of a field that is not really set.
func isEmpty(v any) bool {
	if v == nil {
		return true
	}
	n, ok := length(v)
	return ok && n == 0
}
