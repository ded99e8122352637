// SPDX-License-Identifier: Apache-2.0

package router

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// TestPCRE holds what Kong's users may write to what PCRE makes of it.
func TestPCRE(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		match         string // "" for none
		groups        []string
	}{
		{`/a++b`, "/aaab", "/aaab", nil},
		{`/a++ab`, "/aaab", "", nil}, // the possessive one gives nothing back
		{`/[^/]++/x$`, "/abc/x", "/abc/x", nil},
		{`/(?:ab)*+c`, "/ababc", "/ababc", nil},
		{`/a{2,3}+a`, "/aaa", "", nil},
		{`/x?+x`, "/x", "", nil},
		{`/(?>a+)ab`, "/aaab", "", nil},
		{`/(?!admin)\w+`, "/user", "/user", nil},
		{`/(?!admin)\w+`, "/admin", "", nil},
		{`/(?<=/)x`, "/x", "/x", nil},
		{`/(\d)\1`, "/77", "/77", []string{"7"}},
		{`/(\d)\1`, "/78", "", nil},
		{`/(?<first>a)(b)(?=c)`, "/abc", "/ab", []string{"a", "b"}}, // numbered from left to right
		{`/(a)(?P<second>b)(?P=second)`, "/abb", "/abb", []string{"a", "b"}},
		{`/(?'n'a)\k{n}\k'n'\k<n>`, "/aaaa", "/aaaa", []string{"a"}},
		{`/(a)(b)\g{-1}\g1\g{2}`, "/abbab", "/abbab", []string{"a", "b"}},
		{`/(a)?(?(1)b|c)`, "/ab", "/ab", []string{"a"}},
		{`/(a)?(?(1)b|c)`, "/c", "/c", []string{""}},
		{`/a\hb(?=c)`, "/a bc", "/a b", nil},
		{`/\H+(?= )`, "/ab c", "/ab", nil},
		{`/\Qa+b\E(?=c)`, "/a+bc", "/a+b", nil},
		{`/[]a]++x`, "/]a]x", "/]a]x", nil},
		{`/[[:digit:]]++x`, "/12x", "/12x", nil},
		{`/(?i:AB)++c`, "/abABc", "/abABc", nil},
		{`/a(?#comment)b(?=c)`, "/abc", "/ab", nil},
		{`/é++x`, "/ééx", "/ééx", nil},
		{`/a|/b(?=c)`, "/bc", "/b", nil},
		{`/a{1001}`, "/a", "", nil}, // more than RE2 repeats
	} {
		re, err := compilePath(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		if re.back == nil && !strings.Contains(c.pattern, `\H`) {
			t.Errorf("%s runs on RE2", c.pattern)
		}
		n := re.matchLen(c.path)
		if c.match == "" {
			if n >= 0 || re.match(c.path) {
				t.Errorf("%s takes %d bytes of %s", c.pattern, n, c.path)
			}
			continue
		}
		if n != len(c.match) || !re.match(c.path) {
			t.Errorf("%s takes %d bytes of %s, want %q", c.pattern, n, c.path, c.match)
			continue
		}
		if groups, _ := re.captures(c.path); !slices.Equal(groups, c.groups) {
			t.Errorf("%s on %s captures %q, want %q", c.pattern, c.path, groups, c.groups)
		}
	}
	re, err := compilePath(`/(?<first>a)(b)(?<third>c)(?=d)`)
	if err != nil {
		t.Fatal(err)
	}
	if _, names := re.captures("/abcd"); !slices.Equal(names, []string{"first", "", "third"}) {
		t.Errorf("names %q", names)
	}
}

// A match that takes too long is none, and is told once.
func TestBacktrackingIsLimited(t *testing.T) {
	var told atomic.Int32
	slow := Item{
		Route:   &entity.Route{ID: "slow", Paths: []string{`~/(?=a)(a+)+\1$`}},
		Limited: func(r *entity.Route) { told.Add(1) },
	}
	r, problems := New([]Item{slow, {Route: &entity.Route{ID: "wide", Paths: []string{"/"}}}})
	if problems != nil {
		t.Fatal(problems)
	}
	for range 2 {
		res, ok := r.Match(&Input{Path: "/" + strings.Repeat("a", 64) + "!"})
		if !ok || res.Route.Entity.ID != "wide" {
			t.Fatalf("got %v", res.Route)
		}
	}
	if told.Load() != 1 {
		t.Errorf("told %d times", told.Load())
	}
	if res, ok := r.Match(&Input{Path: "/aa"}); !ok || res.Route.Entity.ID != "slow" {
		t.Error("the pattern does not match what it should")
	}
}
