// SPDX-License-Identifier: Apache-2.0

package recorded

import (
	"strings"
	"testing"
)

func TestLinesDiffer(t *testing.T) {
	const body = "# TYPE n counter\nn{b=\"2\",a=\"1\"} 3\n"
	for _, c := range []struct{ kind, pattern, want string }{
		{"lines", `\# TYPE n counter`, ""},
		{"lines", `n\{(?=.*\ba="1")(?=.*\bb="2").*\} 3`, ""},
		{"lines", `n\{(?=.*\ba="2").*\} 3`, "no line like"},
		{"lines", `TYPE n counter`, "no line like"},
		{"lines", `n\{.*\}`, "no line like"},
		{"lines", `(?s).*counter.*3`, "no line like"},
		{"lines", `(`, "parsing"},
		{"absent", `m.*`, ""},
		{"absent", `n\{`, ""},
		{"absent", `n\{.*`, "unwanted line n{b="},
	} {
		got := linesDiffer(map[string]any{c.kind: []any{c.pattern}}, body, "at")
		if (len(got) > 0) != (c.want != "") || len(got) > 0 && !strings.Contains(got[0], c.want) {
			t.Errorf("%s %s: %q, want %q", c.kind, c.pattern, got, c.want)
		}
	}
}
