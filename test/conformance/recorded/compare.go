// SPDX-License-Identifier: Apache-2.0

package recorded

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// free are headers that may differ between implementations.
var free = []string{"date", "connection", "server", "keep-alive", "transfer-encoding", "content-length"}

// result is what was seen of one exchange, or of one upstream call.
type result map[string]any

// compare returns the differences between an expectation and what was seen.
// Only what the expectation names is compared; with exact set, other headers
// and trailers must not be there.
func compare(want map[string]any, got result, where string, exact bool) (out []string) {
	seen, _ := got["headers"].(map[string]any)
	headers, named := want["headers"].(map[string]any)
	if exact && named {
		for _, k := range slices.Sorted(maps.Keys(seen)) {
			if _, ok := headers[k]; !ok && !slices.Contains(free, k) {
				out = append(out, fmt.Sprintf("%s header %s: not expected, got %v", where, k, seen[k]))
			}
		}
	}
	if trailers, _ := got["trailers"].(map[string]any); exact && named && want["trailers"] == nil && len(trailers) > 0 {
		out = append(out, fmt.Sprintf("%s trailers: not expected, got %v", where, trailers))
	}
	if status, ok := want["status"]; ok {
		out = append(out, differs(status, got["status"], where+" status")...)
	}
	for _, k := range slices.Sorted(maps.Keys(headers)) {
		switch v := headers[k]; v {
		case "${?}":
		case "${*}":
			if seen[k] == nil {
				out = append(out, fmt.Sprintf("%s header %s: missing", where, k))
			}
		default:
			out = append(out, differs(v, seen[k], where+" header "+k)...)
		}
	}
	for _, k := range []string{"method", "target", "body", "trailers", "interim", "after", "certificate", "sni", "client_cn"} {
		if v, ok := want[k]; ok {
			out = append(out, differs(v, got[k], where+" "+k)...)
		}
	}
	body, _ := got["body"].(string)
	return append(out, linesDiffer(want, body, where)...)
}

// differs compares one value.
func differs(want, got any, where string) []string {
	problem := []string{fmt.Sprintf("%s: want %.300v got %.300v", where, want, got)}
	text, isText := got.(string)
	switch w := want.(type) {
	case string:
		if pattern, ok := strings.CutPrefix(w, "re:"); ok {
			expression, err := regexp.Compile("(?s)" + pattern)
			if err != nil {
				return []string{fmt.Sprintf("%s: %v", where, err)}
			}
			if isText && expression.MatchString(text) {
				return nil
			}
			return problem
		}
		if strings.HasPrefix(w, "sha256:") && isText {
			got = fmt.Sprintf("sha256:%x:%d", sha256.Sum256(unlatin(text)), len(unlatin(text)))
		}
	case map[string]any:
		if form, ok := w["form"]; ok {
			got = formOf(text)
			want = form
			break
		}
		tree, ok := w["json"]
		if !ok {
			break
		}
		var value any
		if err := json.Unmarshal([]byte(quoteBare(text)), &value); err != nil {
			return []string{fmt.Sprintf("%s: want JSON, got %.300q", where, text)}
		}
		exact, _ := w["exact"].(bool)
		return subset(tree, value, where, exact)
	}
	if reflect.DeepEqual(want, got) {
		return nil
	}
	return problem
}

// formOf reads a form: a value by name, or a list of them.
func formOf(text string) any {
	out := map[string]any{}
	values, err := url.ParseQuery(text)
	if err != nil {
		return err.Error()
	}
	for name, list := range values {
		if len(list) == 1 {
			out[name] = list[0]
			continue
		}
		var all []any
		for _, v := range list {
			all = append(all, v)
		}
		out[name] = all
	}
	return out
}

var bare = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|\$\{[^}"]*\}`)

// quoteBare quotes names of ports that stand in the place of numbers.
func quoteBare(s string) string {
	return bare.ReplaceAllStringFunc(s, func(m string) string {
		if m[0] == '"' {
			return m
		}
		return `"` + m + `"`
	})
}

// subset compares the parts of a tree that are named.
func subset(want, got any, where string, exact bool) (out []string) {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s: want an object, got %v", where, got)}
		}
		for _, k := range slices.Sorted(maps.Keys(g)) {
			if _, named := w[k]; exact && !named {
				out = append(out, fmt.Sprintf("%s.%s: not expected, got %v", where, k, g[k]))
			}
		}
		for _, k := range slices.Sorted(maps.Keys(w)) {
			switch {
			case w[k] != nil:
				out = append(out, subset(w[k], g[k], where+"."+k, exact)...)
			case g[k] != nil:
				out = append(out, fmt.Sprintf("%s.%s: want absent, got %v", where, k, g[k]))
			}
		}
		return out
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return differs(want, got, where)
		}
		for i := range w {
			if w[i] != nil || g[i] != nil {
				out = append(out, subset(w[i], g[i], fmt.Sprintf("%s[%d]", where, i), exact)...)
			}
		}
		return out
	case string:
		text, isText := got.(string)
		_, isNumber := got.(float64)
		switch {
		case w == "${*}" && got != nil:
			return nil
		case w == "${number}" && (isNumber || isText && strings.HasPrefix(text, "${")):
			return nil
		}
	}
	return differs(want, got, where)
}
