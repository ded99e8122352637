// SPDX-License-Identifier: Apache-2.0

package server

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// olderSchemas are those of a build that does not know a route's strip_path.
func olderSchemas() []configsync.Schema {
	return without("routes", "strip_path")
}

func without(name string, fields ...string) []configsync.Schema {
	out := configsync.CoreSchemas()
	for i, s := range out {
		if s.Name == name {
			kept := slices.DeleteFunc(slices.Clone(s.Fields), func(f string) bool { return slices.Contains(fields, f) })
			out[i] = configsync.NewSchema(name, kept)
		}
	}
	return out
}

func lacking(name string) []configsync.Schema {
	return slices.DeleteFunc(configsync.CoreSchemas(), func(s configsync.Schema) bool { return s.Name == name })
}

// guarding is our own build's announcement: acl guards.
func guarding() []configsync.Schema {
	acl := configsync.NewSchema("plugin:acl", []string{"allow", "deny"})
	acl.Guards = true
	return append(configsync.CoreSchemas(), acl)
}

var keyAuth = configsync.NewSchema("plugin:key-auth", []string{"key_names", "hide_credentials", "realm", "limits", "limits.*", "limits.*.window", "redis", "redis.host"})

func TestFilter(t *testing.T) {
	no := false
	route := &entity.Route{ID: "r", Name: "n", StripPath: &no, Service: &entity.Ref{ID: "s"}, Headers: map[string][]string{"x-any": {"1"}}}
	plugin := func(scope bool) *entity.Plugin {
		p := &entity.Plugin{ID: "p", Name: "key-auth", Config: map[string]any{
			"key_names": []any{"apikey"}, "realm": "x",
			"limits": map[string]any{"gold": map[string]any{"window": 60, "burst": 2}},
			"redis":  map[string]any{"host": "h", "sentinel": "new"},
		}, Tags: []string{"k8s-name:x"}}
		if scope {
			p.Route = &entity.Ref{ID: "r"}
		}
		return p
	}
	termination := configsync.NewSchema("plugin:request-termination", []string{"status_code", "message"})
	unusable := configsync.NewSchema("plugin:unusable", nil)
	ofConsumer := plugin(true)
	ofConsumer.Consumer = &entity.Ref{ID: "c"}
	for _, c := range []struct {
		name    string
		theirs  []configsync.Schema
		entity  entity.Entity
		want    string // "" = as it is, "none" = left out
		omitted []string
	}{
		{"all is known", append(configsync.CoreSchemas(), keyAuth), plugin(true), `"burst"`, []string{"config.limits.*.burst", "config.redis.sentinel"}},
		{"a field is not known", olderSchemas(), route,
			`{"headers":{"x-any":["1"]},"id":"r","name":"n","service":{"id":"s"}}`, []string{"strip_path"}},
		{"a kind is not known", lacking("routes"), route, "none", []string{""}},
		{"another kind is not known", lacking("vaults"), route, "", nil},
		{"a plugin on a route is not known", append(configsync.CoreSchemas(), termination, unusable), plugin(true),
			`{"id":"p","name":"unusable","route":{"id":"r"},"tags":["k8s-name:x"]}`, []string{""}},
		{"a plugin of a consumer is not known", append(configsync.CoreSchemas(), termination, unusable), ofConsumer,
			`{"config":{"message":"An unexpected error occurred","status_code":500},"consumer":{"id":"c"},"id":"p","name":"request-termination","route":{"id":"r"},"tags":["k8s-name:x"]}`, []string{""}},
		{"a plugin of a consumer everywhere is not known", append(configsync.CoreSchemas(), termination, unusable),
			&entity.Plugin{ID: "p", Name: "acl", Consumer: &entity.Ref{ID: "c"}},
			`{"config":{"message":"An unexpected error occurred","status_code":500},"consumer":{"id":"c"},"id":"p","name":"request-termination"}`, []string{""}},
		{"a plugin on a route is not known, nor the first choice to stand in", append(configsync.CoreSchemas(), termination), plugin(true),
			`{"config":{"message":"An unexpected error occurred","status_code":500},"id":"p","name":"request-termination","route":{"id":"r"},"tags":["k8s-name:x"]}`, []string{""}},
		{"a global plugin is not known", append(configsync.CoreSchemas(), termination), plugin(false), "none", []string{""}},
		{"a global plugin that guards is not known", append(configsync.CoreSchemas(), termination, unusable),
			&entity.Plugin{ID: "p", Name: "acl", Config: map[string]any{"deny": []any{"x"}}}, `{"id":"p","name":"unusable"}`, []string{""}},
		{"a field of a plugin that guards is not known", append(configsync.CoreSchemas(), unusable, configsync.NewSchema("plugin:acl", []string{"allow"})),
			&entity.Plugin{ID: "p", Name: "acl", Config: map[string]any{"deny": []any{"x"}}}, `{"id":"p","name":"unusable"}`, []string{"config.deny"}},
		{"a plugin is not known, nor anything to stand in", configsync.CoreSchemas(), plugin(true), "none", []string{""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			record, err := configsync.NewRecord(c.entity)
			if err != nil {
				t.Fatal(err)
			}
			got, omissions := newFilter(guarding(), c.theirs).apply(record)
			var fields []string
			for _, o := range omissions {
				fields = append(fields, o.Field)
				if o.Reason == "" || o.Record != record {
					t.Errorf("omission %+v names no reason or no record", o)
				}
			}
			if !reflect.DeepEqual(fields, c.omitted) {
				t.Errorf("left out %q, want %q", fields, c.omitted)
			}
			switch c.want {
			case "none":
				if got != nil {
					t.Errorf("sent %s", got.JSON)
				}
			case "":
				if got != record {
					t.Errorf("sent %s", got.JSON)
				}
			case `"burst"`:
				if s := string(got.JSON); strings.Contains(s, "burst") || strings.Contains(s, "sentinel") ||
					!strings.Contains(s, `"window":60`) || !strings.Contains(s, `"host":"h"`) || !strings.Contains(s, `"key_names":["apikey"]`) {
					t.Errorf("sent %s", s)
				}
			default:
				if string(got.JSON) != c.want || got.Hash == record.Hash {
					t.Errorf("sent %s\nwant %s", got.JSON, c.want)
				}
				if _, err := configsync.DecodeEntity(got); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestViewOfTheSameVersionIsTheSnapshot(t *testing.T) {
	s := snap(t, 1, 1, "a=/", "b=/")
	v := newView(configsync.CoreSchemas(), append(configsync.CoreSchemas(), keyAuth))
	v.advance(s.Records)
	if !v.identity || v.records.Hash() != s.Records.Hash() {
		t.Fatal("a proxy that knows more than we do is sent less")
	}
}

func TestViewFollowsTheSnapshot(t *testing.T) {
	yes := true
	v := newView(configsync.CoreSchemas(), olderSchemas())
	edit := snap(t, 1, 1, "a=/", "b=/").Records.Edit()
	r, err := configsync.NewRecord(&entity.Route{ID: "c", StripPath: &yes, Paths: []string{"/c"}})
	if err != nil {
		t.Fatal(err)
	}
	edit.Put(r.Entry())
	v.advance(edit.Done())
	if v.records.Len() != 3 || len(v.omissions) != 1 {
		t.Fatalf("%d records, %d omissions", v.records.Len(), len(v.omissions))
	}
	v.advance(snap(t, 1, 2, "a=/", "c=/c").Records)
	if v.records.Hash() != snap(t, 1, 2, "a=/", "c=/c").Records.Hash() || len(v.omissions) != 0 {
		t.Fatal("the view does not follow")
	}
}
