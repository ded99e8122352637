// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
)

var (
	theRoute   = &entity.Route{ID: "route"}
	theService = &entity.Service{ID: "service"}
	amy        = &entity.Consumer{ID: "amy"}
	gold       = &entity.ConsumerGroup{ID: "g2", Name: "gold"}
	silver     = &entity.ConsumerGroup{ID: "g1", Name: "silver"}
)

// limited returns a plugin that is limited to what words name.
func limited(words ...string) *entity.Plugin {
	p := &entity.Plugin{ID: entity.ID(fmt.Sprint(words)), Name: "p"}
	for _, w := range words {
		switch w {
		case "route":
			p.Route = &entity.Ref{ID: theRoute.ID}
		case "service":
			p.Service = &entity.Ref{ID: theService.ID}
		case "consumer":
			p.Consumer = &entity.Ref{ID: amy.ID}
		case "gold":
			p.ConsumerGroup = &entity.Ref{ID: gold.ID}
		case "silver":
			p.ConsumerGroup = &entity.Ref{ID: silver.ID}
		}
	}
	return p
}

func planFor(plugins ...*entity.Plugin) *Plan {
	var instances []*Instance
	for _, p := range plugins {
		instances = append(instances, &Instance{Plugin: p, Phases: &plugin.Phases{}})
	}
	return NewPlans(instances...).For(theRoute, theService)
}

func ranPlugins(p *Plan, id plugin.Identity) []entity.ID {
	x := NewExchange(NewLifetime(context.Background()))
	x.Authenticate(id)
	if fault := x.Access(p); fault != nil {
		panic(fault)
	}
	var out []entity.ID
	for _, in := range x.Picked() {
		out = append(out, in.Plugin.ID)
	}
	return out
}

// The twelve scopes of Kong, the narrowest first: each wins over all that
// follow it (https://docs.konghq.com/gateway/latest/key-concepts/plugins/#precedence).
func TestPrecedence(t *testing.T) {
	ranks := []*entity.Plugin{
		limited("consumer", "route", "service"), limited("gold", "route", "service"),
		limited("consumer", "route"), limited("consumer", "service"), limited("gold", "route"), limited("gold", "service"),
		limited("route", "service"), limited("consumer"), limited("gold"), limited("route"), limited("service"), limited(),
	}
	id := plugin.Identity{Consumer: amy, Groups: []*entity.ConsumerGroup{gold}}
	for i, want := range ranks {
		weaker := slices.Clone(ranks[i:])
		for range 2 {
			if got := ranPlugins(planFor(weaker...), id); len(got) != 1 || got[0] != want.ID {
				t.Errorf("of %d scopes %v ran, want %s", len(weaker), got, want.ID)
			}
			slices.Reverse(weaker)
		}
	}
}

func TestScopes(t *testing.T) {
	disabled := limited("route")
	off := false
	disabled.Enabled = &off
	streamOnly := limited("route")
	streamOnly.Protocols = []entity.Protocol{entity.ProtocolTCP}
	grpc := limited("route")
	grpc.Protocols = []entity.Protocol{entity.ProtocolTCP, entity.ProtocolGRPC}
	elsewhere := limited("route")
	elsewhere.ID, elsewhere.Route = "elsewhere", &entity.Ref{ID: "other"}
	otherService := limited("route", "service")
	otherService.Service = &entity.Ref{ID: "other"}
	earlier, later := limited("route"), limited("route")
	earlier.ID, later.ID = "earlier", "later"
	both := plugin.Identity{Consumer: amy, Groups: []*entity.ConsumerGroup{silver, gold}}
	for _, c := range []struct {
		name    string
		plugins []*entity.Plugin
		id      plugin.Identity
		want    []entity.ID
	}{
		{"nothing", nil, both, nil},
		{"disabled", []*entity.Plugin{disabled, limited()}, both, []entity.ID{"[]"}},
		{"of stream protocols only", []*entity.Plugin{streamOnly}, both, nil},
		{"of gRPC as well", []*entity.Plugin{grpc}, both, []entity.ID{"[route]"}},
		{"of another route", []*entity.Plugin{elsewhere}, both, nil},
		{"of this route with another service", []*entity.Plugin{otherService}, both, nil},
		{"the later of two alike", []*entity.Plugin{earlier, later}, both, []entity.ID{"later"}},
		{"a consumer's, for nobody", []*entity.Plugin{limited("consumer"), limited()}, plugin.Identity{}, []entity.ID{"[]"}},
		{"a consumer's, for somebody else", []*entity.Plugin{limited("consumer")}, plugin.Identity{Consumer: &entity.Consumer{ID: "bob"}}, nil},
		{"a group's, for its member", []*entity.Plugin{limited("silver"), limited()}, both, []entity.ID{"[silver]"}},
		{"a group's, for others", []*entity.Plugin{limited("silver"), limited()}, plugin.Identity{Consumer: amy}, []entity.ID{"[]"}},
		{"of two groups the first by name", []*entity.Plugin{limited("silver"), limited("gold")}, both, []entity.ID{"[gold]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := ranPlugins(planFor(c.plugins...), c.id); !slices.Equal(got, c.want) {
				t.Errorf("ran %v, want %v", got, c.want)
			}
		})
	}
}

