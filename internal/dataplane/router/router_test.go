// SPDX-License-Identifier: Apache-2.0

package router

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

func TestSplitHost(t *testing.T) {
	for header, want := range map[string]struct {
		host string
		port int
	}{
		"":              {"", 0},
		"a.test":        {"a.test", 0},
		"A.Test:8080":   {"a.test", 8080},
		"a.test:":       {"a.test", 0},
		"a.test:x":      {"a.test:x", 0},
		"a.test:0":      {"a.test:0", 0},
		"a.test:65536":  {"a.test:65536", 0},
		"a.test:123456": {"a.test:123456", 0},
		"::1":           {"::1", 0},
		"[::1]":         {"::1", 0},
		"[::1]:81":      {"::1", 81},
		"[::1]:":        {"::1", 0},
		"[::1]x":        {"[::1]x", 0},
		"[::1":          {"[::1", 0},
	} {
		if host, port := SplitHost(header); host != want.host || port != want.port {
			t.Errorf("%q: %q %d, want %q %d", header, host, port, want.host, want.port)
		}
	}
}

func TestHostPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, host string
		port          int
		tls, want     bool
	}{
		{"A.Test", "a.test", 0, false, true},
		{"a.test", "a.test", 81, false, true},
		{"a.test:80", "a.test", 0, false, false}, // the default port does not count
		{"a.test:80", "a.test", 80, false, true},
		{"[::1]:80", "::1", 80, false, true},
		{"*.test", "a.test", 0, false, true},
		{"*.test", "b.a.test", 81, false, true},
		{"*.test", "test", 0, false, false},
		{"*.test", ".test", 0, false, false},
		{"*.test:80", "a.test", 0, false, true}, // here it does
		{"*.test:443", "a.test", 0, true, true},
		{"*.test:80", "a.test", 0, true, false},
		{"a.*", "a.test", 0, false, true},
		{"a.*", "a.b.test", 0, false, true},
		{"a.*", "a.", 0, false, false},
		{"a.*", "a", 0, false, false},
		{"a.b.*", "a.b.test", 0, false, true},
		{"a.*:81", "a.test", 81, false, true},
		{"a.*:81", "a.test", 82, false, false},
		{"a.*", "xa.test", 0, false, true}, // Kong does not anchor it
		{"a.test", "", 0, false, false},
	} {
		r, problems := New([]Item{{Route: &entity.Route{ID: "r", Hosts: []string{c.pattern}}}})
		if problems != nil {
			t.Fatal(problems)
		}
		if _, got := r.Match(&Input{Host: c.host, Port: c.port, TLS: c.tls, Path: "/"}); got != c.want {
			t.Errorf("%s for %s port %d tls %v: %v", c.pattern, c.host, c.port, c.tls, got)
		}
	}
}

func TestRegexAnalysis(t *testing.T) {
	for pattern, want := range map[string]struct {
		literal       string
		exact, linear bool
	}{
		`/foo$`:              {"/foo", true, true},
		`/foo\z`:             {"/foo", true, true},
		`/foo\.txt$`:         {"/foo.txt", true, true},
		`/(?:foo)$`:          {"/foo", true, true},
		`/(foo)$`:            {"/foo", false, true},
		`/foo`:               {"/foo", false, true},
		`/foo+`:              {"/foo", false, true},
		`/foo*`:              {"/fo", false, true},
		`/foo|/bar`:          {"/", false, true},
		`/(?i)foo$`:          {"/", false, true},
		`/a(?:b|c)d`:         {"/a", false, true},
		`(?m)/foo$`:          {"/foo", false, true},
		`/foo(?!bar)`:        {"/foo", false, false},
		`/fo?(?!bar)`:        {"/f", false, false},
		`/a|/b(?!c)`:         {"", false, false},
		`/(?i)a(?!c)`:        {"", false, false},
		`/(\w+)/\1$`:         {"/", false, false},
		`/[0-9]{2000}`:       {"/", false, false},
		`/(?<year>\d{4})/?$`: {"/", false, true},
	} {
		re, err := compilePath(pattern)
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
			continue
		}
		if re.literal != want.literal || re.exact != want.exact || (re.back == nil) != want.linear {
			t.Errorf("%s: literal %q exact %v linear %v", pattern, re.literal, re.exact, re.back == nil)
		}
	}
}

