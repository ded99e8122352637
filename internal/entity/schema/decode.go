// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync"
)

// Decode fills the struct that out points to from a value, usually a completed
// configuration. Fields are matched by the name in their json tag; fields
// without a tag and names without a field are left alone, so a struct may name
// only what it needs. A null or absent value leaves the zero value; use a
// pointer to tell null from zero. Types that implement
// encoding.TextUnmarshaler are filled from text. Errors name the path and never
// hold the value.
func Decode(value map[string]any, out any) error {
	v := reflect.ValueOf(out)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("decode: %T is not a pointer to a struct", out)
	}
	return decodeStruct(value, v.Elem(), "")
}

type structField struct {
	name  string
	index []int
}

var structs sync.Map // reflect.Type → []structField

func fieldsOf(t reflect.Type) []structField {
	if known, ok := structs.Load(t); ok {
		return known.([]structField)
	}
	var fields []structField
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" && f.IsExported() {
			fields = append(fields, structField{name: name, index: f.Index})
		}
	}
	structs.Store(t, fields)
	return fields
}

func decodeStruct(value map[string]any, out reflect.Value, path string) error {
	for _, f := range fieldsOf(out.Type()) {
		v, set := value[f.name]
		if !set || v == nil {
			continue
		}
		if err := decodeValue(v, out.FieldByIndex(f.index), join(path, f.name)); err != nil {
			return err
		}
	}
	return nil
}

var textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()

func decodeValue(v any, out reflect.Value, path string) error {
	if v == nil {
		return nil
	}
	if s, ok := v.(string); ok && out.CanAddr() && out.Addr().Type().Implements(textUnmarshaler) {
		if err := out.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s)); err != nil {
			return fmt.Errorf("%s: not a valid %s", path, out.Type())
		}
		return nil
	}
	switch out.Kind() {
	case reflect.Pointer:
		p := reflect.New(out.Type().Elem())
		out.Set(p)
		return decodeValue(v, p.Elem(), path)
	case reflect.Interface:
		out.Set(reflect.ValueOf(Canonical(v)))
		return nil
	case reflect.Struct:
		if m, ok := v.(map[string]any); ok {
			return decodeStruct(m, out, path)
		}
	case reflect.Slice:
		if list, ok := v.([]any); ok {
			return decodeSlice(list, out, path)
		}
	case reflect.Map:
		if m, ok := v.(map[string]any); ok {
			return decodeMap(m, out, path)
		}
	default:
		if decodePlain(v, out) {
			return nil
		}
	}
	return fmt.Errorf("%s: a %T does not fit into a %s", path, v, out.Type())
}

func decodeSlice(list []any, out reflect.Value, path string) error {
	s := reflect.MakeSlice(out.Type(), len(list), len(list))
	for i, e := range list {
		if err := decodeValue(e, s.Index(i), index(path, i)); err != nil {
			return err
		}
	}
	out.Set(s)
	return nil
}

func decodeMap(m map[string]any, out reflect.Value, path string) error {
	t := out.Type()
	if t.Key().Kind() != reflect.String {
		return fmt.Errorf("%s: keys of %s are not text", path, t)
	}
	filled := reflect.MakeMapWithSize(t, len(m))
	for k, e := range m {
		v := reflect.New(t.Elem()).Elem()
		if err := decodeValue(e, v, join(path, k)); err != nil {
			return err
		}
		filled.SetMapIndex(reflect.ValueOf(k).Convert(t.Key()), v)
	}
	out.Set(filled)
	return nil
}

// decodePlain sets text, truth values and numbers, and reports whether v fits.
func decodePlain(v any, out reflect.Value) bool {
	switch v := Canonical(v).(type) {
	case string:
		if out.Kind() == reflect.String {
			out.SetString(v)
			return true
		}
	case bool:
		if out.Kind() == reflect.Bool {
			out.SetBool(v)
			return true
		}
	case int64:
		return decodeInt(v, out)
	case float64:
		if out.CanFloat() {
			out.SetFloat(v)
			return true
		}
		if v == math.Trunc(v) && math.Abs(v) < math.MaxInt64 {
			return decodeInt(int64(v), out)
		}
	}
	return false
}

func decodeInt(i int64, out reflect.Value) bool {
	switch {
	case out.CanInt() && !out.OverflowInt(i):
		out.SetInt(i)
	case out.CanUint() && i >= 0 && !out.OverflowUint(uint64(i)):
		out.SetUint(uint64(i))
	case out.CanFloat():
		out.SetFloat(float64(i))
	default:
		return false
	}
	return true
}
