// SPDX-License-Identifier: Apache-2.0

package router

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

func expressionItem(id entity.ID, text string, priority int64) Item {
	return Item{Route: &entity.Route{ID: id, Name: string(id), Expression: text, Priority: &priority}}
}

func withExpressions(t testing.TB, items ...Item) *Router {
	t.Helper()
	r, problems := Empty(Expressions).With(items, nil)
	for _, p := range problems {
		t.Fatal(p)
	}
	return r
}

// TestExpressionFields: the examples of Kong's documentation, and its rules.
func TestExpressionFields(t *testing.T) {
	in := &Input{
		Host: "api.example.com", Port: 8000, Method: "GET", Path: "/Foo/Bar/7", TLS: true, SNI: "api.example.com",
		Headers: headerMap{"x-foo": {"bar1", "bar2", "baz"}, "one": {"Bar1"}, "odd_name": {"u"}, "odd-name": {"d"}},
		Query:   "a=1&a=2&empty&plus=a+b&%65sc=%2f&bad=%zz",
		Source:  netip.MustParseAddrPort("192.168.1.7:5555"), Destination: netip.MustParseAddrPort("[::ffff:10.0.0.1]:8443"),
	}
	for text, want := range map[string]bool{
		`http.path ^= "/Foo"`:               true,
		`http.path ^= "/foo"`:               false,
		`lower(http.path) == "/foo/bar/7"`:  true,
		`lower(http.path) == "/Foo/Bar/7"`:  false, // the constant stays as it is
		`http.path ~ r#"/Bar/\d+"#`:         true,  // not anchored
		`http.path ~ r#"^/Bar/\d+"#`:        false,
		`http.path =^ "/7"`:                 true,
		`http.path contains "o/B"`:          true,
		`http.path.segments.0 == "Foo"`:     true,
		`http.path.segments.1_2 == "Bar/7"`: true,
		`http.path.segments.2_3 == "7"`:     false,
		`http.path.segments.3 != "x"`:       false, // without a value nothing is true
		`!(http.path.segments.3 == "x")`:    true,
		`http.path.segments.len == 3`:       true,
		// All of several values, or any of them.
		`http.headers.x_foo ~ r#"bar\d"#`:      false,
		`any(http.headers.x_foo) ~ r#"bar\d"#`: true,
		`http.headers.x_foo ^= "ba"`:           true,
		`any(http.headers.x_foo) != "baz"`:     true,
		`http.headers.x_foo != "baz"`:          false,
		`any(http.headers.x_foo) == "none"`:    false,
		`any(http.headers.absent) != "none"`:   false,
		`http.headers.absent != "none"`:        false,
		`http.headers.X_FOO ^= "ba"`:           true,
		`lower(http.headers.one) == "bar1"`:    true,
		`http.headers.odd_name == "u"`:         true,
		`http.headers.Odd_Name == "d"`:         true,
		// Query arguments are unescaped.
		`any(http.queries.a) == "2"`: true,
		`http.queries.a == "2"`:      false,
		`http.queries.empty == ""`:   true,
		`http.queries.A == "1"`:      false,
		`http.queries.plus == "a b"`: true,
		`http.queries.esc == "/"`:    true,
		`http.queries.bad == "%zz"`:  true,
		`http.queries.none == ""`:    false,
		// Addresses and ports.
		`net.src.ip in 192.168.1.0/24 && net.src.port == 5555`: true,
		`net.src.ip not in 192.168.1.0/24`:                     false,
		`net.src.ip in fd00::/8`:                               false,
		`net.src.ip == 192.168.1.7`:                            true,
		`net.src.ip != 192.168.1.7`:                            false,
		`net.dst.ip == 10.0.0.1`:                               true,
		`net.dst.port == 8443`:                                 true,
		`net.dst.port == 8000`:                                 false, // the listener's, not that of the Host header
		`net.port > 8442 && net.port <= 0x20FB`:                true,
		// Names are compared without case.
		`http.host == "API.example.com"`:    true,
		`http.host =^ ".Example.com"`:       true,
		`http.host ~ r#"^[A-Z]+\.example"#`: true,
		`tls.sni == "API.Example.com"`:      true,
		`net.protocol == "https"`:           true,
		`http.method != "POST"`:             true,
		// || binds closer than &&.
		`http.method == "POST" && http.path ^= "/" || http.path ^= "/Foo"`: false,
	} {
		r := withExpressions(t, expressionItem("r", text, 0))
		if _, got := r.Match(in); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	for text, want := range map[string]bool{
		`tls.sni != "x"`: false, `net.src.port >= 0`: false, `http.headers.a != "x"`: false,
		`http.path.segments.len == 0`: true, `http.path.segments.0 == ""`: false, `http.host != "x"`: false, `net.protocol == "http"`: true,
	} {
		r := withExpressions(t, expressionItem("r", text, 0))
		if _, got := r.Match(&Input{Method: "GET", Path: "/"}); got != want {
			t.Errorf("of nothing but a path: %s: %v", text, got)
		}
	}
}

func TestExpressionOrder(t *testing.T) {
	text := `http.path ^= "/"`
	first := func(r *Router, in *Input) string {
		m, ok := r.Match(in)
		if !ok {
			return "none"
		}
		return string(m.Route.Entity.ID)
	}
	in := &Input{Host: "a.test", Path: "/long/path", Method: "GET"}
	plain := Item{Route: &entity.Route{ID: "plain", Hosts: []string{"a.test"}, Paths: []string{"/long/path"}}}
	r := withExpressions(t, expressionItem("a", text, 1), expressionItem("b", text, 1), expressionItem("c", `http.path ^= "/long/path"`, 0), plain)
	for _, want := range []string{"b", "a", "c", "plain", "none"} {
		if got := first(r, in); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		r, _ = r.With(nil, []entity.ID{entity.ID(want)})
	}
	if r.Len() != 0 || r.expressions.any != nil || r.expressions.hosts.Len() != 0 {
		t.Error("something is left of routes that are gone")
	}
}

// TestExpressionProtocols: kong/router/expressions.lua adds the protocols to a
// route's expression, unless https is the only one.
func TestExpressionProtocols(t *testing.T) {
	for _, c := range []struct {
		protocols  []entity.Protocol
		plain, tls bool
	}{
		{nil, true, true},
		{[]entity.Protocol{"http"}, true, false},
		{[]entity.Protocol{"https"}, true, true},
		{[]entity.Protocol{"grpc"}, true, false},
		{[]entity.Protocol{"grpcs"}, false, true},
		{[]entity.Protocol{"grpc", "grpcs"}, true, true},
	} {
		for _, e := range []*entity.Route{
			{ID: "r", Protocols: c.protocols, Expression: `http.path ^= "/"`},
			{ID: "r", Protocols: c.protocols, Paths: []string{"/"}},
		} {
			r := withExpressions(t, Item{Route: e})
			_, plain := r.Match(&Input{Path: "/"})
			_, tls := r.Match(&Input{Path: "/", TLS: true})
			if plain != c.plain || tls != c.tls {
				t.Errorf("%v, expression %q: plain %v, TLS %v", c.protocols, e.Expression, plain, tls)
			}
		}
	}
}

func TestExpressionResult(t *testing.T) {
	yes := true
	for _, c := range []struct {
		text, path, upstream, prefix, captures string
	}{
		{`http.path ^= "/a"`, "/a/b", "/base/b", "/a", ""},
		{`http.path == "/a/b"`, "/a/b", "/base", "/a/b", ""},
		{`lower(http.path) ^= "/a"`, "/A/b", "/base/b", "/A", ""},
		{`http.path ~ r#"^/a/(?P<id>\d+)(x)?"#`, "/a/7/c", "/base/c", "/a/7", "/a/7 id=7 ="},
		{`http.host == "h" && http.method == "GET"`, "/a/b", "/base/a/b", "", ""},
		{`http.path.segments.0 == "a"`, "/a/b", "/base/a/b", "", ""},
		// What did not match at the beginning is not stripped.
		{`http.path ~ "/b"`, "/a/b", "/base/a/b", "", ""},
		{`http.path =^ "/b"`, "/a/b", "/base/a/b", "", ""},
		// The last predicate of the path counts.
		{`http.path ^= "/a" && http.path ^= "/a/b"`, "/a/b/c", "/base/c", "/a/b", ""},
		{`http.path ~ "^/(a)" && http.path ^= "/a/b"`, "/a/b/c", "/base/c", "/a/b", "/a =a"},
		{`(http.path ^= "/a" && http.method == "POST") || http.path ^= "/"`, "/a/b", "/base/a/b", "/", ""},
	} {
		item := expressionItem("r", c.text, 0)
		item.Route.StripPath, item.Route.PathHandling = &yes, "v1"
		item.Service = &entity.Service{Path: "/base"}
		m, ok := withExpressions(t, item).Match(&Input{Host: "h", Path: c.path, Method: "GET"})
		if !ok {
			t.Errorf("%s does not match %s", c.text, c.path)
			continue
		}
		groups, names := m.Captures()
		var captures []string
		for i, g := range groups {
			if i > 0 {
				g = names[i] + "=" + g
			}
			captures = append(captures, g)
		}
		if got := string(m.BuildPath(nil)); got != c.upstream || m.Prefix() != c.prefix || strings.Join(captures, " ") != c.captures {
			t.Errorf("%s on %s: upstream %s, prefix %q, captures %q", c.text, c.path, got, m.Prefix(), captures)
		}
	}
}

func TestExpressionProblems(t *testing.T) {
	for _, c := range []struct {
		flavor Flavor
		text   string
		want   string
	}{
		{Expressions, `http.path == 1`, `route "r": expression: 1:14: the field is text and cannot be compared with a number; write the constant in double quotes`},
		{Traditional, `http.path == "/"`, `route "r": expression: the router flavor is traditional; set KONG_ROUTER_FLAVOR to expressions`},
	} {
		r, problems := Empty(c.flavor).With([]Item{expressionItem("r", c.text, 0)}, nil)
		if len(problems) != 1 || !strings.Contains(problems[0].String(), c.want) || r.Len() != 0 {
			t.Errorf("%s: %v", c.text, problems)
		}
	}
}

// TestCover: what the index is made of.
func TestCover(t *testing.T) {
	for text, want := range map[string]string{
		`http.host == "A.test" && http.path ^= "/x"`:                            "a.test/x",
		`http.host == "a.test" && (http.path == "/x" || http.path ~ "^/y/(b)")`: "a.test/x a.test/y/b",
		`http.host =^ "x.a.test" && http.path.segments.0 == "x"`:                ".a.test/x",
		`http.host == "a.test" && http.host =^ ".test"`:                         "a.test",
		`http.host == "a.test" && http.host == "b.test"`:                        "",
		`http.path ^= "/x" && http.path ^= "/x/y"`:                              "*/x/y",
		`http.path ^= "/x" || http.method == "GET"`:                             "*",
		`!(http.path ^= "/x") && lower(http.path) ^= "/x"`:                      "*",
		`http.path != "/x" && http.host contains "a"`:                           "*",
		`http.path ~ "(?i)^/x" || http.path ~ "^/x|^/y" || http.path ~ "/x"`:    "*",
	} {
		r := withExpressions(t, expressionItem("r", text, 0))
		c := r.routes.At("r").expression
		var got []string
		for _, k := range c.cover {
			host := k.host.text
			if k.host.shape == hostAny {
				host = "*"
			}
			got = append(got, host+k.path)
		}
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
