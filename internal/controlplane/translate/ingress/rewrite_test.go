// SPDX-License-Identifier: Apache-2.0

package ingress

import (
	"strings"
	"testing"
)

func TestRewriteTemplate(t *testing.T) {
	for _, tc := range []struct{ value, want, err string }{
		{"/new", "/new", ""},
		{"", "/", ""},
		{"/v2/$1", "/v2/$(uri_captures[1])", ""},
		{"/$2/x/$1y", "/$(uri_captures[2])/x/$(uri_captures[1])y", ""},
		{"/$1$2", "/$(uri_captures[1])$(uri_captures[2])", ""},
		{"/$12", "/$(uri_captures[12])", ""},
		{`/price\$`, "/price$", ""},
		{`/$1\$`, "/$(uri_captures[1])$", ""},
		{`/p\$(headers.host)`, "", `"\$" at position 2 is followed by "("`},
		{`/p\$\$(x)`, "", `"\$" at position 4 is followed by "("`},
		{"/$1(x)", "/$(uri_captures[1])(x)", ""},
		{"$1", "$(uri_captures[1])", ""},
		{"x/$1", "", `it does not begin with "/"`},
		{"http://other/", "", `it does not begin with "/"`},
		{"*", "", `it does not begin with "/"`},
		{`\$1`, "", `it does not begin with "/"`},
		{"/größe/$1", "/größe/$(uri_captures[1])", ""},
		{"{vault://env/path}", "", "a path cannot be a reference to a vault"},
		{"/$", "", `"$" at position 1 is not followed by a digit`},
		{"/$x", "", `"$" at position 1 is not followed by a digit`},
		{`/a\b`, "", `"\" at position 2 is not followed by "$"`},
		{`/\`, "", `"\" at position 1 is not followed by "$"`},
	} {
		got, err := rewriteTemplate(tc.value)
		message := ""
		if err != nil {
			message = err.Error()
		}
		if got != tc.want || message != tc.err {
			t.Errorf("rewriteTemplate(%q) = %q, %q; want %q, %q", tc.value, got, message, tc.want, tc.err)
		}
	}
}

// FuzzRewriteTemplate holds that a template has as many groups as the value, and
// nothing that the plugin would run but them.
func FuzzRewriteTemplate(f *testing.F) {
	for _, v := range []string{"/a/$1", `\$`, "$$", "/$(headers.x)", "$1$2", `\$(headers.x)`, `\$$1`} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got, err := rewriteTemplate(value)
		if err != nil {
			return
		}
		escaped := strings.Count(value, `\$`)
		if groups := strings.Count(got, "$(uri_captures["); groups != strings.Count(value, "$")-escaped {
			t.Errorf("%q became %q", value, got)
		}
		if run := strings.Count(got, "$("); run != strings.Count(got, "$(uri_captures[") {
			t.Errorf("%q became %q, of which %d parts are run", value, got, run)
		}
	})
}
