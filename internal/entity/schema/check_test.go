// SPDX-License-Identifier: Apache-2.0

package schema_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// parse reads JSON as the codecs do.
func parse(t *testing.T, text string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func texts(violations []schema.Violation) []string {
	var out []string
	for _, v := range violations {
		out = append(out, v.String())
	}
	return out
}

var inner = schema.NewRecord(
	schema.String("host").Required(),
	schema.Integer("port").Default(6379).Between(0, 65535),
)

func TestCheckMessages(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		field *schema.Field
		value string
		want  []string
	}{
		{"text", schema.String("f"), `1`, []string{"f: expected a string"}},
		{"empty text", schema.String("f"), `""`, []string{"f: length must be at least 1"}},
		{"empty text allowed", schema.String("f").LenMin(0), `""`, nil},
		{"empty text of a choice", schema.String("f").OneOf("a"), `""`, []string{"f: expected one of: a"}},
		{"empty text before its start", schema.String("f").StartsWith("/"), `""`, []string{"f: length must be at least 1"}},
		{"integer", schema.Integer("f"), `1.5`, []string{"f: expected an integer"}},
		{"whole number as integer", schema.Integer("f"), `2.0`, nil},
		{"large integer", schema.Integer("f"), `1e300`, nil},
		{"number", schema.Number("f"), `"1"`, []string{"f: expected a number"}},
		{"boolean", schema.Boolean("f"), `"yes"`, []string{"f: expected a boolean"}},
		{"array", schema.Array("f", schema.String("")), `"a"`, []string{"f: expected an array"}},
		{"set", schema.Set("f", schema.String("")), `"a"`, []string{"f: expected a set"}},
		{"map", schema.Map("f", schema.String(""), schema.String("")), `[]`, []string{"f: expected a map"}},
		{"record", schema.Nested("f", inner), `1`, []string{"f: expected a record"}},
		{"anything", schema.Any("f"), `[{"a":null}]`, nil},
		{"null", schema.String("f"), `null`, nil},
		{"required null", schema.String("f").Required().Default("x"), `null`, []string{"f: required field missing"}},
		{"null in a list", schema.Array("f", schema.String("")), `[null]`, []string{"f[0]: required field missing"}},
		{"forbidden", schema.String("f").Forbidden(), `"a"`, []string{"f: value must be null"}},
		{"forbidden with a message", schema.String("f").Forbidden().Message("no"), `"a"`, []string{"f: no"}},
		{"one of", schema.Integer("f").OneOf(1, 2), `3`, []string{"f: expected one of: 1, 2"}},
		{"one of, written with a fraction", schema.Integer("f").OneOf(1, 2), `2.0`, nil},
		{"not one of", schema.String("f").NotOneOf("a"), `"a"`, []string{"f: must not be one of: a"}},
		{"equal", schema.Boolean("f").Equal(false), `true`, []string{"f: value must be false"}},
		{"not equal", schema.Boolean("f").NotEqual(true), `true`, []string{"f: value must not be true"}},
		{"between", schema.Integer("f").Between(100, 599), `600`, []string{"f: value should be between 100 and 599"}},
		{"between, ends included", schema.Array("f", schema.Integer("").Between(100, 599)), `[100, 599]`, nil},
		{"greater", schema.Number("f").Greater(0), `0`, []string{"f: value must be greater than 0"}},
		{"longest", schema.String("f").LenMax(2), `"abc"`, []string{"f: length must be at most 2"}},
		{"exact length", schema.Array("f", schema.Any("")).LenEqual(1), `[1,2]`, []string{"f: length must be 1"}},
		{"map too short", schema.Map("f", schema.String(""), schema.Any("")).LenMin(1), `{}`, []string{"f: length must be at least 1"}},
		{"start", schema.String("f").StartsWith("/"), `"a"`, []string{"f: should start with: /"}},
		{"pattern", schema.String("f").Matches("^[A-Z]+$"), `"get"`, []string{"f: invalid value: get"}},
		{"pattern refused", schema.String("f").MatchesNot("//", "must not have empty segments"), `"a//"`, []string{"f: must not have empty segments"}},
		{"contains", schema.Set("f", schema.String("")).Contains("exp"), `["nbf"]`, []string{"f: expected to contain: exp"}},
		{"uuid", schema.String("f").UUID(), `"x"`, []string{"f: expected a valid UUID"}},
		{"uuid in capitals", schema.String("f").UUID(), `"48EE727E-8B90-5FAA-BDA1-A3C6BC3C9DAA"`, nil},
		{"subsets", schema.Set("f", schema.String("")).ExclusiveSubsets([]string{"a", "b"}, []string{"c"}), `["a","c"]`,
			[]string{"f: these sets are mutually exclusive: ('a', 'b'), ('c')"}},
		{"custom", schema.String("f").CustomString("x", func(s string) string { return "not " + s }), `"a"`, []string{"f: not a"}},
		{"custom with a secret", schema.String("f").Secret().CustomString("x", func(s string) string { return "not " + s }), `"hunter2"`,
			[]string{"f: not REDACTED"}},
		{"custom with a secret value", schema.String("f").SecretValue().CustomString("x", func(s string) string { return "not " + s }), `"X:hunter2"`,
			[]string{"f: not X:REDACTED"}},
		{"custom with a URL", schema.String("f").CustomString("x", func(s string) string { return "not " + s }), `"http://a:hunter2@b"`,
			[]string{"f: not http://REDACTED@b"}},
		{"reference", schema.Integer("f").Referenceable(), `"{vault://env/a}"`, []string{"f: expected an integer"}},
		{"reference for text", schema.String("f").OneOf("a").Referenceable(), `"{vault://env/a}"`, nil},
		{"reference where none may be", schema.String("f").OneOf("a"), `"{vault://env/a}"`, []string{"f: expected one of: a"}},
		{"elements", schema.Array("f", schema.Integer("")), `[1,"x",2,true]`, []string{"f[1]: expected an integer", "f[3]: expected an integer"}},
		{"map keys and values", schema.Map("f", schema.String("").Matches("^[a-z]$"), schema.Integer("")), `{"b":"x","A":1}`,
			[]string{"f.A: invalid value: A", "f.b: expected an integer"}},
		{"nested record", schema.Nested("f", inner), `{"port":-1,"x":1}`,
			[]string{"f.host: required field missing", "f.port: value should be between 0 and 65535", "f.x: unknown field"}},
		{"records in a list", schema.Array("f", schema.Nested("", inner)), `[{"host":"a"},{}]`, []string{"f[1].host: required field missing"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := schema.NewRecord(tt.field)
			got := texts(r.Check(parse(t, `{"f":`+tt.value+`}`)))
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("Check(%s) = %q, want %q", tt.value, got, tt.want)
			}
			owned, _ := schema.Canonical(parse(t, `{"f":`+tt.value+`}`)).(map[string]any)
			if got := texts(r.CheckOwned(owned)); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("CheckOwned(%s) = %q, want %q", tt.value, got, tt.want)
			}
		})
	}
}

