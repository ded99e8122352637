// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// comparison collects how a live object falls short of a rendered one.
type comparison struct {
	differ    []fieldpath.Path // rendered leaves whose live value is another one, or absent
	uncertain []fieldpath.Path // atomic values where live holds more than rendered: defaults, or something we dropped
}

// identity holds the paths that name an object; the API server keeps nobody as their owner.
var identity = map[string]bool{"apiVersion": true, "kind": true}

func (c *comparison) object(live, rendered map[string]any, shape *fieldpath.Set) {
	for _, k := range sortedKeys(rendered) {
		if identity[k] {
			continue
		}
		v := rendered[k]
		if k == "metadata" {
			meta, _ := v.(map[string]any)
			liveMeta, _ := live[k].(map[string]any)
			c.metadata(liveMeta, meta, descend(shape, fieldpath.FieldNameElement(k)))
			continue
		}
		lv, ok := live[k]
		pe := fieldpath.FieldNameElement(k)
		c.value(fieldpath.Path{pe}, lv, ok, v, shape, pe)
	}
}

func (c *comparison) metadata(live, rendered map[string]any, shape *fieldpath.Set) {
	for _, k := range sortedKeys(rendered) {
		if k == "name" || k == "namespace" || k == "uid" || k == "resourceVersion" {
			continue
		}
		lv, ok := live[k]
		pe := fieldpath.FieldNameElement(k)
		c.value(fieldpath.Path{fieldpath.FieldNameElement("metadata"), pe}, lv, ok, rendered[k], shape, pe)
	}
}

// value compares one rendered value at path; parent is the shape of the node that holds it under element pe.
func (c *comparison) value(path fieldpath.Path, live any, ok bool, rendered any, parent *fieldpath.Set, pe fieldpath.PathElement) {
	if !ok {
		c.differ = append(c.differ, path.Copy())
		return
	}
	shape := descend(parent, pe)
	if parent != nil && parent.Members.Has(pe) && (shape == nil || shape.Empty()) {
		c.atomic(path, live, rendered)
		return
	}
	switch r := rendered.(type) {
	case map[string]any:
		l, isMap := live.(map[string]any)
		if !isMap {
			c.differ = append(c.differ, path.Copy())
			return
		}
		for _, k := range sortedKeys(r) {
			lv, has := l[k]
			child := fieldpath.FieldNameElement(k)
			c.value(append(path, child), lv, has, r[k], shape, child)
		}
	case []any:
		c.list(path, live, r, shape)
	default:
		c.atomic(path, live, rendered)
	}
}

func (c *comparison) list(path fieldpath.Path, live any, rendered []any, shape *fieldpath.Set) {
	l, isList := live.([]any)
	keys, isSet := listShape(shape)
	if !isList || (keys == nil && !isSet) {
		c.atomic(path, live, rendered)
		return
	}
	for _, item := range rendered {
		if isSet {
			if !containsScalar(l, item) {
				c.differ = append(c.differ, append(path.Copy(), fieldpath.ValueElement(value.NewValueInterface(item))))
			}
			continue
		}
		m, isMap := item.(map[string]any)
		if !isMap {
			c.atomic(path, live, rendered)
			return
		}
		pe := keyElement(m, keys)
		found, has := findByKey(l, m, keys)
		c.value(append(path, pe), found, has, item, shape, pe)
	}
}

// atomic compares a value that the API server replaces as a whole.
func (c *comparison) atomic(path fieldpath.Path, live, rendered any) {
	switch within(path, live, rendered) {
	case same:
	case more:
		c.uncertain = append(c.uncertain, path.Copy())
	case other:
		c.differ = append(c.differ, path.Copy())
	}
}

type verdict int

const (
	same  verdict = iota // equal values
	more                 // live holds all that is rendered, and more
	other                // a rendered leaf is missing or has another value
)

// within says how live relates to rendered, reading lists by position.
func within(path fieldpath.Path, live, rendered any) verdict {
	switch r := rendered.(type) {
	case map[string]any:
		l, ok := live.(map[string]any)
		if !ok {
			return other
		}
		result := same
		if len(l) > len(r) {
			result = more
		}
		for k, v := range r {
			lv, has := l[k]
			if !has {
				return other
			}
			result = max(result, within(append(path, fieldpath.FieldNameElement(k)), lv, v))
		}
		return result
	case []any:
		l, ok := live.([]any)
		if !ok || len(l) != len(r) {
			return other
		}
		result := same
		for i := range r {
			result = max(result, within(append(path, fieldpath.IndexElement(i)), l[i], r[i]))
		}
		return result
	default:
		if equalScalar(path, live, rendered) {
			return same
		}
		return other
	}
}

// quantityParents are the fields below which scalars are resource quantities; elsewhere "1.0" and "1" are two values
// (an image tag, an annotation).
var quantityParents = []string{"limits", "requests", "sizeLimit", "divisor", "averageValue"}

func equalScalar(path fieldpath.Path, a, b any) bool {
	if a == b {
		return true
	}
	if x, ok := number(a); ok {
		if y, ok := number(b); ok {
			return x == y
		}
	}
	if !onQuantityPath(path) {
		return false
	}
	x, okX := quantity(a)
	y, okY := quantity(b)
	return okX && okY && x.Cmp(y) == 0
}

func onQuantityPath(path fieldpath.Path) bool {
	quantities := false
	for _, pe := range path[max(0, len(path)-2):] {
		if pe.FieldName == nil {
			continue
		}
		if *pe.FieldName == "annotations" || *pe.FieldName == "labels" {
			return false
		}
		quantities = quantities || slices.Contains(quantityParents, *pe.FieldName)
	}
	return quantities
}

func number(v any) (float64, bool) {
	switch n := v.(type) {
	case int64:
		return float64(n), true
	case int:
		return float64(n), true
	case int32:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}

func quantity(v any) (resource.Quantity, bool) {
	var q resource.Quantity
	var err error
	switch s := v.(type) {
	case string:
		q, err = resource.ParseQuantity(s)
	case int64:
		q = *resource.NewQuantity(s, resource.DecimalSI)
	default:
		return q, false
	}
	return q, err == nil
}
