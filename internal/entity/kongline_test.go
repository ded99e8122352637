// SPDX-License-Identifier: Apache-2.0

package entity_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

// TestUnder holds what is different under a later line of Kong, that what is
// set stays, and that the default line's schemas are left as they were.
func TestUnder(t *testing.T) {
	no := false
	plugin := func(name string, config map[string]any) *entity.Plugin {
		return &entity.Plugin{ID: "4a5d5b2c-0000-4000-8000-000000000001", Name: name, Config: config}
	}
	service := func(protocol entity.Protocol, verify *bool) *entity.Service {
		return &entity.Service{ID: "4a5d5b2c-0000-4000-8000-000000000002", Host: "a", Protocol: protocol, TLSVerify: verify}
	}
	route := func(protocols ...entity.Protocol) *entity.Route {
		return &entity.Route{ID: "4a5d5b2c-0000-4000-8000-000000000003", Paths: []string{"/"}, Protocols: protocols}
	}
	redis := map[string]any{"policy": "redis", "minute": 1, "redis": map[string]any{"host": "redis"}}
	aliased := map[string]any{"policy": "redis", "minute": 1, "redis_host": "redis", "redis_ssl_verify": false}
	for name, tc := range map[string]struct {
		e               entity.Entity
		path            []string
		want, wantLater string
	}{
		"route":                   {e: route(), path: []string{"protocols"}, want: `["http","https"]`, wantLater: `["https"]`},
		"route with protocols":    {e: route("http"), path: []string{"protocols"}, want: `["http"]`, wantLater: `["http"]`},
		"service of https":        {e: service("https", nil), path: []string{"tls_verify"}, want: `null`, wantLater: `true`},
		"service of http":         {e: service("", nil), path: []string{"tls_verify"}, want: `null`, wantLater: `null`},
		"service says no":         {e: service("https", &no), path: []string{"tls_verify"}, want: `false`, wantLater: `false`},
		"key-auth":                {e: plugin("key-auth", nil), path: []string{"config", "hide_credentials"}, want: `false`, wantLater: `true`},
		"key-auth says no":        {e: plugin("key-auth", map[string]any{"hide_credentials": false}), path: []string{"config", "hide_credentials"}, want: `false`, wantLater: `false`},
		"basic-auth":              {e: plugin("basic-auth", nil), path: []string{"config", "hide_credentials"}, want: `false`, wantLater: `true`},
		"hmac-auth":               {e: plugin("hmac-auth", nil), path: []string{"config", "hide_credentials"}, want: `false`, wantLater: `true`},
		"algorithms of hmac-auth": {e: plugin("hmac-auth", nil), path: []string{"config", "algorithms"}, want: `["hmac-sha1","hmac-sha256","hmac-sha384","hmac-sha512"]`, wantLater: `["hmac-sha256","hmac-sha384","hmac-sha512"]`},
		"redis":                   {e: plugin("rate-limiting", redis), path: []string{"config", "redis", "ssl_verify"}, want: `false`, wantLater: `true`},
		"redis in flat spelling":  {e: plugin("rate-limiting", aliased), path: []string{"config", "redis", "ssl_verify"}, want: `false`, wantLater: `false`},
	} {
		t.Run(name, func(t *testing.T) {
			before, _ := json.Marshal(tc.e)
			for line, want := range map[entity.Line]string{entity.Line314: tc.wantLater, entity.Line39: tc.want} {
				full, err := entity.Complete(tc.e, schemas.All().Under(line))
				if err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				if got := valueAt(t, full, tc.path); got != want {
					t.Errorf("%s: %v is %s, want %s", line, tc.path, got, want)
				}
			}
			if after, _ := json.Marshal(tc.e); string(before) != string(after) {
				t.Errorf("the entity was changed: %s", after)
			}
		})
	}
}

func valueAt(t *testing.T, e entity.Entity, path []string) string {
	t.Helper()
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	for _, step := range path {
		m, _ := v.(map[string]any)
		v = m[step]
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestDefaults314AreFields holds that plugins name fields that they have, and
// defaults that they accept.
func TestDefaults314AreFields(t *testing.T) {
	for _, p := range schemas.All().Plugins() {
		later, ok := schemas.All().Under(entity.Line314).Plugin(p.Name)
		if !ok {
			t.Fatalf("%s is missing", p.Name)
		}
		if len(p.Defaults314) > 0 && reflect.DeepEqual(p.Config.Complete(nil), later.Config.Complete(nil)) {
			t.Errorf("%s: none of Defaults314 is a field", p.Name)
		}
	}
}

func TestParseLine(t *testing.T) {
	for text, ok := range map[string]bool{"3.9": true, "3.14": true, "": false, "3.10": false} {
		if _, err := entity.ParseLine(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestRouteUnder holds that routers get the route itself where nothing differs.
func TestRouteUnder(t *testing.T) {
	open, said := &entity.Route{Name: "open"}, &entity.Route{Name: "said", Protocols: []entity.Protocol{"http"}}
	for _, s := range []entity.SchemaSet{schemas.All(), schemas.All().Under(entity.Line39)} {
		if s.Route(open) != open || s.Route(said) != said {
			t.Error("a copy was made for nothing")
		}
	}
	later := schemas.All().Under(entity.Line314)
	if got := later.Route(open); len(open.Protocols) != 0 || !slices.Equal(got.Protocols, []entity.Protocol{"https"}) || got.Name != "open" {
		t.Errorf("the route is %+v, and was %+v", got, open)
	}
	if later.Route(said) != said {
		t.Error("what is said was changed")
	}
}
