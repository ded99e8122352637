// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"slices"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// streamInstance is an instance that notes in trace when its phases run.
func streamInstance(trace *[]string, p *entity.Plugin, priority int, preread func(plugin.Session)) *Instance {
	return &Instance{Plugin: p, Priority: priority, Phases: &plugin.Phases{
		Preread: func(s plugin.Session) {
			*trace = append(*trace, "preread "+string(p.ID))
			if preread != nil {
				preread(s)
			}
		},
		StreamLog: func(plugin.Session) { *trace = append(*trace, "log "+string(p.ID)) },
	}}
}

func TestStreamPlan(t *testing.T) {
	route, service := &entity.Route{ID: "r"}, &entity.Service{ID: "s"}
	ref := func(id entity.ID) *entity.Ref { return &entity.Ref{ID: id} }
	plugins := []*entity.Plugin{
		{ID: "global", Name: "a"},
		{ID: "service", Name: "a", Service: ref("s")},
		{ID: "route", Name: "a", Route: ref("r")},
		{ID: "both", Name: "a", Route: ref("r"), Service: ref("s")},
		{ID: "elsewhere", Name: "b", Route: ref("other")},
		{ID: "consumer", Name: "b", Consumer: ref("c")},
		{ID: "group", Name: "b", ConsumerGroup: ref("g")},
		{ID: "late", Name: "z"},
		{ID: "later", Name: "z"},
		{ID: "first", Name: "high"},
	}
	priorities := map[string]int{"a": 5, "b": 5, "z": 5, "high": 9}
	var trace []string
	var instances []*Instance
	for _, p := range plugins {
		instances = append(instances, streamInstance(&trace, p, priorities[p.Name], nil))
	}
	for _, c := range []struct {
		name    string
		from    []*Instance
		route   *entity.Route
		service *entity.Service
		want    string
	}{
		{"route and service", instances, route, service, "first later both"},
		{"route", append(slices.Clone(instances[:3]), instances[4:]...), route, service, "first later route"},
		{"service", append(slices.Clone(instances[:2]), instances[4:]...), route, service, "first later service"},
		{"another route", instances, &entity.Route{ID: "r2"}, nil, "first later global"},
		{"no route", instances, nil, nil, "first later global"},
	} {
		var got []string
		for _, in := range NewStreamPlan(c.from, c.route, c.service).Instances() {
			got = append(got, string(in.Plugin.ID))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", c.name, got, c.want)
		}
	}
}

func TestStreamPhases(t *testing.T) {
	for name, c := range map[string]struct {
		preread func(plugin.Session)
		want    string
		status  int
		fault   bool
	}{
		"passes": {nil, "preread 1,preread 2,preread 3,log 1,log 2,log 3", 0, false},
		"aborts": {func(s plugin.Session) { s.Abort() }, "preread 1,preread 2,log 1,log 2,log 3", 403, false},
		"breaks": {func(plugin.Session) { panic("broken") }, "preread 1,preread 2,log 1,log 2,log 3", 500, true},
	} {
		var trace []string
		plan := NewStreamPlan([]*Instance{
			streamInstance(&trace, &entity.Plugin{ID: "1", Name: "x"}, 3, nil),
			streamInstance(&trace, &entity.Plugin{ID: "2", Name: "y"}, 2, c.preread),
			streamInstance(&trace, &entity.Plugin{ID: "3", Name: "z"}, 1, nil),
			{Plugin: &entity.Plugin{ID: "4", Name: "none"}, Phases: &plugin.Phases{}},
		}, nil, nil)
		s := NewSession(NewLifetime(t.Context()))
		fault := s.Preread(plan)
		if f := s.Log(plan); f != nil {
			t.Error(f)
		}
		if got := strings.Join(trace, ","); got != c.want || s.Status() != c.status || (fault != nil) != c.fault {
			t.Errorf("%s: %s, status %d, fault %v", name, got, s.Status(), fault)
		}
	}
}

func TestLogRunsBehindABrokenPlugin(t *testing.T) {
	var trace []string
	broken := &Instance{Plugin: &entity.Plugin{ID: "1", Name: "x"}, Priority: 3, Phases: &plugin.Phases{StreamLog: func(plugin.Session) { panic("broken") }}}
	s := NewSession(NewLifetime(t.Context()))
	fault := s.Log(NewStreamPlan([]*Instance{broken, streamInstance(&trace, &entity.Plugin{ID: "2", Name: "y"}, 2, nil)}, nil, nil))
	if fault == nil || fault.Plugin != "x" || strings.Join(trace, ",") != "log 2" {
		t.Errorf("%v, %v", fault, trace)
	}
}

func TestAPluginThatCannotRunEndsSessions(t *testing.T) {
	catalog, err := NewCatalog(nil, entity.SchemaSet{})
	if err != nil {
		t.Fatal(err)
	}
	in, rejected := catalog.Configure(&entity.Plugin{ID: "1", Name: "unknown", Protocols: []entity.Protocol{"tcp"}}, nil)
	if rejected == nil {
		t.Fatal("an unknown plugin is accepted")
	}
	s := NewSession(NewLifetime(t.Context()))
	if fault := s.Preread(NewStreamPlan([]*Instance{in}, nil, nil)); fault != nil || s.Status() != 403 {
		t.Errorf("status %d, %v", s.Status(), fault)
	}
}

func TestRunsOnStream(t *testing.T) {
	schemas, err := entity.NewSchemaSet(
		entity.PluginSchema{Name: "http", Config: schema.NewRecord()},
		entity.PluginSchema{Name: "both", Config: schema.NewRecord(), DefaultProtocols: []entity.Protocol{"http", "tcp"}},
	)
	if err != nil {
		t.Fatal(err)
	}
	off := false
	for _, c := range []struct {
		plugin *entity.Plugin
		want   bool
	}{
		{&entity.Plugin{Name: "http"}, false},
		{&entity.Plugin{Name: "http", Protocols: []entity.Protocol{"http", "udp"}}, true},
		{&entity.Plugin{Name: "both"}, true},
		{&entity.Plugin{Name: "both", Protocols: []entity.Protocol{"https"}}, false},
		{&entity.Plugin{Name: "both", Enabled: &off}, false},
		{&entity.Plugin{Name: "unknown", Protocols: []entity.Protocol{"tls_passthrough"}}, true},
	} {
		if got := RunsOnStream(c.plugin, schemas); got != c.want {
			t.Errorf("%+v: %t", c.plugin, got)
		}
	}
}

var sessionSlot = plugin.NewSlot("test: session")

func TestSessionKeepsValues(t *testing.T) {
	s := NewSession(NewLifetime(t.Context()))
	if s.Value(sessionSlot) != nil {
		t.Error("a value before it was set")
	}
	s.SetValue(sessionSlot, 1)
	if s.Value(sessionSlot) != 1 {
		t.Error("the value is gone")
	}
	s.SetTarget("a.test", 9)
	if s.Chosen() != (Target{"a.test", 9}) {
		t.Errorf("%+v", s.Chosen())
	}
}
