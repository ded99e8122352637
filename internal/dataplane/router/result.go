// SPDX-License-Identifier: Apache-2.0

package router

import "strings"

// Result is a matched route. It holds a view of Input.Path and is valid as long
// as that is.
type Result struct {
	Route *Route

	path      string
	match     *candidate
	prefixLen int // -1: a regex whose match was not measured yet
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

// Prefix returns the text that the route's path matched, empty for a route
// without paths. For a regex it is worked out at the first call.
func (r *Result) Prefix() string {
	if r.prefixLen < 0 {
		r.prefixLen = max(0, r.match.re.matchLen(r.path))
	}
	return r.path[:r.prefixLen]
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
// for an unnamed group. As in Kong, group 0 is the whole path. Without groups
// it returns nil.
func (r *Result) Captures() (groups, names []string) {
	if r.match.re == nil || r.match.re.exact {
		return nil, nil
	}
	groups, names = r.match.re.captures(r.path)
	if groups == nil {
		return nil, nil
	}
	return append([]string{r.path}, groups...), append([]string{""}, names...)
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
	if r.match.kinds&kindPath == 0 {
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
