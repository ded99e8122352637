// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// tally counts what clients did.
type tally struct {
	mu      sync.Mutex
	began   time.Time
	done    map[string]int
	failed  map[string]int
	samples map[string]error // the first failure of each kind
}

func newTally() *tally {
	return &tally{began: time.Now(), done: map[string]int{}, failed: map[string]int{}, samples: map[string]error{}}
}

func (t *tally) note(kind string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done[kind]++
	if err == nil {
		return
	}
	if t.failed[kind]++; t.samples[kind] == nil {
		t.samples[kind] = err
	}
}

// report prints the counts and returns what failed.
func (t *tally) report(out io.Writer) (problems []error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "traffic\tdone\tfailed")
	total := 0
	for _, kind := range slices.Sorted(maps.Keys(t.done)) {
		fmt.Fprintf(w, "%s\t%d\t%d\n", kind, t.done[kind], t.failed[kind])
		total += t.done[kind]
		if err := t.samples[kind]; err != nil {
			problems = append(problems, fmt.Errorf("%s: %d of %d failed, the first with: %w", kind, t.failed[kind], t.done[kind], err))
		}
	}
	fmt.Fprintf(w, "all\t%d\tin %v\n", total, time.Since(t.began).Round(time.Second))
	_ = w.Flush()
	return problems
}

// measure is one thing that must not grow.
type measure struct {
	name string
	// metric is its name in the proxy's metrics; scale turns it into unit.
	metric string
	unit   string
	scale  float64
	// slack is by how much it may differ between the two ends of the run, beside
	// a tenth.
	slack float64
}

var measures = []measure{
	{"heap in use", "go_memstats_heap_inuse_bytes", "MiB", 1 << 20, 3},
	{"goroutines", "go_goroutines", "", 1, 30},
	{"descriptors", "process_open_fds", "", 1, 30},
	{"resident", "process_resident_memory_bytes", "MiB", 1 << 20, 6},
}

// samples are the values of each measure, in order.
type samples [][]float64

// follow measures the proxy until ctx ends.
func (p *proxy) follow(ctx context.Context, every time.Duration) samples {
	all := make(samples, len(measures))
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return all
		case <-tick.C:
		}
		found, err := p.metrics(ctx)
		if err != nil {
			if ctx.Err() == nil {
				fmt.Fprintln(os.Stderr, "soak: metrics:", err)
			}
			continue
		}
		for i, m := range measures {
			all[i] = append(all[i], found[m.metric]/m.scale)
		}
	}
}

// metrics reads the proxy's metrics that have no labels.
func (p *proxy) metrics(ctx context.Context) (map[string]float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.status+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	found := map[string]float64{}
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		name, text, ok := strings.Cut(lines.Text(), " ")
		if value, err := strconv.ParseFloat(text, 64); ok && err == nil {
			found[name] = value
		}
	}
	return found, lines.Err()
}

// growth is how a measure changed over a run.
type growth struct{ early, late, most float64 }

// compare returns the medians of the first and the last third behind the
// warm-up; ok is false when there is too little to tell.
func compare(values []float64) (g growth, ok bool) {
	values = values[int(warmUp*float64(len(values))):]
	third := len(values) / 3
	if third < 2 {
		return growth{}, false
	}
	return growth{median(values[:third]), median(values[len(values)-third:]), slices.Max(values)}, true
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// flat reports whether a measure did not grow.
func (m *measure) flat(g growth) bool { return g.late <= g.early*1.1+m.slack }

// judge prints the measures and returns those that grew.
func judge(out io.Writer, all samples) (problems []error) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nproxy\tafter warm-up\tat the end\tmost\t")
	for i := range measures {
		m := &measures[i]
		g, ok := compare(all[i])
		if !ok {
			problems = append(problems, fmt.Errorf("%s: %d samples are too few", m.name, len(all[i])))
			continue
		}
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.1f\t%s\n", m.name, g.early, g.late, g.most, m.unit)
		if !m.flat(g) {
			problems = append(problems, fmt.Errorf("%s grew from %.1f to %.1f %s", m.name, g.early, g.late, m.unit))
		}
	}
	_ = w.Flush()
	return problems
}
