// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/entity/schema/typedefs"
)

// BenchmarkPrepare goes through a configuration of which one plugin in a hundred
// holds a reference.
func BenchmarkPrepare(b *testing.B) {
	schemas, err := entity.NewSchemaSet(entity.PluginSchema{Name: "teller", Config: schema.NewRecord(
		schema.String("open"), schema.String("secret").Referenceable(), typedefs.Redis(), typedefs.Queue())},
		entity.PluginSchema{Name: "auth", Config: schema.NewRecord(), Credentials: []entity.CredentialType{{
			Collection: "keys", Record: schema.NewRecord(schema.String("key").Secret(), schema.Number("ttl"))}}})
	if err != nil {
		b.Fatal(err)
	}
	l := New(Options{Settings: Settings{Interval: time.Minute}, Schemas: schemas, Logger: slog.New(slog.DiscardHandler), Now: time.Now,
		Lookup: func(string) (string, bool) { return "v", true }})
	set := &entity.Set{}
	for i := range 5000 {
		secret := "plain"
		if i%100 == 0 {
			secret = "{vault://env/x}"
		}
		set.Plugins = append(set.Plugins, &entity.Plugin{ID: entity.NewID("plugins", strconv.Itoa(i)), Name: "teller", Config: map[string]any{
			"open": "o", "secret": secret, "redis": map[string]any{"host": "h", "password": "p"}}})
		set.Credentials = append(set.Credentials, &entity.Credential{ID: entity.NewID("keys", strconv.Itoa(i)), Type: "keys", Fields: map[string]any{"key": "k"}})
	}
	b.ReportAllocs()
	for b.Loop() {
		l.Prepare(set)
	}
}

// A change that is not about references does not pay for those that there are.
func BenchmarkUpdateBesideReferences(b *testing.B) {
	l := New(Options{Settings: Settings{Interval: time.Minute}, Logger: slog.New(slog.DiscardHandler), Now: time.Now,
		Lookup: func(string) (string, bool) { return "v", true }})
	for i := range 1000 {
		l.state.held[entity.Key{Kind: entity.KindPlugin, ID: entity.NewID("plugins", string(rune(i)))}] = &held{}
	}
	d := put(&entity.Route{ID: uuid("r")})
	b.ReportAllocs()
	for b.Loop() {
		l.Update(d)
	}
}
