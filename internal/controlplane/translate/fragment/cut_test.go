// SPDX-License-Identifier: Apache-2.0

package fragment

import (
	"strings"
	"testing"
)

func TestCut(t *testing.T) {
	for _, tc := range []struct {
		text  string
		limit int
		want  string
	}{
		{"", 5, ""},
		{"short", 5, "short"},
		{"longer", 5, "lo…"},
		{"größer", 6, "gr…"},
		{"日本語日本語", 10, "日本…"},
	} {
		if got := Cut(tc.text, tc.limit); got != tc.want {
			t.Errorf("Cut(%q, %d) = %q, want %q", tc.text, tc.limit, got, tc.want)
		}
	}
}

func TestReportedTextsAreBounded(t *testing.T) {
	var r Result
	long := strings.Repeat("x", 1<<20)
	r.Report(ObjectRef{}, long, ReasonConflict, long, "")
	if p := r.Problems[0]; len(p.Field) > maxField || len(p.Message) > maxMessage {
		t.Errorf("field of %d bytes, message of %d", len(p.Field), len(p.Message))
	}
}
