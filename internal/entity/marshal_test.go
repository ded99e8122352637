// SPDX-License-Identifier: Apache-2.0

package entity_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

var freePlugin = entity.PluginSchema{
	Name:   "free",
	Config: schema.NewRecord(schema.Any("any"), schema.String("secret").Secret()),
}

var keysType = entity.CredentialType{Collection: "keys", UniqueKey: "key", Record: schema.NewRecord(schema.String("key").Secret())}

func TestHashDependsOnMeaningOnly(t *testing.T) {
	t.Parallel()
	hash := func(e entity.Entity) [16]byte {
		t.Helper()
		h, err := entity.HashEntity(e)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	plugin := func(config map[string]any) entity.Entity {
		return &entity.Plugin{ID: testID, Name: "x", Config: config}
	}
	same := []map[string]any{
		{"a": 1, "b": []string{"x"}},
		{"b": []any{"x"}, "a": 1.0},
		{"a": json.Number("1.0"), "b": []any{"x"}},
		{"a": int64(1), "b": []any{"x"}},
	}
	for _, config := range same {
		if hash(plugin(config)) != hash(plugin(same[0])) {
			t.Errorf("%v has another hash", config)
		}
	}
	other := []entity.Entity{
		plugin(map[string]any{"a": 1.5, "b": []any{"x"}}),
		plugin(map[string]any{"a": nil, "b": []any{"x"}}),
		plugin(map[string]any{"a": "1", "b": []any{"x"}}),
		&entity.Consumer{ID: testID, Username: "x"}, &entity.ConsumerGroup{ID: testID, Name: "x"},
		&entity.Plugin{ID: testID, Name: "y"},
	}
	seen := map[[16]byte]int{hash(plugin(same[0])): -1}
	for i, e := range other {
		if j, twin := seen[hash(e)]; twin {
			t.Errorf("entities %d and %d have one hash", i, j)
		}
		seen[hash(e)] = i
	}
	if a, b := hash(&entity.SNI{ID: testID}), hash(&entity.Vault{ID: testID}); a == b {
		t.Error("the kind does not count")
	}
}

func TestUnmarshalEntityIsStrict(t *testing.T) {
	t.Parallel()
	tests := []struct {
		kind entity.Kind
		data string
	}{
		{"nothing", `{}`},
		{entity.KindService, `{"host":"a","what":1}`},
		{entity.KindService, `{"host":1}`},
		{entity.KindService, `{"port":1.5}`},
		{entity.KindService, `{} {}`},
		{entity.KindService, `{}}`},
		{entity.KindService, `[]`},
		{entity.KindService, ``},
	}
	for _, tt := range tests {
		if e, err := entity.UnmarshalEntity(tt.kind, []byte(tt.data)); err == nil {
			t.Errorf("%s %s: %+v", tt.kind, tt.data, e)
		}
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	s := testSchemas(t)
	tests := []struct {
		in   entity.Entity
		want entity.Entity
	}{
		{&entity.Plugin{Name: "limit", Config: map[string]any{"minute": 1, "password": "hunter2"}},
			&entity.Plugin{Name: "limit", Config: map[string]any{"minute": int64(1), "password": "REDACTED"}}},
		{&entity.Plugin{Name: "unknown", Config: map[string]any{"a": map[string]any{"b": "hunter2"}}},
			&entity.Plugin{Name: "unknown", Config: map[string]any{"a": "REDACTED"}}},
		{&entity.Credential{Type: "keys", Fields: map[string]any{"key": "hunter2"}},
			&entity.Credential{Type: "keys", Fields: map[string]any{"key": "REDACTED"}}},
		{&entity.Credential{Type: "unknown", Fields: map[string]any{"key": "hunter2"}},
			&entity.Credential{Type: "unknown", Fields: map[string]any{"key": "REDACTED"}}},
		{&entity.Certificate{Cert: "public", Key: "hunter2", KeyAlt: "{vault://env/key}"},
			&entity.Certificate{Cert: "public", Key: "REDACTED", KeyAlt: "{vault://env/key}"}},
		{&entity.Service{Name: "s", Host: "h"}, &entity.Service{Name: "s", Host: "h"}},
	}
	for _, tt := range tests {
		before, _ := entity.MarshalEntity(tt.in)
		if got := entity.Redact(tt.in, s); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("Redact = %+v, want %+v", got, tt.want)
		}
		if after, _ := entity.MarshalEntity(tt.in); string(after) != string(before) {
			t.Errorf("Redact changed its input to %s", after)
		}
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	created := int64(1)
	a := &entity.Set{
		Services: []*entity.Service{{ID: "1", Name: "same", CreatedAt: &created}, {ID: "2", Name: "gone"}, {ID: "3", Name: "old", Host: "a"}},
		Plugins:  []*entity.Plugin{{ID: "1", Name: "p", Config: map[string]any{"x": 1, "r": map[string]any{"a": 1, "b": 2}}}},
	}
	b := &entity.Set{
		Services: []*entity.Service{{ID: "4", Name: "fresh"}, {ID: "3", Name: "new", Host: "a", Path: "/"}, {ID: "1", Name: "same"}},
		Plugins:  []*entity.Plugin{{ID: "1", Name: "p", Config: map[string]any{"x": 1.0, "r": map[string]any{"a": 2}}}},
	}
	want := []entity.Change{
		{Type: entity.Removed, Key: entity.Key{Kind: "services", ID: "2"}, Name: "gone"},
		{Type: entity.Added, Key: entity.Key{Kind: "services", ID: "4"}, Name: "fresh"},
		{Type: entity.Changed, Key: entity.Key{Kind: "services", ID: "3"}, Name: "new", Fields: []string{"name", "path"}},
		{Type: entity.Changed, Key: entity.Key{Kind: "plugins", ID: "1"}, Name: "p", Fields: []string{"config.r.a", "config.r.b"}},
	}
	if got := entity.Diff(a, b); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	var lines []string
	for _, c := range append(want, entity.Change{Type: entity.Added, Key: entity.Key{Kind: "consumers", ID: "5"}}) {
		lines = append(lines, c.String())
	}
	if want := []string{
		"services gone (2): removed", "services fresh (4): added", "services new (3): changed name, path",
		"plugins p (1): changed config.r.a, config.r.b", "consumers (5): added",
	}; !slices.Equal(lines, want) {
		t.Errorf("got  %q\nwant %q", lines, want)
	}
	if got := entity.Diff(a, a); len(got) > 0 {
		t.Errorf("a Set differs from itself: %+v", got)
	}
}

func TestSchemaSet(t *testing.T) {
	t.Parallel()
	record := schema.NewRecord()
	keys := []entity.CredentialType{keysType}
	bad := [][]entity.PluginSchema{
		{{Name: "", Config: record}},
		{{Name: "a"}},
		{{Name: "a", Config: record}, {Name: "a", Config: record}},
		{{Name: "a", Config: record, Credentials: keys}, {Name: "b", Config: record, Credentials: keys}},
	}
	for i, plugins := range bad {
		if _, err := entity.NewSchemaSet(plugins...); err == nil {
			t.Errorf("set %d was accepted", i)
		}
	}
	var zero entity.SchemaSet
	if _, ok := zero.Plugin("a"); ok || len(zero.Plugins()) > 0 || len(zero.Hashes()) > 0 {
		t.Error("the zero set knows a plugin")
	}
	s := testSchemas(t)
	if got := s.Collections(); !reflect.DeepEqual(got, []string{"acls", "keys", "passwords"}) {
		t.Errorf("Collections = %q", got)
	}
	if p := s.Plugins(); len(p) != 2 || p[0].Name != "auth" {
		t.Errorf("Plugins = %+v", p)
	}
	if h := s.Hashes(); len(h) != 2 || h["auth"] == h["limit"] || len(h["auth"]) != 32 {
		t.Errorf("Hashes = %v", h)
	}
}
