// SPDX-License-Identifier: Apache-2.0

package schema

// Type is the type of a field's value.
type Type string

// The types of Kong's schema language that configurations use.
const (
	TypeString  Type = "string"
	TypeInteger Type = "integer"
	TypeNumber  Type = "number"
	TypeBoolean Type = "boolean"
	TypeArray   Type = "array"
	TypeSet     Type = "set" // an array without duplicates
	TypeMap     Type = "map"
	TypeRecord  Type = "record"
	TypeAny     Type = "any"

	// typeInherit marks the halves of a conditional check, which apply to a
	// field whose type is declared elsewhere.
	typeInherit Type = ""
)

// Field describes one field of a Record, or the elements of a collection. The
// constructors make one; the methods refine it and return it, for chaining.
// Refine a Field only while declaring it.
type Field struct {
	name          string
	typ           Type
	elem          *Field  // array, set; values of a map
	key           *Field  // map
	record        *Record // record
	def           any
	hasDefault    bool
	required      bool
	secret        bool
	secretValue   bool // of text in the form name:value, what follows the name
	referenceable bool
	minLenSet     bool
	deprecated    string
	message       string // replaces the messages of failed rules
	forbidden     bool
	explicit      bool // a record that absence does not stand for
	rules         []rule
}

// String declares a text field. Empty text is refused unless LenMin(0) says
// otherwise, as in Kong.
func String(name string) *Field { return &Field{name: name, typ: TypeString} }

// Integer declares a field for whole numbers.
func Integer(name string) *Field { return &Field{name: name, typ: TypeInteger} }

// Number declares a field for any number.
func Number(name string) *Field { return &Field{name: name, typ: TypeNumber} }

// Boolean declares a true or false field.
func Boolean(name string) *Field { return &Field{name: name, typ: TypeBoolean} }

// Array declares an ordered list of elem, whose name is ignored.
func Array(name string, elem *Field) *Field {
	return &Field{name: name, typ: TypeArray, elem: elem}
}

// Set declares a list of elem without duplicates; later ones are dropped.
func Set(name string, elem *Field) *Field {
	return &Field{name: name, typ: TypeSet, elem: elem}
}

// Map declares a mapping from key to value, whose names are ignored.
func Map(name string, key, value *Field) *Field {
	return &Field{name: name, typ: TypeMap, key: key, elem: value}
}

// Nested declares a field whose value is itself a record. It is required, so
// when it is absent it is completed from the defaults of its own fields.
func Nested(name string, r *Record) *Field {
	return &Field{name: name, typ: TypeRecord, record: r, required: true}
}

// Any declares a field of any JSON value.
func Any(name string) *Field { return &Field{name: name, typ: TypeAny} }

// Match declares a condition on a field whose type is declared elsewhere; see
// Conditional.
func Match() *Field { return &Field{typ: typeInherit} }

// Name returns the field's name.
func (f *Field) Name() string { return f.name }

// Type returns the field's type.
func (f *Field) Type() Type { return f.typ }

// Elements returns the declaration of the elements of an array or set or of
// the values of a map, nil for other types.
func (f *Field) Elements() *Field { return f.elem }

// Record returns the declaration of a record's fields, nil for other types.
func (f *Field) Record() *Record { return f.record }

// HasSecretValue reports whether what follows the name in text of the form
// name:value must never be printed.
func (f *Field) HasSecretValue() bool { return f.secretValue }

// IsSecret reports whether the value must never be printed.
func (f *Field) IsSecret() bool { return f.secret }

// Default sets the value that Complete uses when the field is not set. Go
// literals of any number, slice or string-keyed map type are accepted.
func (f *Field) Default(v any) *Field {
	f.def, f.hasDefault = Canonical(v), true
	return f
}

// Required refuses null, and absence when there is no default.
func (f *Field) Required() *Field {
	f.required = true
	return f
}

// Optional lets a Nested field be null or absent.
func (f *Field) Optional() *Field {
	f.required = false
	return f
}

// Secret marks a value that must never be printed (Kong: encrypted).
func (f *Field) Secret() *Field {
	f.secret = true
	return f
}

// SecretValue marks text of the form name:value whose value must never be
// printed; its name may. Text without a colon counts as secret altogether.
func (f *Field) SecretValue() *Field {
	f.secretValue = true
	return f
}

// Referenceable accepts a vault reference, {vault://…}, instead of a value.
func (f *Field) Referenceable() *Field {
	f.referenceable = true
	return f
}

// Explicit keeps a required record from being completed when it is absent.
func (f *Field) Explicit() *Field {
	f.explicit = true
	return f
}

// Deprecated notes what to use instead. The field keeps working.
func (f *Field) Deprecated(instead string) *Field {
	f.deprecated = instead
	return f
}

// Deprecation returns what to use instead of the field, empty when the field
// is not deprecated.
func (f *Field) Deprecation() string { return f.deprecated }

// Message replaces the message of whatever rule of the field fails.
func (f *Field) Message(text string) *Field {
	f.message = text
	return f
}

// Forbidden refuses every value but null: a field that exists in general but
// not here.
func (f *Field) Forbidden() *Field {
	f.forbidden = true
	return f
}
