// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"slices"
	"time"

	"github.com/kong/kong-istio-gateway/test/bench/internal/agent"
)

// saturated is the busy share of the load core from which throughput says
// nothing about the proxy.
const saturated = 0.9

// Cell is what one proxy did in one row.
type Cell struct {
	Row, Peer string
	// Absent says why there is nothing; Failure what made a round not count.
	Absent, Failure string
	Rounds          []agent.Result
	// Changes are those of each round in which the configuration changed.
	Changes []Changes
	// Rate is that of an open loop, per second.
	Rate float64
}

// Figures are medians over the rounds of a Cell, and latencies of a cell with
// many rounds the mean of the middle half.
type Figures struct {
	// CPU is the proxy's CPU time in seconds for 100,000 requests.
	CPU float64
	// Throughput is in requests a second; 0 when the load core was too busy in
	// most rounds for it to count.
	Throughput float64
	// PeakRSS is in bytes.
	PeakRSS float64
	// P50 and P99 are latencies.
	P50, P99 time.Duration
	// LoadCore and Foreign are shares: how busy the load core was, and how much
	// of the proxy's core others used.
	LoadCore, Foreign float64
	// ChangeCPU is the proxy's CPU time for one change, and ChangeDelay the
	// time until it was acknowledged.
	ChangeCPU, ChangeDelay time.Duration
	// Changes is how many there were in all rounds, ChangeRate how many a second.
	Changes    int
	ChangeRate float64
}

// Figures returns the medians, and false when nothing counts.
func (c *Cell) Figures() (Figures, bool) {
	if c.Failure != "" || c.Absent != "" || len(c.Rounds)+len(c.Changes) == 0 {
		return Figures{}, false
	}
	f := Figures{
		CPU:        c.median(cpuPer100k),
		Throughput: c.median(func(r *agent.Result) float64 { return float64(r.Measured) / r.Wall.Seconds() }),
		PeakRSS:    c.median(func(r *agent.Result) float64 { return float64(r.Usage.PeakRSS) }),
		P50:        c.latency(func(r *agent.Result) time.Duration { return r.P50 }),
		P99:        c.latency(func(r *agent.Result) time.Duration { return r.P99 }),
		LoadCore:   c.median(func(r *agent.Result) float64 { return r.Usage.LoadCore }),
		Foreign: c.median(func(r *agent.Result) float64 {
			return max(0, r.Usage.ProxyCore-r.Usage.CPU.Seconds()/r.Wall.Seconds())
		}),
	}
	if f.LoadCore >= saturated {
		f.Throughput = 0
	}
	f.ChangeCPU, f.ChangeDelay = c.ofChanges(func(m Changes) time.Duration { return m.CPU }), c.ofChanges(func(m Changes) time.Duration { return m.Delay })
	var elapsed time.Duration
	for _, m := range c.Changes {
		f.Changes += m.Count
		elapsed += m.Elapsed
	}
	if elapsed > 0 {
		f.ChangeRate = float64(f.Changes) / elapsed.Seconds()
	}
	return f, true
}

func cpuPer100k(r *agent.Result) float64 {
	return r.Usage.CPU.Seconds() / float64(r.Measured) * 1e5
}

func (c *Cell) median(of func(*agent.Result) float64) float64 {
	values := make([]float64, len(c.Rounds))
	for i := range c.Rounds {
		values[i] = of(&c.Rounds[i])
	}
	return median(values)
}

// latency is the center over the rounds.
func (c *Cell) latency(of func(*agent.Result) time.Duration) time.Duration {
	values := make([]float64, len(c.Rounds))
	for i := range c.Rounds {
		values[i] = float64(of(&c.Rounds[i]))
	}
	return time.Duration(center(values))
}

// ofChanges is the median over the rounds with changes.
func (c *Cell) ofChanges(of func(Changes) time.Duration) time.Duration {
	values := make([]float64, len(c.Changes))
	for i, m := range c.Changes {
		values[i] = float64(of(m))
	}
	return time.Duration(median(values))
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

// many is how many values center takes the middle half of.
const many = 8

// center is the mean of the middle half of many values, the median of a few.
// Where other programs disturb about every second round, latencies come in two
// clusters, and a median jumps from one to the other between runs.
func center(values []float64) float64 {
	if len(values) < many {
		return median(values)
	}
	slices.Sort(values)
	half := values[len(values)/4 : len(values)-len(values)/4]
	sum := 0.0
	for _, v := range half {
		sum += v
	}
	return sum / float64(len(half))
}

// Results are all cells of a run.
type Results []*Cell

func (r Results) cell(row, peer string) *Cell {
	for _, c := range r {
		if c.Row == row && c.Peer == peer {
			return c
		}
	}
	return nil
}

// figures returns the medians of a cell that may not be there.
func (r Results) figures(row, peer string) (Figures, bool) {
	c := r.cell(row, peer)
	if c == nil {
		return Figures{}, false
	}
	return c.Figures()
}

// Failed says whether a round of any cell did not count.
func (r Results) Failed() bool {
	return slices.ContainsFunc(r, func(c *Cell) bool { return c.Failure != "" })
}
