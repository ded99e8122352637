// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// cpuTime is what the process has used until now, garbage collection included.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchID(kind, n int) entity.ID {
	return entity.ID(fmt.Sprintf("%08x-0000-4000-8000-%012x", kind, n))
}

// benchRoute is a route as an Ingress path of type Prefix makes it.
func benchRoute(n int, host string) *entity.Route {
	return &entity.Route{
		ID: benchID(2, n), Name: fmt.Sprint("route-", n), Hosts: []string{host}, Service: &entity.Ref{ID: benchID(1, n%100)},
		Paths: []string{fmt.Sprintf("/app-%d/", n), fmt.Sprintf("~/app-%d$", n)},
	}
}

// benchSet is a configuration of so many routes, each with a plugin of its own,
// a hundred services, and as many consumers with a key and a plugin each.
func benchSet(routes int, host func(int) string) *entity.Set {
	set := &entity.Set{Plugins: []*entity.Plugin{{ID: benchID(9, 0), Name: "probe-2"}}}
	for n := range 100 {
		set.Services = append(set.Services, &entity.Service{ID: benchID(1, n), Name: fmt.Sprint("svc-", n), Host: fmt.Sprint("up-", n), Protocol: "http"})
		set.Upstreams = append(set.Upstreams, &entity.Upstream{ID: benchID(3, n), Name: fmt.Sprint("up-", n)})
		set.Targets = append(set.Targets, &entity.Target{ID: benchID(4, n), Upstream: &entity.Ref{ID: benchID(3, n)}, Target: fmt.Sprintf("10.0.0.%d:80", n)})
	}
	for n := range routes {
		set.Routes = append(set.Routes, benchRoute(n, host(n)))
		set.Plugins = append(set.Plugins, &entity.Plugin{ID: benchID(5, n), Name: "probe-0", Route: &entity.Ref{ID: benchID(2, n)}})
		consumer := benchID(6, n)
		set.Consumers = append(set.Consumers, &entity.Consumer{ID: consumer, Username: fmt.Sprint("user-", n)})
		set.Credentials = append(set.Credentials, &entity.Credential{
			ID: benchID(7, n), Type: "probe_keys", Consumer: &entity.Ref{ID: consumer}, Fields: map[string]any{"key": fmt.Sprint("key-", n)},
		})
		set.Plugins = append(set.Plugins, &entity.Plugin{ID: benchID(8, n), Name: "probe-1", Consumer: &entity.Ref{ID: consumer}})
	}
	return set
}

// BenchmarkUpdate changes one entity among many. It reports CPU time, garbage
// collection included, because a machine that does other things as well makes
// wall time say little.
func BenchmarkUpdate(b *testing.B) {
	layouts := map[string]func(int) string{
		"one-host":   func(int) string { return "one.test" },
		"many-hosts": func(n int) string { return fmt.Sprintf("h%d.test", n) },
	}
	for layout, host := range layouts {
		for _, size := range []int{100, 1000, 5000, 20000} {
			e := newUpdated(b)
			set := benchSet(size, host)
			if rejected := e.Apply(set); len(rejected) > 0 {
				b.Fatal(rejected)
			}
			changes := map[string]func(n int) entity.Entity{
				"route": func(n int) entity.Entity {
					r := benchRoute(50, host(50))
					r.Paths = append(r.Paths, fmt.Sprint("/new-", n))
					return r
				},
				"plugin": func(n int) entity.Entity {
					return &entity.Plugin{ID: benchID(5, 50), Name: "probe-0", Route: &entity.Ref{ID: benchID(2, 50)}, Config: map[string]any{"tag": fmt.Sprint(n)}}
				},
				"global": func(n int) entity.Entity {
					return &entity.Plugin{ID: benchID(9, 0), Name: "probe-2", Config: map[string]any{"tag": fmt.Sprint(n)}}
				},
				"consumer": func(n int) entity.Entity {
					return &entity.Consumer{ID: benchID(6, 50), Username: fmt.Sprint("renamed-", n)}
				},
				"target": func(n int) entity.Entity {
					return &entity.Target{ID: benchID(4, 50), Upstream: &entity.Ref{ID: benchID(3, 50)}, Target: fmt.Sprintf("10.1.0.%d:80", n%250)}
				},
				"service": func(n int) entity.Entity {
					return &entity.Service{ID: benchID(1, 50), Name: "svc-50", Host: "up-50", Protocol: "http", Path: fmt.Sprint("/", n)}
				},
			}
			for _, what := range []string{"route", "plugin", "global", "consumer", "target", "service"} {
				b.Run(fmt.Sprintf("%s/%s/%d", what, layout, size), func(b *testing.B) {
					b.ReportAllocs()
					n := 0
					began := cpuTime()
					for b.Loop() {
						n++
						e.Update(entity.Delta{Put: []entity.Entity{changes[what](n)}})
					}
					e.retiring.closing.wait()
					b.ReportMetric(float64(cpuTime()-began)/float64(n), "cpu-ns/op")
				})
			}
		}
	}
}

// BenchmarkApply builds everything anew, for comparison.
func BenchmarkApply(b *testing.B) {
	set := benchSet(5000, func(int) string { return "one.test" })
	for b.Loop() {
		e := newUpdated(b)
		e.Apply(set)
	}
}
