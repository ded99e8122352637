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
	for i, f := range r.fields {
		value, set := v[f.name]
		if !set && c != nil && c.shared {
			if s := r.standIn(i); s.fits {
				v[f.name] = s.value
				continue
			}
		}
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

// standIn is what stands in for the absent value of a field, completed. It is
// shared and must not be changed.
type standIn struct {
	value any
	// fits is true when there is such a value, and it is valid.
	fits bool
}

// standIn returns that of the i-th field.
func (r *Record) standIn(i int) *standIn {
	r.prepare.Do(func() {
		r.standIns = make([]standIn, len(r.fields))
		for i, f := range r.fields {
			value, set := f.missing()
			if !set {
				continue
			}
			var c checker
			value = f.complete(value, "", &c)
			c.field(f, value, "")
			r.standIns[i] = standIn{value, len(c.violations) == 0}
		}
	})
	return &r.standIns[i]
}

// is reports whether v is this very value, or an equal one that is plain.
func (s *standIn) is(v any) bool {
	if !s.fits {
		return false
	}
	switch own := s.value.(type) {
	case map[string]any:
		_, ok := v.(map[string]any)
		return ok && reflect.ValueOf(v).Pointer() == reflect.ValueOf(s.value).Pointer()
	case []any:
		l, ok := v.([]any)
		return ok && len(l) == len(own) && reflect.ValueOf(v).Pointer() == reflect.ValueOf(s.value).Pointer()
	}
	return v == s.value
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
			if kept := unique(v); len(kept) < len(v) {
				return kept
			}
		}
	}
	return value
}

// unique drops later duplicates of plain values, in place.
func unique(list []any) []any {
	const short = 16 // up to which comparing each with each is the least work
	var seen map[any]bool
	if len(list) > short {
		seen = make(map[any]bool, len(list))
	}
	kept := list[:0]
	for _, e := range list {
		switch e.(type) {
		case []any, map[string]any:
			kept = append(kept, e)
			continue
		}
		if seen[e] || seen == nil && slices.Contains(kept, e) {
			continue
		}
		if seen != nil {
			seen[e] = true
		}
		kept = append(kept, e)
	}
	clear(list[len(kept):])
	return kept
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