// What stands in for absent fields is shared between checks, so none of them
// may change it, and found valid once: a default that is not must be told each
// time.
func TestCheckOwnedSharesDefaults(t *testing.T) {
	t.Parallel()
	limits := schema.NewRecord(
		schema.Set("codes", schema.Integer("").Between(1, 9)).Default([]int{1, 2, 2}),
		schema.String("mode").Default("a").OneOf("a", "b"),
	).Shorthands(schema.Alias(schema.String("kind"), "mode"))
	r := schema.NewRecord(
		schema.Nested("limits", limits),
		schema.Nested("target", inner),
		schema.Array("list", schema.Nested("", limits)),
		schema.Integer("size").Default(10).Between(0, 5),
	).Checks(schema.Conditional("limits.mode", schema.Match().Equal("b"), "list", schema.Match().Required()))
	bad := []string{"target.host: required field missing", "size: value should be between 0 and 5"}
	for value, want := range map[string][]string{
		`{}`:                                bad,
		`{"target":{"host":"h"},"size":1}`:  nil,
		`{"target":{"host":"h"},"size":10}`: bad[1:],
		`{"target":{"host":"h"},"size":1,"limits":{"kind":"c"}}`:                   {"limits.mode: expected one of: a, b"},
		`{"target":{"host":"h"},"size":1,"limits":{"codes":[10,10]}}`:              {"limits.codes[0]: value should be between 1 and 9"},
		`{"target":{"host":"h"},"size":1,"limits":{"mode":"b"},"list":[{},{}]}`:    nil,
		`{"target":{"host":"h"},"size":1,"limits":{"mode":"b"}}`:                   {"list: required field missing", "@entity: failed conditional validation given value of field 'limits.mode'"},
		`{"target":{"host":"h"},"size":1,"list":[{"mode":"b"},{"kind":"x"},null]}`: {"list[1].mode: expected one of: a, b", "list[2]: required field missing"},
	} {
		for range 2 {
			owned, _ := schema.Canonical(parse(t, value)).(map[string]any)
			if got := texts(r.CheckOwned(owned)); !reflect.DeepEqual(got, want) {
				t.Errorf("CheckOwned(%s) = %q, want %q", value, got, want)
			}
		}
		if got := texts(r.Check(parse(t, value))); !reflect.DeepEqual(got, want) {
			t.Errorf("Check(%s) = %q, want %q", value, got, want)
		}
	}
	full := r.Complete(parse(t, `{"target":{"host":"h"},"size":1}`))
	want := map[string]any{
		"limits": map[string]any{"codes": []any{int64(1), int64(2)}, "mode": "a"},
		"target": map[string]any{"host": "h", "port": int64(6379)}, "size": int64(1),
	}
	if !reflect.DeepEqual(full, want) {
		t.Errorf("Complete = %v, want %v", full, want)
	}
}

