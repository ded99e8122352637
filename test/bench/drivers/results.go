// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/kong/kong-istio-gateway/test/bench/drivers/internal/load"
)

// measurement is one driver in one scenario, once.
type measurement struct {
	cpu  float64 // seconds of the proxy for 100,000 requests
	rate float64 // requests a second
	load float64 // share of the load's core that was used
	p50  time.Duration
	p99  time.Duration
}

func newMeasurement(before, after costs, requests int64, r *load.Result) measurement {
	took := after.at.Sub(before.at).Seconds()
	return measurement{
		cpu:  (after.proxy - before.proxy).Seconds() * 1e5 / float64(requests),
		rate: float64(requests) / took,
		load: (after.load - before.load).Seconds() / took,
		p50:  r.Quantile(0.5),
		p99:  r.Quantile(0.99),
	}
}

// String implements fmt.Stringer.
func (m measurement) String() string {
	return fmt.Sprintf("%.2f CPU-s/100k, %.0f req/s, p50 %s, p99 %s, load %.0f %%", m.cpu, m.rate, m.p50, m.p99, 100*m.load)
}

// memory is what idle connections take of a process.
type memory struct {
	driver     string
	alone      int64 // bytes of the process before
	each       int64 // bytes for a connection
	eachLately int64 // the same after a garbage collection
	secured    int64 // the same over TLS
}

// results are all measurements, by scenario and driver.
type results struct {
	scenarios []string
	all       map[string]map[string][]measurement
	memory    []memory
}

func (r *results) add(scenario, driver string, m measurement) {
	if r.all == nil {
		r.all = map[string]map[string][]measurement{}
	}
	if r.all[scenario] == nil {
		r.all[scenario] = map[string][]measurement{}
		r.scenarios = append(r.scenarios, scenario)
	}
	r.all[scenario][driver] = append(r.all[scenario][driver], m)
}

// median returns the median of one figure, 0 without any.
func median(all []measurement, figure func(measurement) float64) float64 {
	if len(all) == 0 {
		return 0
	}
	values := make([]float64, 0, len(all))
	for _, m := range all {
		values = append(values, figure(m))
	}
	slices.Sort(values)
	if n := len(values); n%2 == 0 {
		return (values[n/2-1] + values[n/2]) / 2
	}
	return values[len(values)/2]
}

func cpuOf(m measurement) float64 { return m.cpu }

// ratio is the median of what all cost to what base cost in the same round.
func ratio(all, base []measurement) float64 {
	pairs := make([]measurement, 0, len(all))
	for i := range min(len(all), len(base)) {
		pairs = append(pairs, measurement{cpu: all[i].cpu / base[i].cpu})
	}
	return median(pairs, cpuOf)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// print writes the tables.
func (r *results) print(w io.Writer, c *comparison) error {
	out := &strings.Builder{}
	fmt.Fprintf(out, "%s, %s, %d rounds of %s, medians; one core for the proxy, one for client and backend.\n\n",
		time.Now().UTC().Format(time.DateOnly), versions(), c.rounds, c.duration)
	fmt.Fprintln(out, "| scenario | driver | CPU-s per 100k | least | to goroutine | req/s | load core | p50 ms | p99 ms |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|---|---|")
	for _, s := range r.scenarios {
		base := r.all[s]["goroutine"]
		for _, d := range drivers {
			all := r.all[s][d]
			if len(all) == 0 {
				continue
			}
			fmt.Fprintf(out, "| %s | %s | %.2f | %.2f | %.2f | %.0f | %.0f %% | %.2f | %.2f |\n", s, d,
				median(all, cpuOf), slices.MinFunc(all, func(a, b measurement) int { return cmp.Compare(a.cpu, b.cpu) }).cpu, ratio(all, base),
				median(all, func(m measurement) float64 { return m.rate }),
				median(all, func(m measurement) float64 { return 100 * m.load }),
				median(all, func(m measurement) float64 { return milliseconds(m.p50) }),
				median(all, func(m measurement) float64 { return milliseconds(m.p99) }))
		}
	}
	if len(r.memory) > 0 {
		fmt.Fprintf(out, "\n| driver | RSS MiB | bytes for each of %d idle connections | after a collection | over TLS |\n|---|---|---|---|---|\n", c.idle)
		for _, m := range r.memory {
			fmt.Fprintf(out, "| %s | %.1f | %d | %d | %d |\n", m.driver, float64(m.alone)/(1<<20), m.each, m.eachLately, m.secured)
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// versions names what was built in.
func versions() string {
	text := runtime.Version()
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return text
	}
	for _, d := range info.Deps {
		if d.Path == "github.com/valyala/fasthttp" {
			text += ", fasthttp " + d.Version
		}
	}
	return text
}
