// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"slices"
	"strings"
)

// Has reports whether the record knows the field at path: dotted, through
// lists without a step, through maps with any key (or "*") as a step. Other
// spellings count as known.
func (r *Record) Has(path string) bool { return r.find(path) != nil }

func (r *Record) find(path string) *Field {
	steps := strings.Split(path, ".")
	f := r.named(steps[0])
	for _, step := range steps[1:] {
		for f != nil && (f.typ == TypeArray || f.typ == TypeSet) {
			f = f.elem
		}
		switch {
		case f == nil:
			return nil
		case f.typ == TypeMap:
			f = f.elem
		case f.typ == TypeRecord:
			f = f.record.named(step)
		default:
			return nil
		}
	}
	return f
}

func (r *Record) named(name string) *Field {
	if f := r.byName[name]; f != nil {
		return f
	}
	for i := range r.shorthands {
		if r.shorthands[i].field.name == name {
			return r.shorthands[i].field
		}
	}
	return nil
}

// Paths returns every path that Has knows, sorted, with "*" for the keys of
// maps: what a proxy can announce so that a newer manager knows its fields.
func (r *Record) Paths() []string {
	var paths []string
	r.paths("", func(p string) { paths = append(paths, p) })
	slices.Sort(paths)
	return slices.Compact(paths)
}

func (r *Record) paths(prefix string, add func(string)) {
	for _, f := range r.fields {
		f.paths(join(prefix, f.name), add)
	}
	for i := range r.shorthands {
		f := r.shorthands[i].field
		f.paths(join(prefix, f.name), add)
	}
}

func (f *Field) paths(at string, add func(string)) {
	add(at)
	for f.typ == TypeArray || f.typ == TypeSet {
		f = f.elem
	}
	switch f.typ {
	case TypeMap:
		f.elem.paths(at+".*", add)
	case TypeRecord:
		f.record.paths(at, add)
	}
}

// Prune returns value without the fields that has does not know, and the paths
// left out, sorted. has is given paths as Paths returns them.
func (r *Record) Prune(value map[string]any, has func(path string) bool) (map[string]any, []string) {
	dropped := make(map[string]bool)
	out := r.prune(value, "", has, dropped)
	paths := make([]string, 0, len(dropped))
	for p := range dropped {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	return out, paths
}

func (r *Record) prune(value map[string]any, prefix string, has func(string) bool, dropped map[string]bool) map[string]any {
	out := make(map[string]any, len(value))
	for name, v := range value {
		at := join(prefix, name)
		if !has(at) {
			dropped[at] = true
			continue
		}
		out[name] = r.named(name).prune(v, at, has, dropped)
	}
	return out
}

func (f *Field) prune(v any, at string, has func(string) bool, dropped map[string]bool) any {
	if f == nil {
		return v
	}
	switch v := v.(type) {
	case map[string]any:
		switch f.typ {
		case TypeRecord:
			return f.record.prune(v, at, has, dropped)
		case TypeMap:
			out := make(map[string]any, len(v))
			for k, e := range v {
				out[k] = f.elem.prune(e, at+".*", has, dropped)
			}
			return out
		}
	case []any:
		if f.typ != TypeArray && f.typ != TypeSet {
			return v
		}
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = f.elem.prune(e, at, has, dropped)
		}
		return out
	}
	return v
}
