// SPDX-License-Identifier: Apache-2.0

package router

import (
	"fmt"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

const benchRoutes = 5000

// layouts are the route sets whose cost the project watches; each comes with a
// request that matches a route in the middle.
var layouts = map[string]struct {
	route func(i int) *entity.Route
	in    Input
}{
	"one":       {func(i int) *entity.Route { return route(0, "h.test", ingressPaths(2500)...) }, Input{Host: "h.test", Path: "/app-2500/x"}},
	"one-host":  {func(i int) *entity.Route { return route(i, "h.test", ingressPaths(i)...) }, Input{Host: "h.test", Path: "/app-2500/x"}},
	"exact":     {func(i int) *entity.Route { return route(i, "h.test", ingressPaths(i)...) }, Input{Host: "h.test", Path: "/app-2500"}},
	"many-host": {func(i int) *entity.Route { return route(i, fmt.Sprintf("h%d.test", i), "/") }, Input{Host: "h2500.test", Path: "/x"}},
	"no-host":   {func(i int) *entity.Route { return route(i, "", ingressPaths(i)...) }, Input{Host: "h.test", Path: "/app-2500/x"}},
	"wildcard":  {func(i int) *entity.Route { return route(i, fmt.Sprintf("*.h%d.test", i), "/") }, Input{Host: "a.h2500.test", Path: "/x"}},
	"miss":      {func(i int) *entity.Route { return route(i, "h.test", ingressPaths(i)...) }, Input{Host: "h.test", Path: "/none"}},
	"regex-500": {func(i int) *entity.Route { return route(i%500, "h.test", fmt.Sprintf(`~/app-%d/\d+$`, i%500)) }, Input{Host: "h.test", Path: "/app-250/77"}},
}

func ingressPaths(i int) []string {
	return []string{fmt.Sprintf("/app-%d/", i), fmt.Sprintf("~/app-%d$", i)}
}

func route(i int, host string, paths ...string) *entity.Route {
	r := &entity.Route{ID: entity.ID(fmt.Sprintf("%08d-0000-4000-8000-000000000000", i)), Paths: paths}
	if host != "" {
		r.Hosts = []string{host}
	}
	return r
}

func benchItems(layout string) []Item {
	byID := map[entity.ID]bool{}
	var items []Item
	service := &entity.Service{Host: "svc", Path: "/base"}
	for i := range benchRoutes {
		r := layouts[layout].route(i)
		if !byID[r.ID] {
			byID[r.ID] = true
			items = append(items, Item{Route: r, Service: service})
		}
	}
	return items
}

func BenchmarkMatch(b *testing.B) {
	for name, l := range layouts {
		r, problems := New(benchItems(name))
		if problems != nil {
			b.Fatal(problems)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			in := l.in
			in.Method = "GET"
			var dst []byte
			for b.Loop() {
				res, ok := r.Match(&in)
				if ok {
					dst = res.BuildPath(dst[:0])
				}
			}
		})
	}
}

func BenchmarkWithOne(b *testing.B) {
	for _, name := range []string{"one-host", "many-host", "no-host", "wildcard"} {
		r, _ := New(benchItems(name))
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			changed := *layouts[name].route(2500)
			changed.Paths = append([]string{"/new"}, changed.Paths...)
			for b.Loop() {
				if _, problems := r.With([]Item{{Route: &changed}}, nil); problems != nil {
					b.Fatal(problems)
				}
			}
		})
	}
}

func BenchmarkNew(b *testing.B) {
	items := benchItems("one-host")
	for b.Loop() {
		New(items)
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	for name, l := range layouts {
		if name == "regex-500" {
			continue
		}
		r, _ := New(benchItems(name))
		in := l.in
		dst := make([]byte, 0, 64)
		if n := testing.AllocsPerRun(100, func() {
			if res, ok := r.Match(&in); ok {
				dst = res.BuildPath(dst[:0])
				_ = res.ForwardedPrefix()
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
