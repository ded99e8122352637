// SPDX-License-Identifier: Apache-2.0

package schema_test

import (
	"encoding/json"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

func limits() *schema.Record {
	return schema.NewRecord(
		schema.Number("minute"),
		schema.Set("allow", schema.String("")).Default([]string{"a", "b"}),
		schema.Nested("redis", schema.NewRecord(
			schema.String("host"),
			schema.Integer("port").Default(6379),
			schema.String("password").Secret().Referenceable(),
		)),
		schema.Nested("extra", schema.NewRecord(schema.Integer("n").Default(1))).Optional(),
		schema.Map("limits", schema.String(""), schema.Nested("", schema.NewRecord(schema.Integer("n").Default(1), schema.String("token").Secret().Referenceable()))),
		schema.Array("list", schema.Nested("", schema.NewRecord(schema.Boolean("on").Default(true)))),
	).Shorthands(
		schema.Alias(schema.String("redis_host"), "redis.host"),
		schema.Alias(schema.String("redis_password").Secret(), "redis.password"),
		schema.Translate(schema.String("per"), func(v any) map[string]any {
			return map[string]any{"minute": 5, "redis": map[string]any{"host": v}}
		}),
	)
}

func TestComplete(t *testing.T) {
	t.Parallel()
	const defaults = `"allow":["a","b"],"redis":{"port":6379}`
	tests := []struct{ name, value, want string }{
		{"nothing", `{}`, `{` + defaults + `}`},
		{"null suppresses a default", `{"allow":null,"redis":{"port":null}}`, `{"allow":null,"redis":{"port":null}}`},
		{"optional record", `{"extra":{}}`, `{"extra":{"n":1},` + defaults + `}`},
		{"collections", `{"limits":{"x":{}},"list":[{},{"on":false}]}`,
			`{"limits":{"x":{"n":1}},"list":[{"on":true},{"on":false}],` + defaults + `}`},
		{"a set has no duplicates", `{"allow":["x","y","x"]}`, `{"allow":["x","y"],"redis":{"port":6379}}`},
		{"alias", `{"redis_host":"h"}`, `{"allow":["a","b"],"redis":{"host":"h","port":6379}}`},
		{"alias of a null block", `{"redis_host":"h","redis":null}`, `{"allow":["a","b"],"redis":{"host":"h","port":6379}}`},
		{"null alias", `{"redis_host":null}`, `{` + defaults + `}`},
		{"shorthand wins", `{"per":"h","minute":1}`, `{"minute":5,"allow":["a","b"],"redis":{"host":"h","port":6379}}`},
		{"unknown fields stay", `{"what":1.0}`, `{"what":1,` + defaults + `}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in := parse(t, tt.value)
			got := limits().Complete(in)
			if want := schema.Canonical(parse(t, tt.want)); !reflect.DeepEqual(any(got), want) {
				t.Errorf("Complete = %v, want %v", got, want)
			}
			if again := limits().Complete(got); !reflect.DeepEqual(again, got) {
				t.Errorf("Complete is not idempotent: %v", again)
			}
			if !reflect.DeepEqual(in, parse(t, tt.value)) {
				t.Errorf("Complete changed its input to %v", in)
			}
		})
	}
}

func TestCompleteDoesNotShareDefaults(t *testing.T) {
	t.Parallel()
	r := limits()
	r.Complete(nil)["allow"].([]any)[0] = "changed"
	if got := r.Complete(nil)["allow"].([]any)[0]; got != "a" {
		t.Errorf("default became %v", got)
	}
}

func TestAliasConflicts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		value string
		want  []string
	}{
		{`{"redis_host":"a","redis":{"host":"a"}}`, nil},
		{`{"redis_host":"a","redis":{"host":"b"}}`,
			[]string{"redis_host: both deprecated and new field are used but their values mismatch: redis_host = a vs redis.host = b"}},
		{`{"redis_password":"a","redis":{"password":"b"}}`,
			[]string{"redis_password: both deprecated and new field are used but their values mismatch: redis_password and redis.password"}},
		{`{"redis_host":1}`, []string{"redis_host: expected a string"}},
	}
	for _, tt := range tests {
		if got := texts(limits().Check(parse(t, tt.value))); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("Check(%s) = %q, want %q", tt.value, got, tt.want)
		}
	}
}

func TestCanonical(t *testing.T) {
	t.Parallel()
	type named string
	in := map[string]any{
		"int": 3, "uint8": uint8(4), "float": 1.5, "whole": 2.0, "number": json.Number("1e3"), "big": json.Number("9007199254740993"),
		"strings": []string{"a"}, "names": []named{"b"}, "map": map[string]int{"x": 1}, "nil": (*int)(nil),
	}
	want := map[string]any{
		"int": int64(3), "uint8": int64(4), "float": 1.5, "whole": int64(2), "number": int64(1000), "big": 9007199254740992.0,
		"strings": []any{"a"}, "names": []any{"b"}, "map": map[string]any{"x": int64(1)}, "nil": nil,
	}
	if got := schema.Canonical(in); !reflect.DeepEqual(got, any(want)) {
		t.Errorf("Canonical = %#v, want %#v", got, want)
	}
	inside := []any{
		in, want, nil, true, "a", int64(1), int64(1)<<53 + 1, 0.5, 1.0, 1e300, math.NaN(), math.Inf(1), []any{}, []any(nil), []any{1},
		map[string]any{}, map[string]any(nil), map[string]any{"a": []any{int64(1), map[string]any{"b": nil}}},
	}
	for _, v := range in {
		inside = append(inside, v, []any{v}, map[string]any{"a": v})
	}
	for _, v := range inside {
		if got := schema.IsCanonical(v); got != reflect.DeepEqual(schema.Canonical(v), v) {
			t.Errorf("IsCanonical(%#v) = %t, Canonical = %#v", v, got, schema.Canonical(v))
		}
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	r := limits()
	want := []string{
		"allow", "extra", "extra.n", "limits", "limits.*", "limits.*.n", "limits.*.token", "list", "list.on", "minute", "per",
		"redis", "redis.host", "redis.password", "redis.port", "redis_host", "redis_password",
	}
	got := r.Paths()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Paths = %q, want %q", got, want)
	}
	for _, p := range got {
		if !r.Has(p) {
			t.Errorf("Has(%q) = false", p)
		}
	}
	for _, p := range []string{"", "what", "redis.what", "minute.x", "limits.any.what", "list.what"} {
		if r.Has(p) {
			t.Errorf("Has(%q) = true", p)
		}
	}
	if !r.Has("limits.any.n") {
		t.Error("Has does not go through any key of a map")
	}
}

func TestPrune(t *testing.T) {
	t.Parallel()
	older := []string{"minute", "limits", "limits.*", "limits.*.n", "list", "redis", "redis.host"}
	value := parse(t, `{"minute":1,"allow":["x"],"limits":{"a":{"n":1,"token":"t"}},"list":[{"on":true}],"redis":{"host":"h","port":1}}`)
	got, dropped := limits().Prune(value, func(p string) bool { return slices.Contains(older, p) })
	want := parse(t, `{"minute":1,"limits":{"a":{"n":1}},"list":[{}],"redis":{"host":"h"}}`)
	if !reflect.DeepEqual(schema.Canonical(got), schema.Canonical(want)) {
		t.Errorf("Prune = %v, want %v", got, want)
	}
	if want := []string{"allow", "limits.*.token", "list.on", "redis.port"}; !reflect.DeepEqual(dropped, want) {
		t.Errorf("dropped %q, want %q", dropped, want)
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	value := parse(t, `{"minute":1,"redis":{"host":"h","password":"hunter2"},"redis_password":"{vault://not/a/reference}",
		"limits":{"a":{"n":1,"token":"hunter2"},"b":{"token":"{vault://env/token}"}}}`)
	got, err := json.Marshal(limits().Redact(value))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"limits":{"a":{"n":1,"token":"REDACTED"},"b":{"token":"{vault://env/token}"}},"minute":1,` +
		`"redis":{"host":"h","password":"REDACTED"},"redis_password":"REDACTED"}`
	if string(got) != want {
		t.Errorf("Redact = %s, want %s", got, want)
	}
	paths := limits().Secrets(value)
	if want := []string{"limits.a.token", "redis.password", "redis_password"}; !reflect.DeepEqual(paths, want) {
		t.Errorf("Secrets = %q, want %q", paths, want)
	}
}

// Of what is secret in part, the rest is shown.
func TestRedactParts(t *testing.T) {
	t.Parallel()
	r := schema.NewRecord(
		schema.Array("add", schema.String("").SecretValue()), schema.String("url"),
		schema.Map("headers", schema.String(""), schema.Array("", schema.String("").Secret())),
	)
	value := parse(t, `{"add":["A:hunter2","B:","hunter2","C:hunter2:hunter2"],"url":"https://u:p@x@a.test/b@c","headers":{"X":["hunter2"]}}`)
	got := r.Redact(value)
	want := parse(t, `{"add":["A:REDACTED","B:REDACTED","REDACTED","C:REDACTED"],"url":"https://REDACTED@a.test/b@c","headers":{"X":["REDACTED"]}}`)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Redact = %v, want %v", got, want)
	}
	paths := r.Secrets(value)
	if want := []string{"add[0]", "add[1]", "add[2]", "add[3]", "headers.X[0]", "url"}; !reflect.DeepEqual(paths, want) {
		t.Errorf("Secrets = %q, want %q", paths, want)
	}
	for _, url := range []string{"https://a.test/b@c", "https://a.test?m=b@c", "a@b.test", "~/x"} {
		if got := r.Redact(map[string]any{"url": url})["url"]; got != url {
			t.Errorf("%s became %v", url, got)
		}
	}
}

func TestRedactEverythingBelowASecret(t *testing.T) {
	t.Parallel()
	r := schema.NewRecord(schema.Map("config", schema.String(""), schema.Any("")).Secret())
	got := r.Redact(parse(t, `{"config":{"a":["x",{"b":1}]}}`))
	want := map[string]any{"config": map[string]any{"a": []any{"REDACTED", map[string]any{"b": "REDACTED"}}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Redact = %v, want %v", got, want)
	}
}

func TestHash(t *testing.T) {
	t.Parallel()
	base := func() *schema.Record { return schema.NewRecord(schema.Integer("n").Default(1)) }
	if one, again := base().Hash(), base().Hash(); one != again {
		t.Fatal("the same record has two hashes")
	}
	others := map[string]*schema.Record{
		"default":   schema.NewRecord(schema.Integer("n").Default(2)),
		"type":      schema.NewRecord(schema.Number("n").Default(1)),
		"required":  schema.NewRecord(schema.Integer("n").Default(1).Required()),
		"rule":      schema.NewRecord(schema.Integer("n").Default(1).Between(0, 1)),
		"secret":    schema.NewRecord(schema.Integer("n").Default(1).Secret()),
		"value":     schema.NewRecord(schema.Integer("n").Default(1).SecretValue()),
		"field":     base().With(schema.String("m")),
		"check":     base().Checks(schema.AtLeastOneOf("n")),
		"shorthand": base().Shorthands(schema.Alias(schema.Integer("m"), "n")),
		"nested":    schema.NewRecord(schema.Nested("n", base())),
	}
	seen := map[string]string{base().Hash(): "base"}
	for name, r := range others {
		if twin, ok := seen[r.Hash()]; ok {
			t.Errorf("%s has the hash of %s", name, twin)
		}
		seen[r.Hash()] = name
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	type redis struct {
		Host string  `json:"host"`
		Port uint16  `json:"port"`
		Rate float64 `json:"rate"`
	}
	type config struct {
		Minute  *float64          `json:"minute"`
		Hour    *float64          `json:"hour"`
		Allow   []netip.Prefix    `json:"allow,omitempty"`
		Headers map[string]string `json:"headers"`
		Redis   redis             `json:"redis"`
		Any     any               `json:"any"`
		Other   string
	}
	value := parse(t, `{"minute":5,"hour":null,"allow":["10.0.0.0/8"],"headers":{"a":"b"},"redis":{"host":"h","port":1,"rate":2},"any":[1.0],"other":"x"}`)
	var got config
	if err := schema.Decode(value, &got); err != nil {
		t.Fatal(err)
	}
	five := 5.0
	want := config{
		Minute: &five, Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Headers: map[string]string{"a": "b"},
		Redis: redis{Host: "h", Port: 1, Rate: 2}, Any: []any{int64(1)},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Decode = %+v, want %+v", got, want)
	}
	back := schema.Encode(got)
	delete(value, "hour")
	delete(value, "other")
	// A prefix has no exported fields: only plain types survive the way back.
	delete(value, "allow")
	delete(back, "allow")
	if !reflect.DeepEqual(any(back), schema.Canonical(value)) {
		t.Errorf("Encode = %v, want %v", back, value)
	}
}

func TestDecodeErrorsNameThePathOnly(t *testing.T) {
	t.Parallel()
	type config struct {
		Port  uint16         `json:"port"`
		Text  string         `json:"text"`
		Allow []netip.Prefix `json:"allow"`
	}
	tests := []struct{ value, want string }{
		{`{"port":70000}`, "port: a int64 does not fit into a uint16"},
		{`{"port":1.5}`, "port: a float64 does not fit into a uint16"},
		{`{"port":-1}`, "port: a int64 does not fit into a uint16"},
		{`{"text":true}`, "text: a bool does not fit into a string"},
		{`{"allow":["1.1.1.1","hunter2"]}`, "allow[0]: not a valid netip.Prefix"},
		{`{"allow":"x"}`, "allow: a string does not fit into a []netip.Prefix"},
	}
	for _, tt := range tests {
		err := schema.Decode(schema.Canonical(parse(t, tt.value)).(map[string]any), new(config))
		if err == nil || err.Error() != tt.want {
			t.Errorf("Decode(%s) = %v, want %s", tt.value, err, tt.want)
		}
	}
	if err := schema.Decode(nil, config{}); err == nil {
		t.Error("Decode into a struct that is not a pointer succeeded")
	}
}
