// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"math"
	"slices"
)

// checker collects violations.
type checker struct {
	violations []Violation
	// shared says that the value is only checked: what stands in for absent
	// fields is neither copied nor looked at again.
	shared bool
}

func (c *checker) add(path, message string) {
	c.violations = append(c.violations, Violation{Path: path, Message: message})
}

// count is how many violations there are; a nil checker collects none.
func (c *checker) count() int {
	if c == nil {
		return 0
	}
	return len(c.violations)
}

// under puts a prefix before the paths of the violations from the first one on.
// What lies inside a value is checked with paths that are relative to it: a
// valid value, which is nearly every one, costs no paths.
func (c *checker) under(first int, prefix string) {
	for i := first; i < c.count(); i++ {
		v := &c.violations[i]
		switch {
		case v.Path == "":
			v.Path = prefix
		case v.Path[0] == '[':
			v.Path = prefix + v.Path
		default:
			v.Path = join(prefix, v.Path)
		}
	}
}

// validate checks a completed value.
func (r *Record) validate(v map[string]any, path string, c *checker) {
	before, known := len(c.violations), 0
	for i, f := range r.fields {
		value, set := v[f.name]
		if !set {
			if f.required {
				c.add(join(path, f.name), "required field missing")
			}
			continue
		}
		known++
		if c.shared && r.standIn(i).is(value) {
			continue
		}
		c.field(f, value, join(path, f.name))
	}
	if known < len(v) {
		r.unknown(v, path, c)
	}
	if len(r.checks) == 0 {
		return
	}
	var failed map[string]bool
	if len(c.violations) > before {
		failed = make(map[string]bool)
	}
	for _, x := range c.violations[before:] {
		failed[x.Path] = true
	}
	for i := range r.checks {
		r.checks[i].run(r, v, path, failed, c)
	}
}

func (r *Record) unknown(v map[string]any, path string, c *checker) {
	var names []string
	for name := range v {
		if r.byName[name] == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		c.add(join(path, name), "unknown field")
	}
}

// field checks one value, which is completed.
func (c *checker) field(f *Field, v any, path string) {
	if v == nil {
		if f.required {
			c.add(path, "required field missing")
		}
		return
	}
	if f.forbidden {
		c.add(path, f.text("value must be null"))
		return
	}
	if message := f.wrongType(v); message != "" {
		c.add(path, message)
		return
	}
	if s, ok := v.(string); ok && f.referenceable && IsReference(s) {
		if _, err := ParseReference(s); err != nil {
			c.add(path, err.Error())
		}
		return
	}
	before := len(c.violations)
	c.inside(f, v, path)
	if len(c.violations) > before {
		return
	}
	if message := f.broken(v); message != "" {
		c.add(path, f.redacted(message, v))
	}
}

// inside checks the elements of a collection or the fields of a record.
func (c *checker) inside(f *Field, v any, path string) {
	switch f.typ {
	case TypeArray, TypeSet:
		for i, e := range v.([]any) {
			before := len(c.violations)
			c.element(f.elem, e, "")
			if len(c.violations) > before {
				c.under(before, index(path, i))
			}
		}
	case TypeMap:
		m := v.(map[string]any)
		keys := make([]string, 0, len(m))
		for k := range m {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			before := len(c.violations)
			c.field(f.key, k, "")
			if len(c.violations) == before {
				c.element(f.elem, m[k], "")
			}
			if len(c.violations) > before {
				c.under(before, join(path, k))
			}
		}
	case TypeRecord:
		before := len(c.violations)
		f.record.validate(v.(map[string]any), "", c)
		c.under(before, path)
	}
}

// element checks a value inside a collection, where null is never allowed.
func (c *checker) element(f *Field, v any, path string) {
	if v == nil {
		c.add(path, "required field missing")
		return
	}
	c.field(f, v, path)
}

func (f *Field) wrongType(v any) string {
	ok := true
	article := "a "
	switch f.typ {
	case TypeString:
		_, ok = v.(string)
	case TypeBoolean:
		_, ok = v.(bool)
	case TypeNumber:
		_, ok = asFloat(v)
	case TypeInteger:
		article = "an "
		var n float64
		n, ok = asFloat(v)
		ok = ok && n == math.Trunc(n)
	case TypeArray:
		article = "an "
		_, ok = v.([]any)
	case TypeSet:
		_, ok = v.([]any)
	case TypeMap, TypeRecord:
		_, ok = v.(map[string]any)
	}
	if ok {
		return ""
	}
	return "expected " + article + string(f.typ)
}

// broken returns the message of the first rule that v breaks.
func (f *Field) broken(v any) string {
	for i := range f.rules {
		if f.rules[i].rank > rankLength && f.emptyText(v) {
			break
		}
		if message := f.rules[i].check(v); message != "" {
			return f.text(message)
		}
	}
	if f.emptyText(v) {
		return f.text("length must be at least 1")
	}
	return ""
}

// emptyText reports whether v is the empty text that Kong refuses by default.
func (f *Field) emptyText(v any) bool { return f.typ == TypeString && !f.minLenSet && v == "" }

func (f *Field) text(message string) string {
	if f.message != "" {
		return f.message
	}
	return message
}
