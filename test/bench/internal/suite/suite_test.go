// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"strings"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/test/bench/internal/agent"
	"github.com/kong/kong-istio-gateway/test/bench/internal/peer"
	"github.com/kong/kong-istio-gateway/test/bench/internal/proc"
)

// cell has a round for each CPU time of 100,000 requests, in seconds.
func cell(row, name string, seconds ...float64) *Cell {
	c := &Cell{Row: row, Peer: name}
	for _, s := range seconds {
		c.Rounds = append(c.Rounds, agent.Result{Measured: 1000, Wall: time.Second, P99: time.Duration(s * float64(time.Millisecond)),
			Usage: proc.Usage{CPU: time.Duration(s * float64(time.Second) / 100), LoadCore: 0.5}})
	}
	return c
}

// changed has a round for each CPU time of a change.
func changed(row string, costs ...time.Duration) *Cell {
	c := &Cell{Row: row, Peer: peer.Ours}
	for _, cpu := range costs {
		c.Changes = append(c.Changes, Changes{Count: 10, Elapsed: time.Second, Delay: time.Millisecond, CPU: cpu})
	}
	return c
}

// under adds so many changes to a cell's rounds, each of a second.
func under(changes int, c *Cell) *Cell {
	for range c.Rounds {
		c.Changes = append(c.Changes, Changes{Count: changes, Elapsed: time.Second})
	}
	return c
}

func TestFewerChangesThanPromisedShowNothing(t *testing.T) {
	for count, missing := range map[int]bool{8: true, 9: false} {
		for _, v := range Judge(Results{under(count, cell("changes", peer.Ours, 1)), cell("changes-quiet", peer.Ours, 1)}, Bars()) {
			if v.ours.row == "changes" && v.Missing != missing {
				t.Errorf("%d a second: %s", count, v.String())
			}
		}
	}
}

func TestBarsAreJudgedByMedians(t *testing.T) {
	results := Results{
		cell("plain", peer.Ours, 9, 1, 1), cell("plain", peer.Nginx, 1, 1, 1), cell("plain", peer.HAProxy, 0.9, 0.9, 0.9), cell("plain", peer.Envoy, 3.1, 3.1, 3.1),
		cell("latency", peer.Ours, 2.1), cell("latency", peer.Nginx, 1),
		cell("router-one", peer.Ours, 1), cell("router-prefix", peer.Ours, 1.31),
		under(10, cell("changes", peer.Ours, 1.49)), cell("changes-quiet", peer.Ours, 1),
		changed("change-paced", time.Millisecond, 9*time.Millisecond, 2*time.Millisecond), changed("change-rapid", 5100*time.Microsecond),
	}
	want := map[string]string{
		"plain, CPU per request against nginx":                                                    "**met**",
		"plain, CPU per request against HAProxy":                                                  "**not met**",
		"plain, CPU per request against Envoy":                                                    "**met**",
		"p99 at half load against nginx":                                                          "**not met**",
		"5,000 Ingress Prefix paths on one host, CPU per request against one route":               "**not met**",
		"TLS keep-alive, CPU per request against HAProxy":                                         "not measured",
		"p99 at half load under 10 changes a second among 5,000 routes, against the same without": "1.49 of at most 1.50: **met**",
		"one changed route among 5,000, 10 a second, ms of CPU":                                   "2.00 of at most 5.00: **met**",
		"one changed route among 5,000, one after another, ms of CPU":                             "5.10 of at most 5.00: **not met**",
	}
	for _, v := range Judge(results, Bars()) {
		if w, ok := want[v.Title]; ok && !strings.HasSuffix(v.String(), w) {
			t.Errorf("%s, want %s", v.String(), w)
		}
		delete(want, v.Title)
	}
	if len(want) > 0 {
		t.Errorf("no bar of: %v", want)
	}
}

func TestBarsNameRows(t *testing.T) {
	rows := map[string]bool{}
	for _, s := range Sections() {
		for _, r := range s.Rows {
			if rows[r.Key] {
				t.Errorf("two rows are called %s", r.Key)
			}
			rows[r.Key] = true
		}
	}
	for _, b := range Bars() {
		if !rows[b.ours.row] || b.other != (side{}) && !rows[b.other.row] {
			t.Errorf("the bar %q names a row that there is not", b.Title)
		}
	}
}

func TestThroughputCountsOnlyBelowSaturation(t *testing.T) {
	for busy, want := range map[float64]float64{0.89: 1000, 0.91: 0} {
		c := cell("plain", peer.Ours, 1)
		c.Rounds[0].Usage.LoadCore = busy
		if f, ok := c.Figures(); !ok || f.Throughput != want {
			t.Errorf("load core %.2f: %.0f req/s, %v", busy, f.Throughput, ok)
		}
	}
}

func TestCenter(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{900, 1, 2}, 2},
		// Two clusters, and what is outside of the middle half is passed over.
		{[]float64{1, 1, 1, 1, 3, 3, 3, 900}, 2},
		{[]float64{0, 0, 4, 4, 4, 5, 5, 900, 900}, 4.4},
	} {
		if got := center(c.values); got != c.want {
			t.Errorf("%v: %v, want %v", c.values, got, c.want)
		}
	}
}

func TestFailedRoundsDoNotCount(t *testing.T) {
	c := cell("plain", peer.Ours, 1)
	c.Failure = "a header is missing"
	if _, ok := c.Figures(); ok || !(Results{c}).Failed() {
		t.Error("a failed cell has figures")
	}
}

func TestRequestsSpreadOverRoutes(t *testing.T) {
	paths := map[string]bool{}
	for _, r := range requestsTo(manyRoutes, func(int) string { return "h" }, pathOf) {
		paths[r.Path] = true
	}
	if len(paths) != spread {
		t.Errorf("%d different paths, want %d", len(paths), spread)
	}
}
