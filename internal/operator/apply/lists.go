// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"slices"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// keyDefaults are the merge key fields that the API server fills in when a list item leaves them out.
var keyDefaults = map[string]any{"protocol": "TCP"}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// descend returns the shape below pe, nil when nobody owns anything there.
func descend(shape *fieldpath.Set, pe fieldpath.PathElement) *fieldpath.Set {
	if shape == nil {
		return nil
	}
	child, ok := shape.Children.Get(pe)
	if !ok {
		return nil
	}
	return child
}

// listShape reads how the API server tracks a list: by the returned merge keys, as a set, or (neither) as one value.
func listShape(shape *fieldpath.Set) (keys []string, set bool) {
	if shape == nil {
		return nil, false
	}
	look := func(pe fieldpath.PathElement) {
		switch {
		case pe.Key != nil && keys == nil:
			for _, f := range *pe.Key {
				keys = append(keys, f.Name)
			}
		case pe.Value != nil:
			set = true
		}
	}
	shape.Members.Iterate(look)
	shape.Children.Iterate(look)
	return keys, set
}

func keyValue(item map[string]any, key string) any {
	if v, ok := item[key]; ok {
		return v
	}
	return keyDefaults[key]
}

func keyElement(item map[string]any, keys []string) fieldpath.PathElement {
	fields := make(value.FieldList, 0, len(keys))
	for _, k := range keys {
		fields = append(fields, value.Field{Name: k, Value: value.NewValueInterface(keyValue(item, k))})
	}
	fields.Sort()
	return fieldpath.PathElement{Key: &fields}
}

func findByKey(list []any, want map[string]any, keys []string) (any, bool) {
	for _, candidate := range list {
		m, ok := candidate.(map[string]any)
		if !ok {
			continue
		}
		if !slices.ContainsFunc(keys, func(k string) bool {
			return !equalScalar(nil, keyValue(m, k), keyValue(want, k))
		}) {
			return candidate, true
		}
	}
	return nil, false
}

func containsScalar(list []any, want any) bool {
	return slices.ContainsFunc(list, func(v any) bool { return equalScalar(nil, v, want) })
}

// lookup follows path into a rendered object.
func lookup(obj any, path fieldpath.Path) (any, bool) {
	for _, pe := range path {
		var ok bool
		if obj, ok = step(obj, pe); !ok {
			return nil, false
		}
	}
	return obj, true
}

func step(obj any, pe fieldpath.PathElement) (any, bool) {
	switch {
	case pe.FieldName != nil:
		m, _ := obj.(map[string]any)
		v, ok := m[*pe.FieldName]
		return v, ok
	case pe.Key != nil:
		list, _ := obj.([]any)
		want, keys := map[string]any{}, []string{}
		for _, f := range *pe.Key {
			want[f.Name] = f.Value.Unstructured()
			keys = append(keys, f.Name)
		}
		return findByKey(list, want, keys)
	case pe.Value != nil:
		list, _ := obj.([]any)
		v := (*pe.Value).Unstructured()
		return v, containsScalar(list, v)
	case pe.Index != nil:
		list, _ := obj.([]any)
		if *pe.Index >= len(list) {
			return nil, false
		}
		return list[*pe.Index], true
	}
	return nil, false
}

// without returns obj with the value at path taken out; containers on the way are copied, obj stays as it is.
func without(obj any, path fieldpath.Path) any {
	if len(path) == 0 {
		return obj
	}
	pe := path[0]
	switch o := obj.(type) {
	case map[string]any:
		if pe.FieldName == nil {
			return obj
		}
		child, ok := o[*pe.FieldName]
		if !ok {
			return obj
		}
		out := make(map[string]any, len(o))
		for k, v := range o {
			out[k] = v
		}
		if len(path) == 1 {
			delete(out, *pe.FieldName)
		} else {
			out[*pe.FieldName] = without(child, path[1:])
		}
		return out
	case []any:
		found, ok := step(obj, pe)
		if !ok {
			return obj
		}
		out := make([]any, 0, len(o))
		for _, v := range o {
			switch {
			case !sameItem(v, found):
				out = append(out, v)
			case len(path) > 1:
				out = append(out, without(v, path[1:]))
			}
		}
		return out
	}
	return obj
}

func sameItem(a, b any) bool { return within(nil, a, b) == same }
