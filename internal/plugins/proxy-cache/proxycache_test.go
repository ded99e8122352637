// SPDX-License-Identifier: Apache-2.0

package proxycache

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
	"github.com/kong/kong-istio-gateway/internal/plugins/proxy-cache/schema"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

type m = map[string]any

func instance(t testing.TB, config m) *plugin.Phases {
	all := m{"strategy": "memory"}
	for k, v := range config {
		all[k] = v
	}
	return plugintest.Configure(t, Registration, schema.Plugin, &plugintest.Host{}, &entity.Plugin{Config: all})
}

// ask sends a request to which the upstream would answer body; it returns the
// cache status and the body that came.
func ask(p *plugin.Phases, now time.Time, method, target, body string, change func(*plugintest.Exchange), header ...string) (string, string, *plugintest.Exchange) {
	x := plugintest.New(now, method, target)
	if change != nil {
		change(x)
	}
	if len(header) == 0 {
		header = []string{"Content-Type", "text/plain"}
	}
	got := plugintest.Serve(x, plugintest.Answer{Status: 200, Header: header, Chunks: []string{body[:len(body)/2], body[len(body)/2:]}}, p)
	return x.AnswerHeader.Get("X-Cache-Status"), got, x
}

func TestHitCarriesTheStoredAnswer(t *testing.T) {
	p := instance(t, nil)
	upstream := []string{"Content-Type", "text/plain", "X-Own", "1", "X-Own", "2", "Connection", "close", "X-RateLimit-Remaining-Year", "3", "Content-Length", "5"}
	if status, body, x := ask(p, noon, "GET", "/r", "first", nil, upstream...); status != "Miss" || body != "first" || len(x.AnswerHeader.Get("X-Cache-Key")) != 64 {
		t.Fatalf("%s %q", status, body)
	}
	status, body, x := ask(p, noon.Add(90*time.Second), "GET", "/r", "second", nil)
	h := x.AnswerHeader.Map()
	if status != "Hit" || body != "first" || h["age"] != "90" || h["x-own"] != "1|2" || !x.Reply.Proxied {
		t.Errorf("%s %q %v", status, body, h)
	}
	for _, name := range []string{"connection", "x-ratelimit-remaining-year", "content-length"} {
		if _, there := h[name]; there {
			t.Errorf("%s was stored", name)
		}
	}
}

func TestKeys(t *testing.T) {
	consumer := func(id entity.ID) func(*plugintest.Exchange) {
		return func(x *plugintest.Exchange) { x.Who.Consumer = &entity.Consumer{ID: id} }
	}
	route := func(x *plugintest.Exchange) { x.MatchedRoute = &entity.Route{ID: "other"} }
	header := func(v string) func(*plugintest.Exchange) {
		return func(x *plugintest.Exchange) { x.RequestHeader.Add("X-Lang", v) }
	}
	for _, c := range []struct {
		name         string
		config       m
		a, b         string
		changeA      func(*plugintest.Exchange)
		changeB      func(*plugintest.Exchange)
		sameEntry    bool
		differMethod string
	}{
		{name: "same", a: "/r", b: "/r", sameEntry: true},
		{name: "order of arguments", a: "/r?b=1&a=2&a=1", b: "/r?a=1&b=1&a=2", sameEntry: true},
		{name: "arguments", a: "/r?a=1", b: "/r?a=2"},
		{name: "flag and empty", a: "/r?a", b: "/r?a="},
		{name: "empty query", a: "/r?", b: "/r"},
		{name: "joined arguments", a: "/r?a=1%26b=2", b: "/r?a=1&b=2"},
		{name: "case", a: "/r", b: "/R"},
		{name: "case ignored", config: m{"ignore_uri_case": true}, a: "/r", b: "/R", sameEntry: true},
		{name: "method", a: "/r", b: "/r", differMethod: "PUT"},
		{name: "consumers", a: "/r", b: "/r", changeA: consumer("a"), changeB: consumer("b")},
		{name: "routes", a: "/r", b: "/r", changeB: route},
		{name: "header does not matter", a: "/r", b: "/r", changeA: header("en"), changeB: header("de"), sameEntry: true},
		{name: "header matters", config: m{"vary_headers": []any{"x-lang"}}, a: "/r", b: "/r", changeA: header("en"), changeB: header("de")},
		{name: "other arguments", config: m{"vary_query_params": []any{"a"}}, a: "/r?a=1&x=1", b: "/r?a=1&x=2", sameEntry: true},
	} {
		if c.config == nil {
			c.config = m{}
		}
		c.config["request_method"] = []any{"GET", "PUT"}
		p := instance(t, c.config)
		ask(p, noon, "GET", c.a, "first", c.changeA)
		method := "GET"
		if c.differMethod != "" {
			method = c.differMethod
		}
		if status, _, _ := ask(p, noon, method, c.b, "second", c.changeB); (status == "Hit") != c.sameEntry {
			t.Errorf("%s: %s", c.name, status)
		}
	}
}

