// SPDX-License-Identifier: Apache-2.0

package router

import (
	"strings"

	"github.com/kong/kong-istio-gateway/internal/entity/expression"
)

// Result is a matched route. It holds a view of Input.Path and is valid as long
// as that is.
type Result struct {
	Route *Route

	path      string
	match     *candidate // nil for a route with an expression
	hit       pathHit    // of an expression
	prefixLen int        // -1: a regex whose match was not measured yet
}

func newResult(c *candidate, path string) Result {
	r := Result{Route: c.route, path: path, match: c}
	switch {
	case c.re == nil:
		r.prefixLen = len(c.path)
	case c.re.exact:
		r.prefixLen = len(path)
	default:
		r.prefixLen = -1
	}
	return r
}

// newExpressionResult is the result of a route with an expression. What a
// predicate matched is a prefix only where the path begins with it: Kong strips
// as many bytes from the path's beginning, whatever these are.
func newExpressionResult(found *expressionRoute, path string, hit pathHit) Result {
	r := Result{Route: found.route, path: path, hit: hit}
	switch p := hit.last; {
	case p == nil:
	case p.op == expression.Match:
		r.prefixLen = -1
	case p.op == expression.Equal:
		r.prefixLen = len(path)
	case p.op == expression.HasPrefix || p.text == p.subject(path):
		r.prefixLen = min(len(p.text), len(path))
	}
	return r
}

// byPath reports whether the path is among what the route was found by.
func (r *Result) byPath() bool {
	if r.match == nil {
		return r.hit.last != nil
	}
	return r.match.kinds&kindPath != 0
}

// Prefix returns the text that the route's path matched, empty for a route
// without paths. For a regex it is worked out at the first call.
func (r *Result) Prefix() string {
	switch {
	case r.prefixLen >= 0:
	case r.match != nil:
		r.prefixLen = max(0, r.match.re.matchLen(r.path))
	default:
		r.prefixLen = 0
		if loc := r.hit.last.re.FindStringIndex(r.hit.last.subject(r.path)); loc != nil && loc[0] == 0 {
			r.prefixLen = min(loc[1], len(r.path))
		}
	}
	return r.path[:r.prefixLen]
}

// subject is the path as the predicate looks at it.
func (p *predicate) subject(path string) string {
	if p.lower {
		return lowered(path)
	}
	return path
}

// ForwardedPrefix returns the value of X-Forwarded-Prefix: what strip_path
// removes. It is empty when the header must not be sent.
func (r *Result) ForwardedPrefix() string {
	if !r.Route.StripPath {
		return ""
	}
	if p := r.Prefix(); p != "/" {
		return p
	}
	return ""
}

// Captures returns the groups of a regex path and their names, an empty name
// for an unnamed group. As in Kong, group 0 is the whole path, or what the regex
// of an expression matched. Without groups it returns nil.
func (r *Result) Captures() (groups, names []string) {
	if r.match == nil {
		return r.hit.captures(r.path)
	}
	if r.match.re == nil || r.match.re.exact {
		return nil, nil
	}
	groups, names = r.match.re.captures(r.path)
	if groups == nil {
		return nil, nil
	}
	return append([]string{r.path}, groups...), append([]string{""}, names...)
}

func (h pathHit) captures(path string) (groups, names []string) {
	if h.groups == nil {
		return nil, nil
	}
	groups = h.groups.re.FindStringSubmatch(h.groups.subject(path))
	if len(groups) < 2 {
		return nil, nil
	}
	return groups, h.groups.re.SubexpNames()
}

// BuildPath appends the path that the upstream sees: the service's path and the
// request's, without what strip_path removes, percent-escaped as Kong does. The
// query is not part of it.
func (r *Result) BuildPath(dst []byte) []byte {
	base := r.Route.servicePath
	var parts [3]string
	switch {
	case !r.Route.StripPath && r.Route.PathHandlingV1:
		parts = [3]string{base, "", r.path[min(1, len(r.path)):]}
	case !r.Route.StripPath:
		parts = keepV0(base, r.path)
	case r.Route.PathHandlingV1:
		parts = stripV1(base, r.remainder())
	default:
		parts = stripV0(base, r.remainder(), r.path)
	}
	for _, p := range parts {
		dst = AppendEscaped(dst, p)
	}
	return dst
}

// remainder is the path behind the match; a route without paths matches the
// leading slash only.
func (r *Result) remainder() string {
	if !r.byPath() {
		return r.path[min(1, len(r.path)):]
	}
	rest := r.path[len(r.Prefix()):]
	switch {
	case rest == "." || rest == "..":
		return ""
	case strings.HasPrefix(rest, "./"):
		return rest[2:]
	case strings.HasPrefix(rest, "../"):
		return rest[3:]
	}
	return rest
}

// keepV0 returns the parts of the upstream path for strip_path=false.
func keepV0(base, path string) [3]string {
	switch {
	case strings.HasSuffix(base, "/"):
		return [3]string{base, "", path[min(1, len(path)):]}
	case path == "/":
		return [3]string{base}
	default:
		return [3]string{base, "", path}
	}
}

// stripV1 returns the parts for strip_path=true and path_handling v1.
func stripV1(base, rest string) [3]string {
	if strings.HasSuffix(base, "/") {
		rest = strings.TrimPrefix(rest, "/")
	}
	return [3]string{base, "", rest}
}

// stripV0 returns the parts for strip_path=true and path_handling v0, where
// base and rest are joined by exactly one slash.
func stripV0(base, rest, path string) [3]string {
	slash := strings.HasSuffix(base, "/")
	switch {
	case rest != "" && slash:
		return [3]string{base, "", strings.TrimPrefix(rest, "/")}
	case rest != "" && rest[0] != '/':
		return [3]string{base, "/", rest}
	case rest != "":
		return [3]string{base, "", rest}
	case slash && base != "/" && !strings.HasSuffix(path, "/"):
		return [3]string{base[:len(base)-1]}
	case !slash && len(path) > 1 && strings.HasSuffix(path, "/"):
		return [3]string{base, "/"}
	default:
		return [3]string{base}
	}
}

// plainByte marks the bytes that AppendEscaped keeps: RFC 3986's reserved and
// unreserved ones and the percent sign.
var plainByte = func() (t [256]bool) {
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = true, true
	}
	for c := '0'; c <= '9'; c++ {
		t[c] = true
	}
	for _, c := range "!#$&'()*+,/:;=?@[]-_.~%" {
		t[c] = true
	}
	return t
}()

// AppendEscaped appends path with every byte escaped that must not stand in a
// request target. Escapes that are already there stay as they are.
func AppendEscaped(dst []byte, path string) []byte {
	const hex = "0123456789ABCDEF"
	start := 0
	for i := 0; i < len(path); i++ {
		if c := path[i]; !plainByte[c] {
			dst = append(dst, path[start:i]...)
			dst = append(dst, '%', hex[c>>4], hex[c&15])
			start = i + 1
		}
	}
	return append(dst, path[start:]...)
}
