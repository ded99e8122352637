// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"math/rand/v2"
	"runtime"
	"sync/atomic"

	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
)

// Stats counts requests. Counters are spread over cells, so that cores do not
// write to the same memory; reading adds the cells up.
type Stats struct {
	cells []statsCell
}

type statsCell struct {
	requests  atomic.Uint64
	upstreams atomic.Uint64
	classes   [6]atomic.Uint64 // by hundreds of the status; 0: others
	_         [64]byte         // keeps neighbours out of the cache line
}

func newStats() *Stats { return &Stats{cells: make([]statsCell, max(4, 2*runtime.GOMAXPROCS(0)))} }

// observe counts one exchange.
func (s *Stats) observe(x *pipeline.Exchange) {
	cell := &s.cells[rand.IntN(len(s.cells))]
	cell.requests.Add(1)
	if len(x.Attempts) > 0 {
		cell.upstreams.Add(1)
	}
	class := x.Answer.Status / 100
	if class < 1 || class > 5 {
		class = 0
	}
	cell.classes[class].Add(1)
}

// Totals are counts since the start of the process.
type Totals struct {
	// Requests is the number of exchanges, Proxied those that reached for an
	// upstream.
	Requests, Proxied uint64
	// Classes counts answers by the hundreds of their status; index 0 holds
	// those without a proper one.
	Classes [6]uint64
}

// Totals adds the counters up.
func (s *Stats) Totals() (t Totals) {
	for i := range s.cells {
		c := &s.cells[i]
		t.Requests += c.requests.Load()
		t.Proxied += c.upstreams.Load()
		for class := range c.classes {
			t.Classes[class] += c.classes[class].Load()
		}
	}
	return t
}