func TestEntityChecks(t *testing.T) {
	t.Parallel()
	fields := []*schema.Field{
		schema.String("a"), schema.String("b").Referenceable(), schema.Integer("n"),
		schema.Nested("r", schema.NewRecord(schema.String("x"))),
		schema.String("mode").Default("local"),
	}
	sum := schema.Custom("sum", []string{"n", "b"}, func(v map[string]any, report func(path, message string)) {
		if v["n"] == int64(7) {
			report("", "seven")
			report("n", "is seven")
		}
	})
	tests := []struct {
		name  string
		check schema.EntityCheck
		value string
		want  []string
	}{
		{"at least one, none", schema.AtLeastOneOf("a", "r.x"), `{"a":null}`, []string{"@entity: at least one of these fields must be non-empty: 'a', 'r.x'"}},
		{"at least one, nested", schema.AtLeastOneOf("a", "r.x"), `{"r":{"x":"1"}}`, nil},
		{"only one, two", schema.OnlyOneOf("a", "b"), `{"a":"1","b":"1"}`, []string{"@entity: exactly one of these fields must be non-empty: 'a', 'b'"}},
		{"only one, none", schema.OnlyOneOf("a", "b"), `{}`, []string{"@entity: exactly one of these fields must be non-empty: 'a', 'b'"}},
		{"all or none, some", schema.MutuallyRequired("a", "b"), `{"a":"1"}`, []string{"@entity: all or none of these fields must be set: 'a', 'b'"}},
		{"all or none, none", schema.MutuallyRequired("a", "b"), `{}`, nil},
		{"exclusive, both", schema.MutuallyExclusive("a", "b"), `{"a":"1","b":"1"}`, []string{"@entity: only one or none of these fields must be set: 'a', 'b'"}},
		{"distinct, equal", schema.Distinct("a", "b"), `{"a":"1","b":"1"}`, []string{"@entity: values of these fields must be distinct: 'a', 'b'"}},
		{"distinct, unset", schema.Distinct("a", "b"), `{}`, nil},
		{"conditional, default not met", schema.Conditional("mode", schema.Match().Equal("redis"), "r.x", schema.Match().Required()), `{}`, nil},
		{"conditional, met", schema.Conditional("mode", schema.Match().Equal("redis"), "r.x", schema.Match().Required()), `{"mode":"redis"}`,
			[]string{"r.x: required field missing", "@entity: failed conditional validation given value of field 'mode'"}},
		{"conditional, satisfied", schema.Conditional("mode", schema.Match().Equal("redis"), "r.x", schema.Match().Required()), `{"mode":"redis","r":{"x":"1"}}`, nil},
		{"conditional, must be unset", schema.Conditional("n", schema.Match().Greater(0), "a", schema.Match().Forbidden()), `{"n":1,"a":"1"}`,
			[]string{"a: value must be null", "@entity: failed conditional validation given value of field 'n'"}},
		{"custom", sum, `{"n":7}`, []string{"@entity: seven", "n: is seven"}},
		{"custom, not with a broken field", sum, `{"n":7,"b":1}`, []string{"b: expected a string"}},
		{"custom, not with a reference", sum, `{"n":7,"b":"{vault://env/x}"}`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := texts(schema.NewRecord(fields...).Checks(tt.check).Check(parse(t, tt.value)))
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("Check(%s) = %q, want %q", tt.value, got, tt.want)
			}
		})
	}
}

func TestCheckFindsUnknownFieldsInOrder(t *testing.T) {
	t.Parallel()
	r := schema.NewRecord(schema.String("a"))
	got := texts(r.Check(parse(t, `{"z":1,"a":2,"b":null}`)))
	want := []string{"a: expected a string", "b: unknown field", "z: unknown field"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNewRecordPanicsOnTwins(t *testing.T) {
	t.Parallel()
	defer func() {
		if r := recover(); r == nil || !strings.Contains(r.(string), `"a"`) {
			t.Errorf("recovered %v, want a panic that names the field", r)
		}
	}()
	schema.NewRecord(schema.String("a"), schema.String("a"))
}