func TestWhatIsStored(t *testing.T) {
	cached := m{"cache_control": true}
	for _, c := range []struct {
		name   string
		config m
		method string
		header []string
		want   string // of the second request
	}{
		{"other type", nil, "GET", []string{"Content-Type", "text/html"}, "Bypass"},
		{"parameter", nil, "GET", []string{"Content-Type", "text/plain; charset=utf-8"}, "Bypass"},
		{"same parameter", m{"content_type": []any{"text/plain; charset=UTF-8"}}, "GET", []string{"Content-Type", "text/plain;charset=utf-8"}, "Hit"},
		{"any subtype", m{"content_type": []any{"text/*"}}, "GET", []string{"Content-Type", "text/plain"}, "Hit"},
		{"no type", m{"content_type": []any{"*/*"}}, "GET", []string{"X", "y"}, "Bypass"},
		{"HEAD", nil, "HEAD", nil, "Miss"},
		{"POST", nil, "POST", nil, "Bypass"},
		{"says nothing", cached, "GET", nil, "Bypass"},
		{"max-age", cached, "GET", []string{"Content-Type", "text/plain", "Cache-Control", "public, Max-Age=10"}, "Hit"},
		{"max-age 0", cached, "GET", []string{"Content-Type", "text/plain", "Cache-Control", "max-age=0"}, "Bypass"},
		{"s-maxage", cached, "GET", []string{"Content-Type", "text/plain", "Cache-Control", "s-maxage=10, max-age=0"}, "Hit"},
		{"no-store", cached, "GET", []string{"Content-Type", "text/plain", "Cache-Control", "no-store, max-age=10"}, "Bypass"},
		{"private", cached, "GET", []string{"Content-Type", "text/plain", "Cache-Control", "private, max-age=10"}, "Bypass"},
		{"expires", cached, "GET", []string{"Content-Type", "text/plain", "Expires", noon.Add(time.Minute).Format(time.RFC1123)}, "Bypass"},
		{"expires in GMT", cached, "GET", []string{"Content-Type", "text/plain", "Expires", "Thu, 01 Jan 2026 12:01:00 GMT"}, "Hit"},
		{"expired", cached, "GET", []string{"Content-Type", "text/plain", "Expires", "Thu, 01 Jan 2026 11:59:00 GMT"}, "Bypass"},
	} {
		p := instance(t, c.config)
		ask(p, noon, c.method, "/r", "first", nil, c.header...)
		if status, _, _ := ask(p, noon.Add(time.Second), c.method, "/r", "second", nil, c.header...); status != c.want {
			t.Errorf("%s: %s, want %s", c.name, status, c.want)
		}
	}
}

