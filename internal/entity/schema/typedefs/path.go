// SPDX-License-Identifier: Apache-2.0

package typedefs

import (
	"regexp"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/entity/pattern"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// RoutePath declares an entry of a route's paths: a normalised prefix that
// starts with /, or a regular expression that starts with ~/.
func RoutePath(name string) *schema.Field {
	return schema.String(name).
		MatchesNot("^([^/~]|~([^/]|$))", "should start with: / (fixed path) or ~/ (regex path)").
		MatchesNot("//", "must not have empty segments").
		CustomString("route_path", checkRoutePath)
}

func checkRoutePath(s string) string {
	if message := badEscape(s); message != "" {
		return message
	}
	expr, isRegex := strings.CutPrefix(s, "~")
	if !isRegex {
		if n := NormalizePath(s); n != s {
			return "non-normalized path, consider use '" + n + "' instead"
		}
		return ""
	}
	if isLiteral(strings.TrimSuffix(expr, "$")) {
		return ""
	}
	return regexProblem(expr, pattern.AtStart)
}

// RouteHeader declares the values of one header that a route matches: some
// texts, or one regular expression behind ~*.
func RouteHeader(name string) *schema.Field {
	return schema.Array(name, schema.String("")).Custom("route_header", func(v any) string {
		values, _ := v.([]any)
		if len(values) != 1 {
			return ""
		}
		text, _ := values[0].(string)
		expr, isRegex := strings.CutPrefix(text, "~*")
		if !isRegex {
			return ""
		}
		return regexProblem(expr, pattern.Anywhere)
	})
}

func regexProblem(expr string, place pattern.Place) string {
	if err := pattern.Check(expr, place); err != nil {
		return err.Error()
	}
	return ""
}

// isLiteral reports whether s has no character that means anything in a regular
// expression. The exact and prefix paths of Ingresses are such.
func isLiteral(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '/' && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// reserved are the characters whose escapes are kept (RFC 3986, 2.2, and %).
const reserved = "!#$%&'()*+,/:;=?@[]"

// NormalizePath returns a URL path as Kong compares it: escapes of characters
// that are not reserved decoded, other escapes in upper case, dot segments
// removed (RFC 3986, 5.2.4) and repeated slashes merged.
func NormalizePath(path string) string {
	if strings.IndexByte(path, '%') < 0 {
		return removeDots(path)
	}
	path = escape.ReplaceAllStringFunc(path, func(e string) string {
		c := unhex(e[1])<<4 | unhex(e[2])
		if strings.IndexByte(reserved, c) >= 0 {
			return strings.ToUpper(e)
		}
		return string([]byte{c})
	})
	return removeDots(path)
}

func removeDots(path string) string {
	if !strings.Contains(path, "//") && !strings.Contains(path, "/.") {
		return path
	}
	var out []string
	steps := strings.Split(path, "/")
	last := steps[len(steps)-1]
	for _, step := range steps {
		switch step {
		case "", ".":
		case "..":
			if len(out) > 0 {
				out = out[:len(out)-1]
			}
		default:
			out = append(out, step)
		}
	}
	joined := "/" + strings.Join(out, "/")
	if len(out) > 0 && (last == "" || last == "." || last == "..") {
		joined += "/"
	}
	return joined
}

func unhex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}

var plainPath = regexp.MustCompile(`^[a-zA-Z0-9.\-_~/%]*$`)

// MigratePath turns a route path of the declarative formats 1.1 and 2.1, where
// whether it is a regular expression was guessed from its characters, into one
// of format 3.0.
func MigratePath(path string) string {
	if strings.HasPrefix(path, "~") {
		return path
	}
	if plainPath.MatchString(path) {
		return NormalizePath(path)
	}
	return "~" + escape.ReplaceAllStringFunc(path, func(e string) string {
		c := unhex(e[1])<<4 | unhex(e[2])
		switch {
		case strings.IndexByte(reserved, c) >= 0:
			return strings.ToUpper(e)
		case strings.IndexByte(`.^-{}\|`, c) >= 0:
			return `\` + string([]byte{c})
		}
		return string([]byte{c})
	})
}
