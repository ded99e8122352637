// SPDX-License-Identifier: Apache-2.0

package configsync

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

func ptr[T any](v T) *T { return &v }

func TestRecordHashIsTheEntitys(t *testing.T) {
	route := &entity.Route{ID: "6b1f9d9c-5d5c-4b0e-8e59-5d2a3b7f0001", Name: "a<b", Paths: []string{"/x"}, StripPath: ptr(false)}
	r, err := NewRecord(route)
	if err != nil {
		t.Fatal(err)
	}
	if want, err := entity.HashEntity(route); err != nil || r.Hash != want {
		t.Fatal("record and entity have different hashes")
	}
	back, err := DecodeEntity(r)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, route) {
		t.Fatalf("got %+v, want %+v", back, route)
	}
}

func TestDecodeEntityRefusesAnotherID(t *testing.T) {
	r := RawRecord(entity.Key{Kind: entity.KindRoute, ID: "one"}, "", []byte(`{"id":"two"}`))
	if _, err := DecodeEntity(r); err == nil {
		t.Fatal("a record with another id inside was accepted")
	}
}

func TestSettingsRoundTrip(t *testing.T) {
	addr := netip.MustParseAddrPort("10.96.0.7:8080")
	dial := DialPolicy{RefuseLocal: true}
	scope := ScopeEntry{EgressHash: "abc", Held: true}
	d, err1 := NewDialPolicyRecord(dial)
	s, err2 := NewScopeRecord(addr, scope)
	for i, c := range []struct {
		record *Record
		err    error
		key    entity.Key
		want   any
	}{{d, err1, DialPolicyKey, &dial}, {s, err2, ScopeKey(addr), &scope}} {
		if c.err != nil {
			t.Fatal(i, c.err)
		}
		if c.record.Key != c.key {
			t.Errorf("key %v, want %v", c.record.Key, c.key)
		}
		got, err := DecodeSetting(c.record)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%d: got %+v, %v; want %+v", i, got, err, c.want)
		}
	}
}

func TestPositionOrder(t *testing.T) {
	order := []Position{{}, {1, 1}, {1, 9}, {2, 1}, {3, 0}}
	for i, a := range order {
		for j, b := range order {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := a.Compare(b); got != want {
				t.Errorf("%s against %s: %d, want %d", a, b, got, want)
			}
		}
	}
}

// TestCoreSchemas holds the paths of nested types: what is below "service" is
// known, what is below a free-form map is not looked into.
func TestCoreSchemas(t *testing.T) {
	byName := map[string]Schema{}
	for _, s := range CoreSchemas() {
		byName[s.Name] = s
	}
	for name, fields := range map[string][]string{
		"routes":        {"service", "service.id", "headers", "sources.ip", "strip_path"},
		"upstreams":     {"healthchecks.active.healthy.http_statuses"},
		"plugins":       {"config", "route.id"},
		"settings.dial": {"refuse_local"},
	} {
		for _, f := range fields {
			if !slices.Contains(byName[name].Fields, f) {
				t.Errorf("%s lacks %s: %v", name, f, byName[name].Fields)
			}
		}
	}
	if slices.ContainsFunc(byName["plugins"].Fields, func(f string) bool { return len(f) > 7 && f[:7] == "config." }) {
		t.Error("plugins goes into config, which each plugin's own schema describes")
	}
}

func TestSchemasOfPlugins(t *testing.T) {
	set, err := entity.NewSchemaSet(entity.PluginSchema{
		Name:   "key-auth",
		Config: schema.NewRecord(schema.String("realm"), schema.Nested("redis", schema.NewRecord(schema.String("host")))),
		Credentials: []entity.CredentialType{{
			Collection: "keyauth_credentials", UniqueKey: "key", Record: schema.NewRecord(schema.String("key")),
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	all, err := Schemas(set)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]Schema{}
	for _, s := range all {
		byName[s.Name] = s
	}
	plugin := byName["plugin:key-auth"]
	if hash := plugin.Hash.String(); hash != set.Hashes()["key-auth"] {
		t.Errorf("hash %s, the set says %s", hash, set.Hashes()["key-auth"])
	}
	if want := []string{"realm", "redis", "redis.host"}; !slices.Equal(plugin.Fields, want) {
		t.Errorf("fields %v, want %v", plugin.Fields, want)
	}
	if got := byName["credential:keyauth_credentials"].Fields; !slices.Equal(got, []string{"key"}) {
		t.Errorf("fields of the credential: %v", got)
	}
}
