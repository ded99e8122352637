// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/test/scale/population"
)

// small and large are the populations that the cost of a change is compared
// among. What one change touches is the same in both.
var small, large = population.Of(500), population.Of(largeTotal)

// By how much a change may cost more in the large population, which has larger
// maps and deeper trees (bytes), and does not fit the processor's caches (time).
// One that went through everything would cost many times more of either.
const (
	maxBytes = 2
	maxTime  = 3
)

// TestCostOfAChange holds that the work of a change does not grow with the
// total: the units that are translated and the memory that is allocated, which
// do not depend on the machine, and the processor time.
func TestCostOfAChange(t *testing.T) {
	few, many := translate(t, small, false), translate(t, large, false)
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection goes through the whole heap
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			a, b := costs(t, few, small, c), costs(t, many, large, c)
			runtime.GC()
			t.Logf("among %d Ingresses: %v; among %d: %v", small.Ingresses, a, large.Ingresses, b)
			if want := uint64(c.fragments(small)); a.units < want || b.units != a.units {
				t.Errorf("%d and %d units are translated, want the same number, at least %d", a.units, b.units, want)
			}
			if b.bytes > a.bytes*maxBytes {
				t.Errorf("%d and %d bytes are allocated", a.bytes, b.bytes)
			}
			if !raceDetector && b.cpu > a.cpu*maxTime {
				t.Errorf("it takes %v and %v", a.cpu, b.cpu)
			}
		})
	}
}

// costing is what one change costs.
type costing struct {
	cpu   time.Duration
	bytes uint64
	units uint64
}

// costs makes a change some times and returns the least of each cost: what else
// the machine does can only add to it.
func costs(t *testing.T, tr *Translation, size population.Size, c change) (least costing) {
	t.Helper()
	for i := range rounds {
		var before, after runtime.MemStats
		units := tr.Store.Translations()
		runtime.ReadMemStats(&before)
		cpu := CPU()
		c.apply(tr, size, 1000+i)
		settle(t, tr)
		cpu = CPU() - cpu
		runtime.ReadMemStats(&after)
		now := costing{cpu, after.TotalAlloc - before.TotalAlloc, tr.Store.Translations() - units}
		if i == 0 {
			least = now
		}
		least = costing{min(least.cpu, now.cpu), min(least.bytes, now.bytes), min(least.units, now.units)}
	}
	return least
}
