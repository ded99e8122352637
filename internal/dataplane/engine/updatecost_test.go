// SPDX-License-Identifier: Apache-2.0

//go:build !race && !poison

package engine

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// What a change of one route may cost among 5,000: in processor time, garbage
// collection included, and how many times what it allocates among 500, in
// number and bytes. Larger indexes have deeper trees; what went through all
// routes would cost ten times as much.
const (
	maxUpdateCPU    = 5 * time.Millisecond
	maxUpdateAllocs = 1.5
	maxUpdateBytes  = 3
)

// TestUpdateAllocations holds that what a change of one route costs does not
// grow with how many there are. The race detector and the poison tag allocate
// and are slow, so it runs without them.
func TestUpdateAllocations(t *testing.T) {
	layouts := map[string]func(int) string{
		"one-host":   func(int) string { return "one.test" },
		"many-hosts": func(n int) string { return fmt.Sprintf("h%d.test", n) },
	}
	for layout, host := range layouts {
		t.Run(layout, func(t *testing.T) {
			few, many := routeCost(t, 500, host), routeCost(t, 5000, host)
			t.Logf("among 500 routes %+v, among 5,000 %+v", few, many)
			if many.cpu > maxUpdateCPU {
				t.Errorf("a change among 5,000 routes takes %v, the bound is %v", many.cpu, maxUpdateCPU)
			}
			if many.allocs > maxUpdateAllocs*few.allocs || many.bytes > maxUpdateBytes*few.bytes {
				t.Errorf("it allocates %.0f times and %.0f bytes among 5,000 routes, %.0f times and %.0f bytes among 500",
					many.allocs, many.bytes, few.allocs, few.bytes)
			}
		})
	}
}

type updateCost struct {
	cpu           time.Duration
	allocs, bytes float64
}

// routeCost returns what a change of one route costs in the mean of many.
func routeCost(t *testing.T, routes int, host func(int) string) updateCost {
	t.Helper()
	e := newUpdated(t)
	if rejected := e.Apply(benchSet(routes, host)); len(rejected) > 0 {
		t.Fatal(rejected)
	}
	const changes = 300
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := cpuTime()
	for n := range changes {
		r := benchRoute(50, host(50))
		r.Paths = append(r.Paths, fmt.Sprint("/new-", n))
		if rejected := e.Update(entity.Delta{Put: []entity.Entity{r}}); len(rejected) > 0 {
			t.Fatal(rejected)
		}
	}
	e.retiring.closing.wait()
	took := cpuTime() - began
	runtime.ReadMemStats(&after)
	return updateCost{took / changes, float64(after.Mallocs-before.Mallocs) / changes, float64(after.TotalAlloc-before.TotalAlloc) / changes}
}
