// SPDX-License-Identifier: Apache-2.0

package cors

import (
	"maps"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
	"github.com/kong/kong-istio-gateway/internal/plugins/cors/schema"
)

type m = map[string]any

func from(list ...any) m { return m{"origins": list} }

func TestOrigins(t *testing.T) {
	for _, c := range []struct {
		name    string
		config  m
		origin  string
		allowed string
		vary    bool
	}{
		{"none", m{}, "http://a.example", "*", false},
		{"wildcard", from("*"), "", "*", false},
		{"one literal, other origin", from("http://a.example/p"), "http://b.example", "http://a.example/p", true},
		{"literal in a list", from("http://a.example", "c.example"), "http://a.example:80/", "http://a.example", true},
		{"port", from("http://a.example", "https://b.example:8443"), "https://b.example:8443", "https://b.example:8443", true},
		{"other port", from("http://a.example", "https://b.example:8443"), "https://b.example", "", true},
		{"other scheme", from("http://a.example", "http://b.example"), "https://a.example", "", true},
		{"without scheme", from("http://a.example", "c.example"), "http://c.example", "", true},
		{"null", from("http://a.example", "c.example"), "null", "", true},
		{"no origin", from("http://a.example", "c.example"), "", "", true},
		{"wildcard in a list", from("http://a.example", "*"), "http://a.example", "*", true},
		{"host expression", from(`.*\.example`), "https://a.example:444", "https://a.example:444", true},
		{"host expression is anchored", from(`.*\.example`), "http://a.example.org", "", true},
		{"URL expression", from(`https?://.*\.wild\.example`), "https://q.wild.example", "https://q.wild.example", true},
		{"URL expression, port", from(`https?://.*\.wild\.example`), "https://q.wild.example:1", "", true},
	} {
		p := plugintest.Configure(t, Registration, schema.Plugin, &plugintest.Host{}, &entity.Plugin{Config: c.config})
		var header []string
		if c.origin != "" {
			header = []string{"Origin", c.origin}
		}
		x := plugintest.New(time.Now(), "GET", "/", header...)
		plugintest.Serve(x, plugintest.Answer{Status: 200, Header: []string{"Access-Control-Allow-Origin", "http://up.example"}}, p)
		h := x.AnswerHeader
		if h.Get("Access-Control-Allow-Origin") != c.allowed || h.Has("Vary") != c.vary {
			t.Errorf("%s: %v", c.name, h.Map())
		}
	}
}

func TestPreflight(t *testing.T) {
	p := plugintest.Configure(t, Registration, schema.Plugin, &plugintest.Host{}, &entity.Plugin{Config: m{
		"origins": []any{"*"}, "credentials": true, "max_age": 3600, "methods": []any{"GET", "PUT"}, "private_network": true, "exposed_headers": []any{"X"}}})
	x := plugintest.New(time.Now(), "OPTIONS", "/", "Origin", "http://a.example", "Access-Control-Request-Method", "PUT",
		"Access-Control-Request-Headers", "X-Q", "Access-Control-Request-Private-Network", "true")
	if body := plugintest.Serve(x, plugintest.Answer{Status: 500}, p); x.Answer.Status != 200 || body != "" {
		t.Errorf("%d %q", x.Answer.Status, body)
	}
	want := map[string]string{
		"access-control-allow-origin": "http://a.example", "access-control-allow-credentials": "true", "vary": "Origin",
		"access-control-allow-headers": "X-Q", "access-control-allow-methods": "GET,PUT", "access-control-max-age": "3600",
		"access-control-allow-private-network": "true",
	}
	if got := x.AnswerHeader.Map(); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestWhatIsNoPreflight(t *testing.T) {
	for name, c := range map[string]struct {
		config m
		method string
		header []string
	}{
		"GET":                {m{}, "GET", []string{"Origin", "o", "Access-Control-Request-Method", "GET"}},
		"no origin":          {m{}, "OPTIONS", []string{"Access-Control-Request-Method", "GET"}},
		"no method":          {m{}, "OPTIONS", []string{"Origin", "o"}},
		"preflight_continue": {m{"preflight_continue": true}, "OPTIONS", []string{"Origin", "o", "Access-Control-Request-Method", "GET"}},
	} {
		p := plugintest.Configure(t, Registration, schema.Plugin, &plugintest.Host{}, &entity.Plugin{Config: c.config})
		x := plugintest.New(time.Now(), c.method, "/", c.header...)
		plugintest.Serve(x, plugintest.Answer{Status: 204}, p)
		if x.Answer.Status != 204 || x.AnswerHeader.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %d %v", name, x.Answer.Status, x.AnswerHeader.Map())
		}
	}
}

func TestUpstreamsOwnHeaders(t *testing.T) {
	p := plugintest.Configure(t, Registration, schema.Plugin, &plugintest.Host{}, &entity.Plugin{Config: m{"allow_origin_absent": false, "credentials": true}})
	upstream := plugintest.Answer{Status: 200, Header: []string{"Access-Control-Allow-Origin", "up", "Vary", "Accept, origin"}}
	x := plugintest.New(time.Now(), "GET", "/")
	plugintest.Serve(x, upstream, p)
	if got := x.AnswerHeader.Map(); got["access-control-allow-origin"] != "up" {
		t.Errorf("without an origin: %v", got)
	}
	x = plugintest.New(time.Now(), "GET", "/", "Origin", "http://a.example")
	plugintest.Serve(x, upstream, p)
	if got := x.AnswerHeader.Map(); got["access-control-allow-origin"] != "http://a.example" || got["vary"] != "Accept, origin" {
		t.Errorf("with an origin: %v", got)
	}
}
