// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
)

// Canonical returns a deep copy of v in the one form that this package works
// on: numbers are int64 when they are whole and exact in a float64 and float64
// otherwise, lists are []any, mappings map[string]any. A value of a type that
// has no JSON form is turned into text.
func Canonical(v any) any {
	switch v := v.(type) {
	case nil, bool, string:
		return v
	case int64:
		return whole(v)
	case int:
		return whole(int64(v))
	case float64:
		return float(v)
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return whole(i)
		}
		f, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return float(f)
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = Canonical(e)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = Canonical(e)
		}
		return out
	}
	return canonicalReflect(reflect.ValueOf(v))
}

// IsCanonical reports whether v is in the form that Canonical returns.
func IsCanonical(v any) bool {
	switch v := v.(type) {
	case nil, bool, string:
		return true
	case int64:
		return v >= -exact && v <= exact
	case float64:
		_, stays := float(v).(float64)
		return stays
	case []any:
		return v != nil && !slices.ContainsFunc(v, func(e any) bool { return !IsCanonical(e) })
	case map[string]any:
		for _, e := range v {
			if !IsCanonical(e) {
				return false
			}
		}
		return v != nil
	}
	return false
}

// clone returns a deep copy of a canonical value.
func clone(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = clone(e)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = clone(e)
		}
		return out
	}
	return v
}

func canonicalReflect(v reflect.Value) any {
	switch v.Kind() {
	case reflect.String:
		return v.String()
	case reflect.Bool:
		return v.Bool()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return whole(v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if u := v.Uint(); u <= math.MaxInt64 {
			return whole(int64(u))
		}
		return float(float64(v.Uint()))
	case reflect.Float32, reflect.Float64:
		return float(v.Float())
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return Canonical(v.Elem().Interface())
	case reflect.Slice, reflect.Array:
		out := make([]any, v.Len())
		for i := range out {
			out[i] = Canonical(v.Index(i).Interface())
		}
		return out
	case reflect.Map:
		out := make(map[string]any, v.Len())
		for it := v.MapRange(); it.Next(); {
			out[fmt.Sprint(it.Key().Interface())] = Canonical(it.Value().Interface())
		}
		return out
	}
	return fmt.Sprint(v.Interface())
}

// exact is the range in which every whole number has its own float64.
const exact = 1 << 53

func whole(i int64) any {
	if i > exact || i < -exact {
		return float64(i)
	}
	return i
}

func float(f float64) any {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return strconv.FormatFloat(f, 'g', -1, 64) // JSON has no such numbers
	}
	if f == math.Trunc(f) && math.Abs(f) <= exact {
		return int64(f)
	}
	return f
}

func asFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// Float returns a canonical number as a float64, and whether v is one.
func Float(v any) (float64, bool) { return asFloat(v) }

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
