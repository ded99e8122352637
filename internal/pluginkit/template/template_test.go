// SPDX-License-Identifier: Apache-2.0

package template

import (
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
)

func TestRender(t *testing.T) {
	x := plugintest.New(time.Now(), "GET", "/?b=2&flag&e=%20x", "X-Two", "2", "Source", "s")
	x.Groups = []plugin.Capture{{Value: "/whole"}, {Value: "first"}, {Name: "user", Value: "amy"}}
	for template, want := range map[string]string{
		"":                                   "",
		"plain $5 text":                      "plain $5 text",
		"$(headers.source)":                  "s",
		"$(headers.x_two)":                   "2",
		"$(headers['x-two'])":                "2",
		`$(headers["X-Two"])`:                "2",
		"$(headers.missing)":                 "",
		"$(headers.source.deep)":             "",
		"pre-$(headers.source)-post":         "pre-s-post",
		"$(query_params.b)$(query_params.e)": "2 x",
		"$(query_params.flag)":               "true",
		"$(uri_captures[0])":                 "/whole",
		"$(uri_captures[1])":                 "first",
		"$(uri_captures[2])":                 "amy",
		"$(uri_captures['user'])":            "amy",
		"$(uri_captures.user)":               "amy",
		"$(uri_captures[9])":                 "",
		"$(shared.anything)":                 "",
		`$(headers["none"] or "dflt")`:       "dflt",
		`$(headers.source == 's' and ("a" .. ')' .. 1.5) or 'no')`: "a)1.5",
		"$(not headers.none)":      "true",
		"$(headers.source ~= 's')": "false",
	} {
		parsed := Parse(template)
		if got, err := parsed.Render(Request(x)); err != nil || got != want {
			t.Errorf("%s: %q (%v), want %q", template, got, err, want)
		}
	}
}

func TestWhatCannotBeRendered(t *testing.T) {
	x := plugintest.New(time.Now(), "GET", "/")
	for _, template := range []string{
		"$(headers.missing.deep)", "$(os.getenv('HOME'))", "$(headers.a +)", "$(", "$()", "$(headers)", "$('a' .. nil)", "$('open)",
		"$(function() end)", "$(headers['a')", "$((headers.a)", "$(headers.a headers.b)", "$(headers:get())",
	} {
		parsed := Parse(template)
		if got, err := parsed.Render(Request(x)); err == nil {
			t.Errorf("%s: %q, want an error", template, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("a$(headers['x'] or (1 .. \"b\"))c")
	f.Add("$(not not not a.b[c])")
	x := plugintest.New(time.Now(), "GET", "/?a=1", "X", "y")
	f.Fuzz(func(_ *testing.T, s string) {
		parsed := Parse(s)
		_, _ = parsed.Render(Request(x)) // must not panic or hang
	})
}
