// SPDX-License-Identifier: Apache-2.0

// Package typedefs holds the kinds of fields that Kong's schemas share: host
// names, paths, header names, URLs, and the config blocks that many plugins
// have in common (queue, redis, …).
package typedefs

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// Host declares a host name or IP address without a port.
func Host(name string) *schema.Field {
	return schema.String(name).CustomString("host", func(s string) string {
		a, ok := ParseAddress(s)
		switch {
		case !ok:
			return "invalid value: " + s
		case a.HasPort:
			return "must not have a port"
		}
		return ""
	})
}

// HostWithOptionalPort declares a host name or IP address and maybe a port.
func HostWithOptionalPort(name string) *schema.Field {
	return schema.String(name).CustomString("host_with_optional_port", func(s string) string {
		if _, ok := ParseAddress(s); !ok {
			return "invalid hostname: " + s
		}
		return ""
	})
}

// RouteHost declares an entry of a route's hosts: like HostWithOptionalPort,
// with one wildcard allowed as the whole first or last label.
func RouteHost(name string) *schema.Field {
	return schema.String(name).CustomString("route_host", func(s string) string {
		if strings.Count(s, "*") > 1 {
			return "invalid wildcard: must have at most one wildcard"
		}
		if strings.Contains(s, "*") && !strings.HasPrefix(s, "*.") && !strings.HasSuffix(s, ".*") {
			return "invalid wildcard: must be placed at leftmost or rightmost label"
		}
		if _, ok := ParseAddress(strings.Replace(s, "*", "abc", 1)); !ok {
			return "invalid hostname: " + s
		}
		return ""
	})
}

// WildcardHost declares a host name, not an address, with at most one wildcard
// as its first or last character.
func WildcardHost(name string) *schema.Field {
	return schema.String(name).CustomString("wildcard_host", func(s string) string {
		if i := strings.Index(s, "*"); i >= 0 {
			if i != 0 && i != len(s)-1 {
				return "wildcard must be leftmost or rightmost character"
			}
			if strings.Count(s, "*") > 1 {
				return "only one wildcard must be specified"
			}
			s = strings.Replace(s, "*", "wildcard", 1)
		}
		return serverName(s)
	})
}

// SNI declares a TLS server name: a host name without port.
func SNI(name string) *schema.Field {
	return schema.String(name).CustomString("sni", serverName)
}

func serverName(s string) string {
	a, ok := ParseAddress(s)
	switch {
	case !ok:
		return "invalid value: " + s
	case a.IsIP:
		return "must not be an IP"
	case a.HasPort:
		return "must not have a port"
	}
	return ""
}

// Port declares a TCP or UDP port.
func Port(name string) *schema.Field { return schema.Integer(name).Between(0, 65535) }

// Timeout declares a time in milliseconds.
func Timeout(name string) *schema.Field { return schema.Integer(name).Between(0, 1<<31-2) }

// IPOrCIDR declares an IPv4 or IPv6 address or address range.
func IPOrCIDR(name string) *schema.Field {
	return schema.String(name).CustomString("ip_or_cidr", func(s string) string {
		if _, err := netip.ParseAddr(s); err == nil && !strings.Contains(s, "%") {
			return ""
		}
		if _, err := netip.ParsePrefix(s); err == nil {
			return ""
		}
		return "invalid ip or cidr range: '" + s + "'"
	})
}

// URL declares an absolute URL: it has a scheme and a host.
func URL(name string) *schema.Field {
	return schema.String(name).CustomString("url", func(s string) string {
		u, err := url.Parse(s)
		switch {
		case err != nil:
			return "could not parse url"
		case u.Hostname() == "":
			return "missing host in url"
		case u.Scheme == "":
			return "missing scheme in url"
		}
		return ""
	})
}

var pathCharacters = regexp.MustCompile(`^/[A-Za-z0-9.\-_~/%:@!$&'()*+,;=]*$`)

// Path declares a URL path without empty segments.
func Path(name string) *schema.Field {
	return schema.String(name).StartsWith("/").
		MatchesNot("//", "must not have empty segments").
		CustomString("path", func(s string) string {
			if !pathCharacters.MatchString(s) {
				return "invalid path: '" + s + "' (characters outside of the reserved list of RFC 3986 found)"
			}
			return badEscape(s)
		})
}

var escape = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// badEscape returns the message for a percent sign that starts no escape.
func badEscape(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return ""
	}
	raw := escape.ReplaceAllString(s, "___")
	i := strings.IndexByte(raw, '%')
	if i < 0 {
		return ""
	}
	return "invalid url-encoded value: '" + raw[i:min(i+3, len(raw))] + "'"
}

// token is the syntax of a header field's or a cookie's name (RFC 9110, 5.6.2).
var token = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// headerName is what Kong accepts as a header name.
var headerName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// HeaderName declares the name of a header field.
func HeaderName(name string) *schema.Field {
	return schema.String(name).CustomString("header_name", func(s string) string {
		if headerName.MatchString(s) {
			return ""
		}
		return "bad header name '" + s + "', allowed characters are A-Z, a-z, 0-9, '_', and '-'"
	})
}

// IsHeaderName reports whether s can be the name of a header field: letters,
// digits, underscore and hyphen.
func IsHeaderName(s string) bool { return headerName.MatchString(s) }

// CookieName declares the name of a cookie (RFC 6265, 4.1.1).
func CookieName(name string) *schema.Field {
	return schema.String(name).CustomString("cookie_name", func(s string) string {
		if token.MatchString(s) {
			return ""
		}
		return "bad cookie name '" + s + "': it must be a token of RFC 2616"
	})
}

// Method declares an HTTP method in upper-case letters.
func Method(name string) *schema.Field { return schema.String(name).Matches(`^[A-Z]+$`) }

// Headers declares a mapping from header names to lists of values, which may
// be credentials.
func Headers(name string) *schema.Field {
	return schema.Map(name, HeaderName(""), schema.Array("", schema.String("").Secret()))
}

// UTF8Name declares an entity's name.
func UTF8Name(name string) *schema.Field {
	return schema.String(name).CustomString("utf8_name", func(s string) string {
		if !utf8.ValidString(s) {
			return "invalid utf-8 character sequence"
		}
		for _, r := range s {
			if r < utf8.RuneSelf && !isNameByte(byte(r)) {
				return fmt.Sprintf("invalid value '%s': the only accepted ascii characters are alphanumerics or ., -, _, and ~", s)
			}
		}
		return ""
	})
}

func isNameByte(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || strings.IndexByte(".-_~", b) >= 0
}

// Tags declares an entity's tags.
func Tags() *schema.Field {
	return schema.Set("tags", schema.String("").CustomString("tag", func(s string) string {
		if !utf8.ValidString(s) {
			return "invalid utf-8 character sequence"
		}
		for _, r := range s {
			if r < ' ' || r == ',' || r == '/' || r == 0x7f {
				return "invalid tag '" + s + "': expected printable ascii (except `,` and `/`) or valid utf-8 sequences"
			}
		}
		return ""
	}))
}

// Regex declares a regular expression (RE2 syntax). It is the syntax that the
// gateway runs; look-around and back-references are refused here rather than
// at the first request.
func Regex(name string) *schema.Field {
	return schema.String(name).CustomString("regex", func(s string) string {
		if _, err := regexp.Compile(s); err != nil {
			return "not a valid regex: " + s
		}
		return ""
	})
}
