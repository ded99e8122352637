// SPDX-License-Identifier: Apache-2.0

package router

import (
	"regexp"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// FuzzSplitHost: a host never keeps a port that was split off.
func FuzzSplitHost(f *testing.F) {
	for _, s := range []string{"a.test:80", "[::1]:81", "A:", "[", "::", ":1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		host, port := SplitHost(s)
		if port < 0 || port > 65535 || len(host) > len(s) {
			t.Errorf("%q: %q %d", s, host, port)
		}
		if host != lowerASCII(host) {
			t.Errorf("%q: %q is not in lower case", s, host)
		}
		if port != 0 && !strings.Contains(s, ":") {
			t.Errorf("%q: port %d from nowhere", s, port)
		}
	})
}

// FuzzAnchoredLiteral: what a pattern matches begins with its literal.
func FuzzAnchoredLiteral(f *testing.F) {
	for _, p := range []string{`^/foo`, `^/a|/b`, `(?m)^/a`, `^(?i)/A`, `^^/a?b`, `^(/a)+$`, `\A/a{2,}`, `^/a*`, `(^/a)`, `^/é+`, `^(?:/a|/b)c`} {
		f.Add(p, "/foo")
		f.Add(p, "x\n/aab")
	}
	f.Fuzz(func(t *testing.T, pattern, path string) {
		re, err := regexp.Compile(pattern)
		if err != nil || len(pattern) > 200 {
			return
		}
		if literal := anchoredLiteral(pattern); re.MatchString(path) && !strings.HasPrefix(path, literal) {
			t.Fatalf("%q matches %q, which does not begin with %q", pattern, path, literal)
		}
	})
}

// FuzzPathRegex: the index by literal text decides as the regex alone does.
func FuzzPathRegex(f *testing.F) {
	for _, p := range []string{`/foo$`, `/a(?:b|c)+`, `/(?i)x$`, `/a|/b$`, `/a{0,2}b`, `/é?$`, `/(a)?$`, `/\bx`, `/^a`, `(?m)/a$`, `/a\z`} {
		f.Add(p, "/foo")
		f.Add(p, "/abcx")
	}
	f.Fuzz(func(t *testing.T, pattern, path string) {
		if _, err := regexp.Compile(pattern); err != nil || path == "" || len(pattern) > 200 {
			// The group below could make a pattern of what is none.
			return
		}
		plain, err := regexp.Compile(`^(?:` + pattern + `)`)
		if err != nil {
			return
		}
		r, problems := New([]Item{{Route: &entity.Route{ID: "r", Paths: []string{"~" + pattern}}}})
		if problems != nil {
			t.Fatalf("%q: %v", pattern, problems)
		}
		res, got := r.Match(&Input{Path: path})
		loc := plain.FindStringIndex(path)
		if got != (loc != nil) {
			t.Fatalf("%q on %q: %v", pattern, path, got)
		}
		if got && res.Prefix() != path[:loc[1]] {
			t.Errorf("%q on %q: prefix %q", pattern, path, res.Prefix())
		}
	})
}
