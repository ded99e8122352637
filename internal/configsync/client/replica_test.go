// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/configsync/wire"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// message returns a delta that upserts entities and leads to hash; with a zero
// hash, to what follows from the entities alone.
func message(t testing.TB, term, sequence uint64, hash configsync.Hash, entities ...entity.Entity) *wire.Delta {
	t.Helper()
	m := &wire.Delta{Position: &wire.Position{Term: term, Sequence: sequence}}
	edit := configsync.Records{}.Edit()
	for _, e := range entities {
		r, err := configsync.NewRecord(e)
		if err != nil {
			t.Fatal(err)
		}
		m.Upserts = append(m.Upserts, wire.EncodeRecord(r))
		edit.Put(r.Entry())
	}
	if hash == (configsync.Hash{}) {
		hash = edit.Done().Hash()
	}
	m.SnapshotHash = wire.EncodeHash(hash)
	return m
}

func TestReplicaTakesAllOrNothing(t *testing.T) {
	a, b := &entity.Route{ID: "a"}, &entity.Route{ID: "b"}
	tampered := message(t, 1, 3, configsync.Hash{}, b)
	tampered.Upserts[0].Json = []byte(`{"id":"b","name":"x"}`)
	nameless := message(t, 1, 3, configsync.Hash{}, b)
	nameless.Upserts[0].Id = ""
	ragged := message(t, 1, 3, configsync.Hash{})
	ragged.Deletes = []byte{1, 2, 3}
	short := message(t, 1, 3, configsync.Hash{}, b)
	short.SnapshotHash = []byte{1}
	for _, c := range []struct {
		name  string
		parts []*wire.Delta
		as    any
	}{
		{"an earlier term", []*wire.Delta{message(t, 0, 9, configsync.Hash{}, a)}, new(*backwardError)},
		{"an earlier sequence", []*wire.Delta{message(t, 1, 1, configsync.Hash{}, a)}, new(*backwardError)},
		{"another outcome", []*wire.Delta{message(t, 1, 3, configsync.Hash{9}, b)}, new(*mismatchError)},
		{"content and hash differ", []*wire.Delta{tampered}, nil},
		{"a record without an id", []*wire.Delta{nameless}, nil},
		{"ragged deletes", []*wire.Delta{ragged}, nil},
		{"a short hash", []*wire.Delta{short}, nil},
		{"one bad part of two", []*wire.Delta{{Upserts: message(t, 1, 3, configsync.Hash{}, b).Upserts}, ragged}, nil},
	} {
		r := newReplica()
		first, err := r.apply([]*wire.Delta{message(t, 1, 2, configsync.Hash{}, a)}, false)
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.apply(c.parts, false)
		if err == nil || c.as != nil && !errors.As(err, c.as) {
			t.Errorf("%s: got %v", c.name, err)
		}
		if r.items.Hash() != first.Hash || r.position != first.Position {
			t.Errorf("%s: the replica changed", c.name)
		}
	}
}

