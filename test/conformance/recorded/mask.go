// SPDX-License-Identifier: Apache-2.0

package recorded

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// masks hide what differs from run to run: ids, and the product token.
var masks = []struct {
	pattern *regexp.Regexp
	text    string
}{
	{regexp.MustCompile(`\b[0-9a-f]{32}\b`), "$${*}"},
	{regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`), "$${*}"},
	{regexp.MustCompile(`\b(?:kong|kong-istio-gateway)/[0-9A-Za-z.+-]+`), "$${product}"},
}

// numeric are headers whose value is a time or an id.
var numeric = []string{
	"x-kong-upstream-latency", "x-kong-proxy-latency", "x-kong-response-latency", "x-kong-admin-latency", "age", "ratelimit-reset",
	"retry-after", "date", "x-kong-request-id", "last-modified", "expires", "x-cache-key",
}

// normal returns a text with names in the place of what differs between runs.
func (n names) normal(s string) string {
	type pair struct {
		name, value string
		port        bool
	}
	pairs := make([]pair, 0, len(n))
	for name, value := range n {
		_, port := value.(int)
		pairs = append(pairs, pair{name, fmt.Sprint(value), port})
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		return cmp.Or(cmp.Compare(len(b.value), len(a.value)), cmp.Compare(a.name, b.name))
	})
	for _, p := range pairs {
		if !p.port {
			s = replaceApart(s, p.value, "${"+p.name+"}")
		}
	}
	// Before the ports: the digits of an id may contain one.
	for _, m := range masks {
		s = m.pattern.ReplaceAllString(s, m.text)
	}
	for _, p := range pairs {
		if p.port {
			s = replaceApart(s, p.value, "${"+p.name+"}")
		}
	}
	return s
}

// replaceApart replaces old where no digit stands beside it.
func replaceApart(s, old, text string) string {
	digit := func(i int) bool { return i >= 0 && i < len(s) && s[i] >= '0' && s[i] <= '9' }
	var out strings.Builder
	at := 0
	for old != "" {
		i := strings.Index(s[at:], old)
		if i < 0 {
			break
		}
		i += at
		if digit(i-1) || digit(i+len(old)) {
			out.WriteString(s[at : i+1])
			at = i + 1
			continue
		}
		out.WriteString(s[at:i])
		out.WriteString(text)
		at = i + len(old)
	}
	out.WriteString(s[at:])
	return out.String()
}

// headers returns header lines by lower-case name: a string, or a list of them.
func (n names) headers(fields []Field) map[string]any {
	out := map[string]any{}
	for _, f := range fields {
		name, value := strings.ToLower(f[0]), n.normal(f[1])
		if slices.Contains(numeric, name) {
			value = "${*}"
		}
		switch old := out[name].(type) {
		case nil:
			out[name] = value
		case string:
			out[name] = []any{old, value}
		case []any:
			out[name] = append(old, value)
		}
	}
	return out
}

// answer is an answer in the form that expectations have.
func (n names) answer(m *message) result {
	interim := []any{}
	for _, i := range m.interim {
		interim = append(interim, map[string]any{"status": float64(i.status()), "headers": n.headers(i.fields)})
	}
	return result{
		"status": float64(m.status()), "headers": n.headers(m.fields), "body": n.normal(latin(m.body)),
		"trailers": n.headers(m.trailers), "interim": interim,
	}
}
