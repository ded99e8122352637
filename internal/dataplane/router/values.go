// SPDX-License-Identifier: Apache-2.0

package router

import (
	"net/url"
	"strings"
)

// segments is the part of a path that its segments are in: behind the first
// slash and without empty segments at the end.
func segments(path string) string {
	if path == "" || path[0] != '/' {
		return ""
	}
	return strings.TrimRight(path[1:], "/")
}

// countSegments is the value of http.path.segments.len.
func countSegments(path string) int {
	s := segments(path)
	if s == "" {
		return 0
	}
	return 1 + strings.Count(s, "/")
}

// segmentsOf returns the segments from first to last, counted from 0, with the
// slashes between them. It reports false when there are fewer.
func segmentsOf(path string, first, last int) (string, bool) {
	s := segments(path)
	if s == "" {
		return "", false
	}
	for range first {
		i := strings.IndexByte(s, '/')
		if i < 0 {
			return "", false
		}
		s = s[i+1:]
	}
	end := 0
	for range last - first {
		i := strings.IndexByte(s[end:], '/')
		if i < 0 {
			return "", false
		}
		end += i + 1
	}
	if i := strings.IndexByte(s[end:], '/'); i >= 0 {
		return s[:end+i], true
	}
	return s, true
}

// evalQuery compares the values of a query argument. One without "=" has the
// empty value.
func (p *predicate) evalQuery(query string) bool {
	found := false
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		name, value, _ := strings.Cut(pair, "=")
		if pair == "" || !sameArgument(name, p.field.Name) {
			continue
		}
		found = true
		if done, result := p.next(unescapeQuery(value)); done {
			return result
		}
	}
	return found && !p.any
}

func sameArgument(escaped, name string) bool {
	return escaped == name || strings.ContainsAny(escaped, "%+") && unescapeQuery(escaped) == name
}

// unescapeQuery decodes a name or value of a query. What is no escape stays. It
// allocates only when something changes.
func unescapeQuery(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			b = append(b, ' ')
		case s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			b = append(b, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
		default:
			b = append(b, s[i])
		}
	}
	return string(b)
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f' }

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