func TestBacktrackingPaths(t *testing.T) {
	strip := true
	r, problems := New([]Item{
		{Route: &entity.Route{ID: "look", Paths: []string{`~/a(?!b)(?<rest>c+)`}, StripPath: &strip}},
		{Route: &entity.Route{ID: "slow", Paths: []string{`~/slow/(?:(?:x+)+)+(?<!y)z`}}},
	})
	if problems != nil {
		t.Fatal(problems)
	}
	res, ok := r.Match(&Input{Path: "/accd"})
	if !ok || res.Prefix() != "/acc" || string(res.BuildPath(nil)) != "/d" {
		t.Errorf("look-ahead: %v %q", ok, res.Prefix())
	}
	groups, names := res.Captures()
	if !slices.Equal(groups, []string{"/accd", "cc"}) || !slices.Equal(names, []string{"", "rest"}) {
		t.Errorf("captures %q %q", groups, names)
	}
	if _, ok := r.Match(&Input{Path: "/ab"}); ok {
		t.Error("the look-ahead let /ab through")
	}
	begin := time.Now()
	if _, ok := r.Match(&Input{Path: "/slow/" + strings.Repeat("x", 4000)}); ok {
		t.Error("/slow matched")
	}
	// Without a limit this takes longer than the universe has.
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("a catastrophic pattern ran for %s", d)
	}
}

func TestCaptures(t *testing.T) {
	r, _ := New([]Item{{Route: &entity.Route{ID: "r", Paths: []string{`~/u/(?<id>\d+)/(\w+)`, "/plain"}}}})
	res, _ := r.Match(&Input{Path: "/u/12/abc/x"})
	groups, names := res.Captures()
	if !slices.Equal(groups, []string{"/u/12/abc/x", "12", "abc"}) || !slices.Equal(names, []string{"", "id", ""}) {
		t.Errorf("%q %q", groups, names)
	}
	res, _ = r.Match(&Input{Path: "/plain"})
	if groups, names := res.Captures(); groups != nil || names != nil {
		t.Errorf("a prefix path has captures %q", groups)
	}
}

func TestHeaderPattern(t *testing.T) {
	r, _ := New([]Item{{Route: &entity.Route{ID: "r", Headers: map[string][]string{"X-V": {"~*v[12]$"}}}}})
	for value, want := range map[string]bool{"v1": true, "xx V2": true, "v3": false, "v1x": false} {
		if _, ok := r.Match(&Input{Path: "/", Headers: headerLines{{"x-v", "other"}, {"x-v", value}}}); ok != want {
			t.Errorf("%s: %v", value, ok)
		}
	}
}

func TestRouteDefaults(t *testing.T) {
	yes, no, code := true, false, 301
	r, _ := New([]Item{
		{Route: &entity.Route{ID: "plain", Paths: []string{"/p"}}, Data: 7},
		{Route: &entity.Route{
			ID: "set", Paths: []string{"/s"}, StripPath: &no, PreserveHost: &yes, RequestBuffering: &no, ResponseBuffering: &no,
			PathHandling: "v1", HTTPSRedirectStatusCode: &code, Protocols: []entity.Protocol{"grpcs"},
		}},
	})
	res, _ := r.Match(&Input{Path: "/p"})
	if x := res.Route; !x.StripPath || x.PreserveHost || !x.RequestBuffering || !x.ResponseBuffering || x.PathHandlingV1 ||
		x.HTTPSRedirectStatus != 426 || x.HTTPSRequired() || x.GRPC() || x.Data != 7 {
		t.Errorf("defaults: %+v", x)
	}
	res, _ = r.Match(&Input{Path: "/s"})
	if x := res.Route; x.StripPath || !x.PreserveHost || x.RequestBuffering || x.ResponseBuffering || !x.PathHandlingV1 ||
		x.HTTPSRedirectStatus != 301 || !x.HTTPSRequired() || !x.GRPC() {
		t.Errorf("set: %+v", x)
	}
}

