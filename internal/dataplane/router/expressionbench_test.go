// SPDX-License-Identifier: Apache-2.0

package router

import (
	"fmt"
	"net/netip"
	"testing"
)

// expressionLayouts are sets of routes with expressions, each with a request
// that matches one in the middle.
var expressionLayouts = map[string]struct {
	text func(i int) string
	in   Input
}{
	"one-host": {func(i int) string {
		return fmt.Sprintf(`http.host == "h.test" && (http.path == "/app-%d" || http.path ^= "/app-%d/")`, i, i)
	}, Input{Host: "h.test", Path: "/app-2500/x"}},
	"many-host": {func(i int) string { return fmt.Sprintf(`http.host == "h%d.test" && http.path ^= "/"`, i) }, Input{Host: "h2500.test", Path: "/x"}},
	"no-host":   {func(i int) string { return fmt.Sprintf(`http.path ^= "/app-%d/" && http.method != "POST"`, i) }, Input{Host: "h.test", Path: "/app-2500/x"}},
	"suffix":    {func(i int) string { return fmt.Sprintf(`http.host =^ ".h%d.test"`, i) }, Input{Host: "a.h2500.test", Path: "/x"}},
	"segment": {func(i int) string {
		return fmt.Sprintf(`http.path.segments.0_1 == "v1/app-%d" && any(http.headers.x_a) == "b" && net.src.ip not in 10.0.0.0/8`, i)
	}, Input{Host: "h.test", Path: "/v1/app-2500/x", Headers: headerMap{"x-a": {"a", "b"}}, Source: netip.MustParseAddrPort("192.0.2.1:1")}},
	"miss": {func(i int) string { return fmt.Sprintf(`http.host == "h.test" && http.path ^= "/app-%d/"`, i) }, Input{Host: "h.test", Path: "/none"}},
	// Nothing to look up: each route in turn.
	"headers-500": {func(i int) string { return fmt.Sprintf(`http.headers.x_tenant == "t%d"`, i%500) }, Input{Host: "h.test", Path: "/", Headers: headerMap{"x-tenant": {"t250"}}}},
}

func expressionBenchItems(layout string) []Item {
	items := make([]Item, benchRoutes)
	for i := range items {
		items[i].Route = route(i, "")
		items[i].Route.Expression = expressionLayouts[layout].text(i)
	}
	if layout == "headers-500" {
		items = items[:500]
	}
	return items
}

func BenchmarkMatchExpressions(b *testing.B) {
	for name, l := range expressionLayouts {
		r := withExpressions(b, expressionBenchItems(name)...)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			in := l.in
			in.Method = "GET"
			for b.Loop() {
				r.Match(&in)
			}
		})
	}
}

func BenchmarkWithOneExpression(b *testing.B) {
	for _, name := range []string{"one-host", "many-host", "headers-500"} {
		r := withExpressions(b, expressionBenchItems(name)...)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			changed := *expressionBenchItems(name)[250].Route
			changed.Expression = `http.path ^= "/new"`
			for b.Loop() {
				if _, problems := r.With([]Item{{Route: &changed}}, nil); problems != nil {
					b.Fatal(problems)
				}
			}
		})
	}
}

func BenchmarkNewExpressions(b *testing.B) {
	items := expressionBenchItems("one-host")
	for b.Loop() {
		withExpressions(b, items...)
	}
}

func TestMatchingExpressionsDoesNotAllocate(t *testing.T) {
	for name, l := range expressionLayouts {
		r := withExpressions(t, expressionBenchItems(name)...)
		in := l.in
		in.Method = "GET"
		dst := make([]byte, 0, 64)
		matched := false
		if n := testing.AllocsPerRun(100, func() {
			var res Result
			if res, matched = r.Match(&in); matched {
				dst = res.BuildPath(dst[:0])
			}
		}); n != 0 || matched == (name == "miss") {
			t.Errorf("%s: %v allocations, matched %v", name, n, matched)
		}
	}
}
