// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"reflect"
)

// Encode is the inverse of Decode: it returns the canonical value of a struct,
// by its json tags. Fields that are nil or the zero value of their type are
// left out, and so are empty lists and mappings; pointers are followed.
func Encode(in any) map[string]any {
	v := reflect.Indirect(reflect.ValueOf(in))
	if v.Kind() != reflect.Struct {
		return map[string]any{}
	}
	return encodeStruct(v)
}

// EncodeInto is Encode into a map that is there already, which must be empty.
func EncodeInto(out map[string]any, in any) {
	if v := reflect.Indirect(reflect.ValueOf(in)); v.Kind() == reflect.Struct {
		encodeFields(out, v)
	}
}

func encodeStruct(v reflect.Value) map[string]any {
	out := make(map[string]any, len(fieldsOf(v.Type())))
	encodeFields(out, v)
	return out
}

func encodeFields(out map[string]any, v reflect.Value) {
	for _, f := range fieldsOf(v.Type()) {
		fv := v.FieldByIndex(f.index)
		if isUnset(fv) {
			continue
		}
		out[f.name] = encodeValue(fv)
	}
}

func isUnset(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	}
	return v.IsZero()
}

func encodeValue(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return encodeValue(v.Elem())
	case reflect.Struct:
		return encodeStruct(v)
	case reflect.Slice, reflect.Array:
		out := make([]any, v.Len())
		for i := range out {
			out[i] = encodeValue(v.Index(i))
		}
		return out
	case reflect.Map:
		out := make(map[string]any, v.Len())
		for it := v.MapRange(); it.Next(); {
			out[it.Key().String()] = encodeValue(it.Value())
		}
		return out
	}
	return canonicalReflect(v)
}