func TestProblems(t *testing.T) {
	for field, route := range map[string]*entity.Route{
		"paths":       {ID: "x", Name: "bad", Paths: []string{"/ok", "~/a("}},
		"headers.X-H": {ID: "x", Name: "bad", Headers: map[string][]string{"X-H": {"~*("}}},
	} {
		r, problems := New([]Item{
			{Route: route},
			{Route: &entity.Route{ID: "good", Paths: []string{"/good"}}},
		})
		if len(problems) != 1 || problems[0].Field != field || problems[0].RouteID != "x" || problems[0].Err == nil ||
			!strings.Contains(problems[0].String(), `route "bad": `+field) {
			t.Errorf("%s: %v", field, problems)
		}
		if _, ok := r.Match(&Input{Path: "/good"}); !ok || r.Len() != 1 {
			t.Errorf("%s: the good route is gone", field)
		}
	}
	_, problems := New([]Item{{Route: &entity.Route{ID: "x", Paths: []string{"~/a)(b"}}}})
	if len(problems) != 1 {
		t.Errorf("unbalanced parentheses: %v", problems)
	}
	_, problems = New([]Item{{Route: &entity.Route{ID: "none"}}})
	if len(problems) != 1 || !strings.Contains(problems[0].String(), "no matcher") {
		t.Errorf("a route without matchers: %v", problems)
	}
	_, problems = New([]Item{{Route: &entity.Route{ID: "a", Paths: []string{"/"}}}, {Route: &entity.Route{ID: "a", Paths: []string{"/"}}}})
	if len(problems) != 1 || problems[0].Field != "id" {
		t.Errorf("a repeated id: %v", problems)
	}
}

func TestWithKeepsTheOldRouter(t *testing.T) {
	before, _ := New([]Item{{Route: &entity.Route{ID: "a", Paths: []string{"/a"}}}})
	after, problems := before.With([]Item{
		{Route: &entity.Route{ID: "b", Paths: []string{"/b"}}},
		{Route: &entity.Route{ID: "a", Paths: []string{"~/("}}}, // its old version stays
	}, nil)
	if len(problems) != 1 || problems[0].RouteID != "a" {
		t.Fatal(problems)
	}
	empty, _ := after.With(nil, []entity.ID{"a", "b", "unknown"})
	for _, c := range []struct {
		r    *Router
		path string
		want bool
	}{
		{before, "/a", true}, {before, "/b", false},
		{after, "/a", true}, {after, "/b", true},
		{empty, "/a", false}, {empty, "/b", false},
	} {
		if _, ok := c.r.Match(&Input{Path: c.path}); ok != c.want {
			t.Errorf("%d routes, %s: %v", c.r.Len(), c.path, ok)
		}
	}
	off := false
	gone, _ := after.With([]Item{{Route: &entity.Route{ID: "a", Paths: []string{"/a"}}, Service: &entity.Service{Enabled: &off}}}, nil)
	if _, ok := gone.Match(&Input{Path: "/a"}); ok {
		t.Error("the route of a disabled service matches")
	}
}

// TestServerNames: names with a wildcard count as others do.
func TestServerNames(t *testing.T) {
	https := []entity.Protocol{"https"}
	r, problems := New([]Item{
		{Route: &entity.Route{ID: "exact", Protocols: https, SNIs: []string{"a.b.test."}, Paths: []string{"/"}}},
		{Route: &entity.Route{ID: "wild", Protocols: https, SNIs: []string{"*.b.test", "c.*"}, Paths: []string{"/"}}},
		{Route: &entity.Route{ID: "path", Paths: []string{"/"}}},
	})
	if problems != nil {
		t.Fatal(problems)
	}
	for sni, want := range map[string]entity.ID{"a.b.test": "exact", "x.y.b.test": "wild", "b.test": "path", "c.test": "wild", "": "path"} {
		if m, ok := r.Match(&Input{Path: "/", TLS: true, SNI: sni}); !ok || m.Route.Entity.ID != want {
			t.Errorf("%q: %v", sni, m.Route)
		}
	}
}
