// SPDX-License-Identifier: Apache-2.0

package schema_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

func TestParseReference(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want schema.Reference
		err  string
	}{
		{text: "{vault://env/password}", want: schema.Reference{Vault: "env", Resource: "password"}},
		{text: "{vault://my-env/db/password}", want: schema.Reference{Vault: "my-env", Resource: "db", Key: "password"}},
		{text: "{vault://file/a/b/c}", want: schema.Reference{Vault: "file", Resource: "a/b", Key: "c"}},
		{text: "{vault://file/a/b/}", want: schema.Reference{Vault: "file", Resource: "a/b"}},
		{text: "{vault://file//a//b}", want: schema.Reference{Vault: "file", Resource: "a", Key: "b"}},
		{text: "{vault://file/a%2Fb}", want: schema.Reference{Vault: "file", Resource: "a/b"}},
		{text: "{vault://env/a#2}", want: schema.Reference{Vault: "env", Resource: "a", Version: 2}},
		{text: "{vault://env/a?prefix=SSL_&ttl=5#1}", want: schema.Reference{
			Vault: "env", Resource: "a", Version: 1, Options: map[string]string{"prefix": "SSL_", "ttl": "5"}}},
		{text: "{vault://env/a?}", want: schema.Reference{Vault: "env", Resource: "a"}},
		{text: "{vault://}", err: "no valid name"},
		{text: "{vault://env}", err: "names no secret"},
		{text: "{vault://env/}", err: "names no secret"},
		{text: "{vault://ENV/a}", err: "no valid name"},
		{text: "{vault://user@env/a}", err: "no valid name"},
		{text: "{vault://env/a#x}", err: "version"},
		{text: "{vault://env/a#-1}", err: "version"},
		{text: "{vault://env/%zz}", err: "malformed escape"},
		{text: "{vault://env/a%00}", err: "malformed escape"},
		{text: "{vault://env/a?ttl=%zz}", err: "options"},
		{text: "{vault://env/a?ttl=1&ttl=2}", err: "twice"},
		{text: "{vault://env/a\n}", err: "control character"},
		{text: "{vault://env/" + strings.Repeat("a", 3000) + "}", err: "longer than"},
		{text: "vault://env/a", err: "form"},
	} {
		got, err := schema.ParseReference(c.text)
		if c.err == "" && (err != nil || !reflect.DeepEqual(got, c.want)) {
			t.Errorf("%s: %+v, %v", c.text, got, err)
		}
		if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %v, want %q", c.text, err, c.err)
		}
	}
}

// What is parsed has no empty parts, and nothing that a vault could take for
// more than one name.
func FuzzParseReference(f *testing.F) {
	for _, s := range []string{"{vault://env/a}", "{vault://file/a/b/?ttl=1#2}", "{vault://a-b/%2e%2e/c}", "{vault://}", "{vault://env/a%00}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := schema.ParseReference(s)
		if err != nil {
			return
		}
		if !schema.IsReference(s) || r.Vault == "" || r.Resource == "" || r.Version < 0 || strings.ContainsAny(r.Resource+r.Key, "\x00\n") {
			t.Errorf("%q: %+v", s, r)
		}
	})
}

func TestMapReferences(t *testing.T) {
	t.Parallel()
	r := schema.NewRecord(
		schema.String("plain"),
		schema.String("one").Referenceable(),
		schema.Array("list", schema.String("").Referenceable()),
		schema.Map("map", schema.String(""), schema.String("").Referenceable()),
		schema.Nested("inner", schema.NewRecord(schema.String("two").Referenceable())),
	).Shorthands(schema.Alias(schema.String("old").Referenceable(), "inner.two"))
	text := `{"plain":"{vault://env/no}","one":"{vault://env/a}","list":["x","{vault://env/b}"],"map":{"k":"{vault://env/c}","l":"x"},
		"inner":{"two":"{vault://env/d}"},"old":"{vault://env/e}","unknown":{"x":"{vault://env/no}"}}`
	value := parse(t, text)
	seen := map[string]string{}
	got := r.MapReferences(value, func(path, reference string) string {
		seen[path] = reference
		return "value of " + path
	})
	want := parse(t, `{"plain":"{vault://env/no}","one":"value of one","list":["x","value of list[1]"],"map":{"k":"value of map.k","l":"x"},
		"inner":{"two":"value of inner.two"},"old":"value of old","unknown":{"x":"{vault://env/no}"}}`)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
	if !reflect.DeepEqual(value, parse(t, text)) {
		t.Errorf("the value itself was changed: %v", value)
	}
	if len(seen) != 5 || seen["list[1]"] != "{vault://env/b}" {
		t.Errorf("references %v", seen)
	}
}