func TestFreshness(t *testing.T) {
	asking := func(value string) func(*plugintest.Exchange) {
		return func(x *plugintest.Exchange) { x.RequestHeader.Add("Cache-Control", value) }
	}
	for _, c := range []struct {
		name   string
		config m
		after  time.Duration
		asked  string
		want   string
	}{
		{"fresh", nil, 300 * time.Second, "", "Miss"}, // forgotten at the end of cache_ttl
		{"just fresh", nil, 299 * time.Second, "", "Hit"},
		{"kept longer", m{"storage_ttl": 1000}, 301 * time.Second, "", "Refresh"},
		{"no-cache without cache_control", nil, time.Second, "no-cache", "Hit"},
		{"no-cache", m{"cache_control": true}, time.Second, "no-cache", "Bypass"},
		{"max-age", m{"cache_control": true}, 11 * time.Second, "max-age=10", "Refresh"},
		{"within max-age", m{"cache_control": true}, 10 * time.Second, "max-age=10", "Hit"},
		{"min-fresh", m{"cache_control": true}, 50 * time.Second, "min-fresh=60", "Refresh"},
		{"stale", m{"cache_control": true, "storage_ttl": 1000}, 110 * time.Second, "", "Refresh"},
		{"max-stale", m{"cache_control": true, "storage_ttl": 1000}, 110 * time.Second, "max-stale=20", "Hit"},
		{"any stale", m{"cache_control": true, "storage_ttl": 1000}, 900 * time.Second, "max-stale", "Hit"},
		{"too stale", m{"cache_control": true, "storage_ttl": 1000}, 130 * time.Second, "max-stale=20", "Refresh"},
	} {
		p := instance(t, c.config)
		ask(p, noon, "GET", "/r", "first", nil, "Content-Type", "text/plain", "Cache-Control", "max-age=100")
		if status, _, _ := ask(p, noon.Add(c.after), "GET", "/r", "second", asking(c.asked), "Content-Type", "text/plain", "Cache-Control", "max-age=100"); status != c.want {
			t.Errorf("%s: %s, want %s", c.name, status, c.want)
		}
	}
	p := instance(t, m{"cache_control": true})
	if _, body, x := ask(p, noon, "GET", "/new", "x", asking("only-if-cached")); x.Answer.Status != 504 || !strings.HasPrefix(body, "The upstream server is timing out\nrequest_id: ") {
		t.Errorf("%d %q", x.Answer.Status, body)
	}
}

func TestIncompleteAndLargeAnswersAreNotStored(t *testing.T) {
	p := instance(t, nil)
	x := plugintest.New(noon, "GET", "/r")
	p.Access(x)
	x.Answer.Status, x.AnswerHeader = 200, plugintest.NewHeader("Content-Type", "text/plain")
	x.Response()
	p.HeaderFilter(x)
	p.BodyFilter(x, []byte("only a part"), false) // the upstream breaks off
	if status, _, _ := ask(p, noon, "GET", "/r", "whole", nil); status != "Miss" {
		t.Errorf("an incomplete answer was stored: %s", status)
	}
	ask(p, noon, "GET", "/large", strings.Repeat("x", entryBytes+1), nil)
	if status, _, _ := ask(p, noon, "GET", "/large", "small", nil); status != "Miss" {
		t.Errorf("an answer above the limit was stored: %s", status)
	}
}

func TestAnswersOfPluginsAreNotStored(t *testing.T) {
	p := instance(t, nil)
	x := plugintest.New(noon, "GET", "/r")
	p.Access(x)
	x.Exit(plugin.Reply{Status: 200, Header: []plugin.Field{{Name: "Content-Type", Value: "text/plain"}}, Body: []byte("made here")})
	plugintest.Serve(x, plugintest.Answer{}, p)
	if status, _, _ := ask(p, noon, "GET", "/r", "upstream's", nil); status != "Miss" {
		t.Errorf("%s", status)
	}
}

func TestStoreIsBounded(t *testing.T) {
	s := newStore(16 * 10_000)
	for i := range 1000 {
		var k key
		copy(k[:], fmt.Sprintf("%c%d", rune(i%16), i))
		s.put(k, &entry{body: make([]byte, 1000), expires: noon})
	}
	for i := range s.shards {
		if d := &s.shards[i]; d.used > d.capacity || len(d.entries) != d.order.Len() || len(d.entries) == 0 {
			t.Errorf("shard %d: %d of %d bytes, %d entries", i, d.used, d.capacity, len(d.entries))
		}
	}
}
