// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"fmt"
	"slices"
	"sync"
)

// Violation is one reason why a value does not fit its schema. Path leads to
// the offending value from the record checked, as in "limits[0].minute"; it
// ends in "@entity" when several fields together are at fault. List positions
// count from zero. Message never holds the value of a secret field.
type Violation struct {
	Path    string
	Message string
}

// String returns "path: message".
func (v Violation) String() string { return v.Path + ": " + v.Message }

// EntityPath is the last step of the path of a violation that concerns a
// record as a whole.
const EntityPath = "@entity"

// Record describes a mapping with known fields.
type Record struct {
	fields     []*Field
	byName     map[string]*Field
	checks     []EntityCheck
	shorthands []Shorthand

	prepare  sync.Once
	standIns []standIn // of the fields
}

// NewRecord returns a record of these fields, in this order. It panics when a
// name is missing or used twice: schemas are package variables, so that is a
// programming error.
func NewRecord(fields ...*Field) *Record {
	r := &Record{byName: make(map[string]*Field, len(fields))}
	for _, f := range fields {
		if f.name == "" || r.byName[f.name] != nil {
			panic(fmt.Sprintf("schema: field name %q is empty or used twice", f.name)) //nolint:forbidigo // schemas are package variables
		}
		r.byName[f.name] = f
	}
	r.fields = slices.Clone(fields)
	return r
}

// With returns a copy of r that has these fields as well; a field of the same
// name is replaced in place.
func (r *Record) With(fields ...*Field) *Record {
	all := slices.Clone(r.fields)
	for _, f := range fields {
		i := slices.IndexFunc(all, func(g *Field) bool { return g.name == f.name })
		if i < 0 {
			all = append(all, f)
		} else {
			all[i] = f
		}
	}
	c := NewRecord(all...)
	c.checks, c.shorthands = slices.Clone(r.checks), slices.Clone(r.shorthands)
	return c
}

// Checks adds checks that span fields and returns r, for chaining.
func (r *Record) Checks(checks ...EntityCheck) *Record {
	r.checks = append(r.checks, checks...)
	return r
}

// Shorthands adds other spellings of fields and returns r, for chaining.
func (r *Record) Shorthands(s ...Shorthand) *Record {
	r.shorthands = append(r.shorthands, s...)
	return r
}

// Fields returns the fields in their declared order.
func (r *Record) Fields() []*Field { return slices.Clone(r.fields) }

// Field returns the field of that name, nil when there is none.
func (r *Record) Field(name string) *Field { return r.byName[name] }

// Complete returns a canonical copy of value with shorthands translated and
// defaults filled in, deeply. Keys that the record does not know are kept.
func (r *Record) Complete(value map[string]any) map[string]any {
	v, _ := Canonical(value).(map[string]any)
	if v == nil {
		v = map[string]any{}
	}
	r.complete(v, "", nil)
	return v
}

// Expand returns a canonical copy of value with the record's own shorthands
// translated and nothing else filled in. Those that nested records declare stay.
func (r *Record) Expand(value map[string]any) map[string]any {
	v, _ := Canonical(value).(map[string]any)
	for i := range r.shorthands {
		r.expand(&r.shorthands[i], v, "", nil)
	}
	return v
}

// Check returns what is wrong with a sparse value: first its fields in their
// declared order, then unknown fields by name, then the checks that span
// fields. It returns nothing when the value is valid.
func (r *Record) Check(value map[string]any) []Violation {
	_, violations := r.CompleteChecked(value)
	return violations
}

// CompleteChecked is Complete and Check in one pass.
func (r *Record) CompleteChecked(value map[string]any) (map[string]any, []Violation) {
	v, _ := Canonical(value).(map[string]any)
	if v == nil {
		v = map[string]any{}
	}
	return v, r.CompleteOwned(v)
}

// CheckOwned is Check for a canonical value of the caller's. It may put defaults
// into it that are shared: the value is not to be used any more.
func (r *Record) CheckOwned(value map[string]any) []Violation {
	c := checker{shared: true}
	r.complete(value, "", &c)
	r.validate(value, "", &c)
	return c.violations
}

// CompleteOwned completes a canonical value in place and returns what is wrong
// with it.
func (r *Record) CompleteOwned(value map[string]any) []Violation {
	var c checker
	r.complete(value, "", &c)
	r.validate(value, "", &c)
	return c.violations
}
