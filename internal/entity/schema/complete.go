// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Shorthand is another spelling of one or more fields.
type Shorthand struct {
	field *Field
	// path is the field that an alias stands for, dotted; "" when the
	// translation is a function.
	path      string
	translate func(v any) map[string]any
}

// Alias declares a deprecated name for the field at path (dotted). The value
// is copied there; setting both to different values is an error.
func Alias(f *Field, path string) Shorthand {
	return Shorthand{field: f.Deprecated(path), path: path}
}

// Translate declares a shorthand whose value stands for the fields that fn
// returns, which override those given directly. A nil value in the result
// sets the field to null.
func Translate(f *Field, fn func(v any) map[string]any) Shorthand {
	return Shorthand{field: f, translate: fn}
}

// complete fills v, which is canonical and owned by the caller, in place.
// Problems of shorthands go to c, which may be nil.
func (r *Record) complete(v map[string]any, path string, c *checker) {
	for i := range r.shorthands {
		r.expand(&r.shorthands[i], v, path, c)
	}
	for _, f := range r.fields {
		value, set := v[f.name]
		if !set {
			if value, set = f.missing(); !set {
				continue
			}
			v[f.name] = value
		}
		v[f.name] = f.complete(value, join(path, f.name), c)
	}
}

// missing returns what stands in for an absent value.
func (f *Field) missing() (any, bool) {
	if f.hasDefault {
		return clone(f.def), true
	}
	if f.required && f.typ == TypeRecord && !f.explicit {
		return map[string]any{}, true
	}
	return nil, false
}

func (f *Field) complete(value any, path string, c *checker) any {
	before := c.count()
	switch v := value.(type) {
	case map[string]any:
		switch f.typ {
		case TypeRecord:
			f.record.complete(v, "", c)
			c.under(before, path)
		case TypeMap:
			for k, e := range v {
				before = c.count()
				v[k] = f.elem.complete(e, "", c)
				if c.count() > before {
					c.under(before, join(path, k))
				}
			}
		}
	case []any:
		if f.typ != TypeArray && f.typ != TypeSet {
			return value
		}
		for i, e := range v {
			before = c.count()
			v[i] = f.elem.complete(e, "", c)
			if c.count() > before {
				c.under(before, index(path, i))
			}
		}
		if f.typ == TypeSet {
			return unique(v)
		}
	}
	return value
}

// unique drops later duplicates of plain values, in place.
func unique(list []any) []any {
	if len(list) < 2 {
		return list
	}
	seen := make(map[any]bool, len(list))
	return slices.DeleteFunc(list, func(e any) bool {
		switch e.(type) {
		case []any, map[string]any:
			return false
		}
		if seen[e] {
			return true
		}
		seen[e] = true
		return false
	})
}

// expand replaces one shorthand in v by what it stands for.
func (r *Record) expand(s *Shorthand, v map[string]any, path string, c *checker) {
	name := s.field.name
	value, set := v[name]
	if !set {
		return
	}
	if r.byName[name] == nil {
		delete(v, name)
	}
	if value == nil && s.path != "" {
		return
	}
	at := join(path, name)
	if c != nil {
		before := len(c.violations)
		c.field(s.field, value, at)
		if len(c.violations) > before {
			return
		}
	}
	if s.path != "" {
		s.copyTo(v, value, at, c)
		return
	}
	for k, e := range s.translate(value) {
		merge(v, k, Canonical(e))
	}
}

func (s *Shorthand) copyTo(v map[string]any, value any, at string, c *checker) {
	steps := strings.Split(s.path, ".")
	last := len(steps) - 1
	for _, step := range steps[:last] {
		next, ok := v[step].(map[string]any)
		if !ok {
			if v[step] != nil {
				return // of the wrong type, which is reported elsewhere
			}
			next = map[string]any{}
			v[step] = next
		}
		v = next
	}
	old := v[steps[last]]
	if old == nil {
		v[steps[last]] = value
		return
	}
	if c != nil && !reflect.DeepEqual(old, value) {
		message := fmt.Sprintf("both deprecated and new field are used but their values mismatch: %s and %s", s.field.name, s.path)
		if !s.field.secret {
			message = fmt.Sprintf("both deprecated and new field are used but their values mismatch: %s = %v vs %s = %v", s.field.name, value, s.path, old)
		}
		c.add(at, message)
	}
}

// merge sets v[key] to e. Mappings are merged key by key.
func merge(v map[string]any, key string, e any) {
	from, isMap := e.(map[string]any)
	into, wasMap := v[key].(map[string]any)
	if isMap && wasMap {
		maps.Copy(into, from)
		return
	}
	v[key] = e
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }
