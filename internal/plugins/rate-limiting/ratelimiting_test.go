// SPDX-License-Identifier: Apache-2.0

package ratelimiting

import (
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
	"github.com/kong/kong-istio-gateway/internal/plugins/rate-limiting/schema"
)

var noon = time.Date(2026, time.March, 31, 12, 0, 59, 250_000_000, time.UTC)

func instance(t testing.TB, host plugin.Host, config map[string]any) *plugin.Phases {
	return plugintest.Configure(t, Registration, schema.Plugin, host, &entity.Plugin{Config: config, Route: &entity.Ref{ID: "r"}})
}

// serve sends one request at a time and returns status and headers.
func serve(p *plugin.Phases, now time.Time, change ...func(*plugintest.Exchange)) (int, map[string]string, string) {
	x := plugintest.New(now, "GET", "/r")
	for _, c := range change {
		c(x)
	}
	body := plugintest.Serve(x, plugintest.Answer{Status: 200}, p)
	return x.Answer.Status, x.AnswerHeader.Map(), body
}

func TestHeadersCountDownThenTheWindowBlocks(t *testing.T) {
	p := instance(t, &plugintest.Host{}, map[string]any{"minute": 2, "year": 5})
	for i, want := range []map[string]string{
		{"x-ratelimit-limit-minute": "2", "x-ratelimit-remaining-minute": "1", "x-ratelimit-limit-year": "5", "x-ratelimit-remaining-year": "4",
			"ratelimit-limit": "2", "ratelimit-remaining": "1", "ratelimit-reset": "1"},
		{"x-ratelimit-limit-minute": "2", "x-ratelimit-remaining-minute": "0", "x-ratelimit-limit-year": "5", "x-ratelimit-remaining-year": "3",
			"ratelimit-limit": "2", "ratelimit-remaining": "0", "ratelimit-reset": "1"},
		{"x-ratelimit-limit-minute": "2", "x-ratelimit-remaining-minute": "0", "x-ratelimit-limit-year": "5", "x-ratelimit-remaining-year": "3",
			"ratelimit-limit": "2", "ratelimit-remaining": "0", "ratelimit-reset": "1", "retry-after": "1"},
	} {
		status, got, body := serve(p, noon)
		if !maps.Equal(got, want) {
			t.Errorf("request %d: headers %v, want %v", i, got, want)
		}
		if blocked := i == 2; blocked != (status == 429) || blocked != (body == "API rate limit exceeded") {
			t.Errorf("request %d: %d %q", i, status, body)
		}
	}
	if status, got, _ := serve(p, noon.Add(time.Second)); status != 200 || got["x-ratelimit-remaining-year"] != "2" || got["ratelimit-reset"] != "60" {
		t.Errorf("next minute: %d %v", status, got)
	}
}

func TestEqualRemainingShowsTheLongerWindow(t *testing.T) {
	p := instance(t, &plugintest.Host{}, map[string]any{"hour": 3, "day": 3})
	if _, got, _ := serve(p, noon); got["ratelimit-reset"] != fmt.Sprint(12*3600-59) {
		t.Errorf("reset %s, want that of the day", got["ratelimit-reset"])
	}
}

func TestHiddenHeadersAndOwnError(t *testing.T) {
	p := instance(t, &plugintest.Host{}, map[string]any{"day": 1, "hide_client_headers": true, "error_code": 418, "error_message": "later"})
	serve(p, noon)
	if status, got, body := serve(p, noon); status != 418 || body != "later" || len(got) != 0 {
		t.Errorf("%d %q %v", status, body, got)
	}
}

func TestOwnHeadersComeBeforeTheUpstreams(t *testing.T) {
	p := instance(t, &plugintest.Host{}, map[string]any{"year": 5})
	x := plugintest.New(noon, "GET", "/")
	plugintest.Serve(x, plugintest.Answer{Status: 200, Header: []string{"RateLimit-Limit", "77", "X-RateLimit-Remaining-Day", "9"}}, p)
	if got := x.AnswerHeader.Map(); got["ratelimit-limit"] != "5|77" || got["x-ratelimit-remaining-day"] != "9" {
		t.Errorf("%v", got)
	}
}

func TestWhoIsCounted(t *testing.T) {
	consumer := func(id entity.ID) func(*plugintest.Exchange) {
		return func(x *plugintest.Exchange) {
			x.Who = plugin.Identity{Consumer: &entity.Consumer{ID: id}, Credential: &entity.Credential{ID: "credential of " + id}}
		}
	}
	address := func(ip string) func(*plugintest.Exchange) {
		return func(x *plugintest.Exchange) { x.ClientFacts.IP = netip.MustParseAddr(ip) }
	}
	header := func(values ...string) func(*plugintest.Exchange) {
		return func(x *plugintest.Exchange) {
			for _, v := range values {
				x.RequestHeader.Add("X-Tenant", v)
			}
		}
	}
	path := func(p string) func(*plugintest.Exchange) {
		return func(x *plugintest.Exchange) { x.RequestFacts.Path = p }
	}
	type change = func(*plugintest.Exchange)
	for _, c := range []struct {
		name   string
		config map[string]any
		a, b   change
		shared bool
	}{
		{"consumers", map[string]any{}, consumer("a"), consumer("b"), false},
		{"consumer from elsewhere", map[string]any{}, consumer("a"), func(x *plugintest.Exchange) { consumer("a")(x); address("10.0.0.9")(x) }, true},
		{"no consumer, addresses", map[string]any{}, address("10.0.0.1"), address("10.0.0.2"), false},
		{"mapped address", map[string]any{"limit_by": "ip"}, address("10.0.0.1"), address("::ffff:10.0.0.1"), true},
		{"by ip ignores consumers", map[string]any{"limit_by": "ip"}, consumer("a"), consumer("b"), true},
		{"credentials", map[string]any{"limit_by": "credential"}, consumer("a"), consumer("b"), false},
		{"service", map[string]any{"limit_by": "service"}, address("10.0.0.1"), address("10.0.0.2"), true},
		{"header", map[string]any{"limit_by": "header", "header_name": "X-Tenant"}, header("a"), header("b"), false},
		{"first header counts", map[string]any{"limit_by": "header", "header_name": "X-Tenant"}, header("a", "b"), header("a"), true},
		{"no header, same address", map[string]any{"limit_by": "header", "header_name": "X-Tenant"}, header(), header(), true},
		{"path", map[string]any{"limit_by": "path", "path": "/p"}, path("/p"), path("/q"), false},
		{"path, other addresses", map[string]any{"limit_by": "path", "path": "/p"}, path("/p"),
			func(x *plugintest.Exchange) { path("/p")(x); address("10.0.0.9")(x) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.config["year"] = 1
			p := instance(t, &plugintest.Host{}, c.config)
			if status, _, _ := serve(p, noon, c.a); status != 200 {
				t.Fatalf("first request: %d", status)
			}
			if status, _, _ := serve(p, noon, c.b); (status == 429) != c.shared {
				t.Errorf("second request: %d, shared count: %t", status, c.shared)
			}
		})
	}
}

func TestScopeAndReload(t *testing.T) {
	host := &plugintest.Host{}
	at := func(p entity.Plugin, limit int) *plugin.Phases {
		p.Config = map[string]any{"year": limit}
		return plugintest.Configure(t, Registration, schema.Plugin, host, &p)
	}
	route := at(entity.Plugin{ID: "1", Route: &entity.Ref{ID: "r"}}, 1)
	serve(route, noon)
	if status, _, _ := serve(at(entity.Plugin{ID: "2", Route: &entity.Ref{ID: "other"}}, 1), noon); status != 200 {
		t.Error("another route's instance shares the count")
	}
	if status, _, _ := serve(at(entity.Plugin{ID: "3", Route: &entity.Ref{ID: "r"}}, 1), noon); status != 429 {
		t.Error("a reload of the instance forgot the count")
	}
	if _, h, _ := serve(at(entity.Plugin{ID: "4", Route: &entity.Ref{ID: "r"}}, 3), noon); h["ratelimit-remaining"] != "1" {
		t.Errorf("a raised limit starts from the old count: %v", h)
	}
	serve(at(entity.Plugin{ID: "5"}, 1), noon)
	if status, _, _ := serve(at(entity.Plugin{ID: "6", Consumer: &entity.Ref{ID: "c"}}, 1), noon); status != 429 {
		t.Error("instances without route and service share one scope")
	}
}

func TestRefusedRequestsAreNotCounted(t *testing.T) {
	p := instance(t, &plugintest.Host{}, map[string]any{"second": 1, "year": 3})
	serve(p, noon)
	for range 5 {
		serve(p, noon)
	}
	if _, h, _ := serve(p, noon.Add(time.Second)); h["x-ratelimit-remaining-year"] != "1" {
		t.Errorf("%v", h)
	}
}

func TestUnreachableRedis(t *testing.T) {
	for _, tolerant := range []bool{true, false} {
		host := &plugintest.Host{}
		p := instance(t, host, map[string]any{"year": 1, "policy": "redis", "fault_tolerant": tolerant,
			"redis": map[string]any{"host": "127.0.0.1", "port": 1, "timeout": 200, "password": "hidden"}})
		status, h, _ := serve(p, noon)
		if want := map[bool]int{true: 200, false: 500}[tolerant]; status != want || len(h) != 0 {
			t.Errorf("fault_tolerant %t: %d %v", tolerant, status, h)
		}
		if log := host.Logged(); !strings.Contains(log, "127.0.0.1") || strings.Contains(log, "hidden") {
			t.Errorf("log: %s", log)
		}
		if !p.Needs.MayBlock {
			t.Error("an instance that waits for redis must say so")
		}
	}
}

func BenchmarkAccess(b *testing.B) {
	p := instance(b, &plugintest.Host{}, map[string]any{"minute": 1 << 40, "hour": 1 << 40, "limit_by": "ip"})
	x := plugintest.New(noon, "GET", "/")
	b.ReportAllocs()
	for b.Loop() {
		p.Access(x)
		verdicts.Put(x.Value(slot))
	}
}

func BenchmarkHeaders(b *testing.B) {
	p := instance(b, &plugintest.Host{}, map[string]any{"minute": 1 << 40})
	x := plugintest.New(noon, "GET", "/")
	x.AnswerHeader.Fields = make([]plugin.Field, 0, 16)
	b.ReportAllocs()
	for b.Loop() {
		x.AnswerHeader.Fields = x.AnswerHeader.Fields[:0]
		p.Access(x)
		p.HeaderFilter(x)
	}
}