// Higher priorities run first, equal ones in reverse alphabetical order.
func TestOrder(t *testing.T) {
	var instances []*Instance
	for name, priority := range map[string]int{"a": 1, "b": 2, "c": 2, "d": 3} {
		p := &entity.Plugin{ID: entity.ID(name), Name: name}
		instances = append(instances, &Instance{Plugin: p, Priority: priority, Phases: &plugin.Phases{}})
	}
	got := ranPlugins(NewPlans(instances...).For(theRoute, nil), plugin.Identity{})
	if want := []entity.ID{"d", "c", "b", "a"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// The identity that counts is the one at the time the slot is reached.
func TestIdentityIsFoundOnTheWay(t *testing.T) {
	auth := &entity.Plugin{ID: "auth", Name: "auth"}
	limit, limitAmy := &entity.Plugin{ID: "limit", Name: "limit"}, &entity.Plugin{ID: "amy", Name: "limit", Consumer: &entity.Ref{ID: amy.ID}}
	early := &entity.Plugin{ID: "early", Name: "early", Consumer: &entity.Ref{ID: amy.ID}}
	plan := NewPlans(
		&Instance{Plugin: limit, Priority: 10, Phases: &plugin.Phases{}},
		&Instance{Plugin: limitAmy, Priority: 10, Phases: &plugin.Phases{}},
		&Instance{Plugin: auth, Priority: 20, Phases: &plugin.Phases{Access: func(x plugin.Exchange) {
			x.Authenticate(plugin.Identity{Consumer: amy})
		}}},
		&Instance{Plugin: early, Priority: 30, Phases: &plugin.Phases{}},
	).For(theRoute, nil)
	if got, want := ranPlugins(plan, plugin.Identity{}), []entity.ID{"auth", "amy"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestNeeds(t *testing.T) {
	one, two := limited("route"), limited()
	two.Name = "q"
	got := NewPlans(
		&Instance{Plugin: one, Phases: &plugin.Phases{Needs: plugin.Needs{RequestBody: 5, Trailers: true}}},
		&Instance{Plugin: two, Phases: &plugin.Phases{Needs: plugin.Needs{RequestBody: 3, ResponseBody: 7, MayBlock: true}}},
	).For(theRoute, nil).Needs()
	if want := (plugin.Needs{RequestBody: 5, ResponseBody: 7, MayBlock: true, Trailers: true}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestCatalog(t *testing.T) {
	schemas, err := entity.NewSchemaSet(
		entity.PluginSchema{Name: "good", Config: schema.NewRecord(schema.String("mode"))},
		entity.PluginSchema{Name: "unknown", Config: schema.NewRecord()},
	)
	if err != nil {
		t.Fatal(err)
	}
	made := 0
	good := plugin.Registration{Name: "good", Priority: 7, Configure: func(c plugin.Config) (*plugin.Phases, error) {
		made++
		switch c.Values["mode"] {
		case "error":
			return nil, errors.New("no such mode")
		case "panic":
			panic("broke")
		case "nothing":
			return nil, nil
		}
		return &plugin.Phases{}, nil
	}}
	if _, err := NewCatalog(&plugintest.Host{}, schemas, good, good); err == nil {
		t.Error("a plugin may be registered twice")
	}
	catalog, err := NewCatalog(&plugintest.Host{}, schemas, good)
	if err != nil {
		t.Fatal(err)
	}
	config := func(name, mode string) *entity.Plugin {
		return &entity.Plugin{ID: "11111111-1111-4111-8111-111111111111", Name: name, Config: map[string]any{"mode": mode}}
	}
	first, problem := catalog.Configure(config("good", "a"), nil)
	if problem != nil {
		t.Fatal(problem)
	}
	if same, _ := catalog.Configure(config("good", "a"), first); same != first || made != 1 {
		t.Errorf("an unchanged plugin was configured %d times", made)
	}
	if other, _ := catalog.Configure(config("good", "b"), first); other == first {
		t.Error("a changed plugin kept its instance")
	}
	for _, p := range []*entity.Plugin{config("good", "error"), config("good", "panic"), config("good", "nothing"), config("unknown", "a")} {
		in, problem := catalog.Configure(p, first)
		if problem == nil || problem.Name != p.Name || problem.Reason == "" {
			t.Errorf("%v: problem %v", p.Config, problem)
		}
		x := NewExchange(NewLifetime(context.Background()))
		in.Phases.Access(x)
		if !x.Exited() || x.Reply().Status != 500 {
			t.Errorf("%v: a plugin that cannot run lets requests through", p.Config)
		}
	}
}