// TestStartOver: after a delta that leads nowhere the proxy says that it holds
// nothing, keeps serving, and takes the whole snapshot as a difference.
func TestStartOver(t *testing.T) {
	var updates []Update
	c, err := New(Config{
		Gateway: configsync.Gateway{Namespace: "n", Name: "g"}, Target: "host:8005", CADir: "ca", TokenFile: "token",
		Apply:  func(_ context.Context, u Update) []configsync.Rejection { updates = append(updates, u); return nil },
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	a, b := &entity.Route{ID: "a"}, &entity.Route{ID: "b"}
	if _, err := c.take(t.Context(), []*wire.Delta{message(t, 1, 1, configsync.Hash{}, a, b)}); err != nil {
		t.Fatal(err)
	}
	if h := c.hello(); len(h.GetHeld()) != 2*24 || len(h.GetSnapshotHash()) != 16 {
		t.Fatalf("holds %d bytes", len(h.GetHeld()))
	}
	if _, err := c.take(t.Context(), []*wire.Delta{message(t, 1, 2, configsync.Hash{9}, a)}); err == nil {
		t.Fatal("took a delta that leads elsewhere")
	}
	if h := c.hello(); len(h.GetHeld()) != 0 || len(h.GetSnapshotHash()) != 0 || h.GetPosition().GetSequence() != 1 {
		t.Fatalf("does not start over: %v", h)
	}
	if len(updates) != 1 {
		t.Fatal("the data plane saw it")
	}
	if _, err := c.take(t.Context(), []*wire.Delta{message(t, 1, 2, configsync.Hash{}, b)}); err != nil {
		t.Fatal(err)
	}
	if u := updates[1]; u.First || len(u.Changed) != 1 || u.Changed[0].ID != "a" || len(u.Set().Routes) != 1 {
		t.Fatalf("%+v", u.Changed)
	}
	if len(c.hello().GetHeld()) != 24 {
		t.Fatal("goes on starting over")
	}
}

func TestSetHoldsEveryKind(t *testing.T) {
	all := []entity.Entity{
		&entity.Service{ID: "1"}, &entity.Route{ID: "2"}, &entity.Upstream{ID: "3"}, &entity.Target{ID: "4"},
		&entity.Plugin{ID: "5", Name: "x"}, &entity.Consumer{ID: "6"}, &entity.ConsumerGroup{ID: "7"},
		&entity.Credential{ID: "8", Type: "acls"}, &entity.Certificate{ID: "9"}, &entity.SNI{ID: "10"},
		&entity.CACertificate{ID: "11"}, &entity.Vault{ID: "12"},
	}
	u, err := newReplica().apply([]*wire.Delta{message(t, 1, 1, configsync.Hash{}, all...)}, false)
	if err != nil {
		t.Fatal(err)
	}
	v := reflect.ValueOf(*u.Set())
	for i := range v.NumField() {
		if v.Field(i).Len() != 1 {
			t.Errorf("%s has %d entries", v.Type().Field(i).Name, v.Field(i).Len())
		}
	}
	if v.NumField() != len(all) {
		t.Errorf("%d kinds, the test knows %d", v.NumField(), len(all))
	}
}

func TestBackoff(t *testing.T) {
	b := Backoff{}
	b.complete()
	for _, c := range []struct {
		failures int
		random   float64
		want     time.Duration
	}{
		{1, 0, 25 * time.Millisecond},
		{1, 1, 250 * time.Millisecond},
		{2, 1, 500 * time.Millisecond},
		{4, 0.5, 1100 * time.Millisecond},
		{7, 1, 10 * time.Second},
		{1000, 1, 10 * time.Second},
		{1000, 0, time.Second},
	} {
		if got := b.wait(c.failures, c.random); got != c.want {
			t.Errorf("after %d failures, random %v: %s, want %s", c.failures, c.random, got, c.want)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := Config{
		Gateway: configsync.Gateway{Namespace: "n", Name: "g"}, Target: "dns:///host:8005", CADir: "ca", TokenFile: "token",
		Apply: func(context.Context, Update) []configsync.Rejection { return nil },
	}
	c, err := New(good)
	if err != nil || c.host != "host" || c.port != "8005" || c.config.ServerName != "host" {
		t.Fatal(err, c)
	}
	for name, change := range map[string]func(*Config){
		"port":    func(c *Config) { c.Target = "host" },
		"gateway": func(c *Config) { c.Gateway.Name = "" },
		"ca":      func(c *Config) { c.CADir = "" },
		"token":   func(c *Config) { c.TokenFile = "" },
		"apply":   func(c *Config) { c.Apply = nil },
	} {
		bad := good
		change(&bad)
		if _, err := New(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzDelta(f *testing.F) {
	seed, err := proto.Marshal(message(f, 1, 1, configsync.Hash{}, &entity.Route{ID: "a"}))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		var m wire.Delta
		if proto.Unmarshal(data, &m) != nil {
			return
		}
		r := newReplica()
		u, err := r.apply([]*wire.Delta{&m}, false)
		if err == nil && string(wire.EncodeHash(u.Hash)) != string(m.GetSnapshotHash()) {
			t.Fatal("taken in with another hash")
		}
	})
}
