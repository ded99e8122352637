// SPDX-License-Identifier: Apache-2.0

package proxycache

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// directives are those of Cache-Control (RFC 9111, 5.2), by lower-case name.
type directives map[string]string

func parseDirectives(h plugin.Header) directives {
	d := directives{}
	for _, line := range h.Values(nil, "Cache-Control") {
		for item := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(item), "=")
			if name != "" {
				d[strings.ToLower(name)] = strings.Trim(value, `"`)
			}
		}
	}
	return d
}

func (d directives) has(name string) bool {
	_, ok := d[name]
	return ok
}

func (d directives) seconds(name string) (float64, bool) {
	n, err := strconv.ParseUint(d[name], 10, 31)
	return float64(n), err == nil
}

// lifetime is how long an answer is fresh: s-maxage, max-age or Expires, which
// counts from Date or else from now. Zero
// stands for an answer that says nothing.
func (d directives) lifetime(h plugin.Header, now time.Time) time.Duration {
	for _, name := range []string{"s-maxage", "max-age"} {
		if seconds, ok := d.seconds(name); ok {
			return time.Duration(seconds) * time.Second
		}
	}
	expires, err := http.ParseTime(h.Get("Expires"))
	if err != nil {
		return 0
	}
	from := now
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		from = date
	}
	return max(expires.Sub(from), 0)
}

// mediaType is a type with its parameters.
type mediaType struct {
	kind   string // "text/plain", lower-case
	params map[string]string
}

func parseMediaType(s string) (mediaType, bool) {
	kind, params, err := mime.ParseMediaType(s)
	return mediaType{kind, params}, err == nil && strings.Contains(kind, "/")
}

// matches reports whether an actual type is the configured one: "*" stands for
// any type or subtype, parameters have to be the same.
func (t mediaType) matches(actual mediaType) bool {
	wantType, wantSub, _ := strings.Cut(t.kind, "/")
	gotType, gotSub, _ := strings.Cut(actual.kind, "/")
	if wantType != "*" && wantType != gotType || wantSub != "*" && wantSub != gotSub || len(t.params) != len(actual.params) {
		return false
	}
	for name, value := range t.params {
		if !strings.EqualFold(actual.params[name], value) {
			return false
		}
	}
	return true
}
