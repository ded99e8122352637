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
// One that went through everything would cost many times more of either: to
// look at an Ingress that is in no cache takes several times walkTime, so the
// few lines that any change misses, at whatever speed the machine has just now,
// stay below that for all of them.
const (
	maxBytes = 2
	maxTime  = 3
	walkTime = 10 * time.Nanosecond
)

// What a change may cost for each Service in use if it alters which these are:
// the list of them, sorted, is what egress scopes are made from.
const (
	listBytes = 400
	listTime  = time.Microsecond
)

// TestCostOfAChange holds that the work of a change does not grow with the
// total: the units that are translated and the memory that is allocated, which
// do not depend on the machine, and the processor time; nor does it with what is
// wrong with everything else. It does where the list of all Services in use
// changes; that has a bound for each of them.
func TestCostOfAChange(t *testing.T) {
	few, many := translate(t, small, false), translate(t, large, false)
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection goes through the whole heap
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) { compare(t, few, many, c) })
	}
	withoutPlugins(t, few, small)
	withoutPlugins(t, many, large)
	runtime.GC()
	for _, c := range changes {
		if c.problems {
			t.Run(c.name+", while every Ingress has a problem", func(t *testing.T) { compare(t, few, many, c) })
		}
	}
}

// withoutPlugins deletes the KongPlugins that all Ingresses name.
func withoutPlugins(t *testing.T, tr *Translation, size population.Size) {
	t.Helper()
	for n := range size.Namespaces() {
		for _, p := range population.Plugins(population.Namespace(n), 0) {
			tr.Store.Delete(p)
		}
	}
	settle(t, tr)
	if n := len(tr.Store.Problems(Gateway)); n < size.Ingresses {
		t.Fatalf("there are %d problems with %d Ingresses", n, size.Ingresses)
	}
}

// compare compares what a change costs in the two populations.
func compare(t *testing.T, few, many *Translation, c change) {
	t.Helper()
	a, b := costs(t, few, small, c), costs(t, many, large, c)
	runtime.GC()
	t.Logf("among %d Ingresses: %v; among %d: %v", small.Ingresses, a, large.Ingresses, b)
	if want := uint64(c.fragments(small)); a.units < want || b.units != a.units {
		t.Errorf("%d and %d units are translated, want the same number, at least %d", a.units, b.units, want)
	}
	bytes, cpu := a.bytes*maxBytes+poolBytes, a.cpu*maxTime+time.Duration(large.Ingresses)*walkTime
	if c.lists {
		bytes += uint64(large.Services) * listBytes // #nosec G115 -- a count
		cpu += time.Duration(large.Services) * listTime
	}
	if b.bytes > bytes {
		t.Errorf("%d and %d bytes are allocated, the bound is %d", a.bytes, b.bytes, bytes)
	}
	if !raceDetector && b.cpu > cpu {
		t.Errorf("it takes %v and %v, the bound is %v", a.cpu, b.cpu, cpu)
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
		prepare(t, tr, size, c, 1000+i)
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
