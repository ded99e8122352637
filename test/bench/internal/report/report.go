// SPDX-License-Identifier: Apache-2.0

// Package report writes what a run showed, for a terminal and for the docs.
package report

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/kong/kong-istio-gateway/test/bench/internal/agent"
	"github.com/kong/kong-istio-gateway/test/bench/internal/peer"
	"github.com/kong/kong-istio-gateway/test/bench/internal/suite"
)

// noisy is the share of the proxy's core from which other programs' use of it
// is worth a warning.
const noisy = 0.05

// Run is everything about a run.
type Run struct {
	Began, Ended   time.Time
	Peers          []*peer.Peer
	Sections       []suite.Section
	Results        suite.Results
	Direct         *agent.Result
	Rounds         int
	Warmup, Window time.Duration
	ProxyCore      int
	LoadCore       int
}

// Markdown renders the run.
func (r *Run) Markdown() string {
	var b strings.Builder
	b.WriteString("# Performance\n\n<!-- Written by `make bench-peers`. -->\n\n")
	r.intro(&b)
	b.WriteString("\n## Bars\n\n")
	complete := len(r.Sections) == len(suite.Sections())
	for _, v := range suite.Judge(r.Results, suite.Bars()) {
		if !v.Missing || complete {
			fmt.Fprintf(&b, "* %s\n", v.String())
		}
	}
	for i := range r.Sections {
		r.section(&b, &r.Sections[i])
	}
	r.method(&b)
	return b.String()
}

func (r *Run) intro(b *strings.Builder) {
	fmt.Fprintf(b, "%s to %s UTC, %d rounds of %v. Kernel %s, %d cores (%s), Go %s.\n\n",
		r.Began.UTC().Format("2006-01-02 15:04"), r.Ended.UTC().Format("15:04"), r.Rounds, r.Window, kernel(), runtime.NumCPU(), processor(), strings.TrimPrefix(runtime.Version(), "go"))
	b.WriteString("| proxy | version |\n|---|---|\n")
	for _, p := range r.Peers {
		fmt.Fprintf(b, "| %s | %s |\n", p.Name, p.Version)
	}
	fmt.Fprintf(b, "\nClient and backend alone, on the core that both share in all measurements: %.0f req/s.\n",
		float64(r.Direct.Measured)/r.Direct.Wall.Seconds())
	if share := r.foreign(); share > noisy {
		fmt.Fprintf(b, "\n**The machine was not quiet:** other programs used up to %.0f %% of the proxy's core (median of a cell's rounds).\n", 100*share)
	}
}

// foreign is the largest share of the proxy's core that others used.
func (r *Run) foreign() (share float64) {
	for _, c := range r.Results {
		// An idle core has little for others to take, and ticks are coarse.
		if f, ok := c.Figures(); ok {
			share = max(share, f.Foreign)
		}
	}
	return share
}

func (r *Run) section(b *strings.Builder, s *suite.Section) {
	fmt.Fprintf(b, "\n## %s\n\n| | proxy | CPU-s per 100k requests | ours/peer | req/s | p50 ms | p99 ms | peak RSS MiB | load core |\n|---|---|--:|--:|--:|--:|--:|--:|--:|\n", s.Title)
	for i := range s.Rows {
		if !s.Rows[i].Idle {
			r.row(b, s, &s.Rows[i])
		}
	}
	if slices.ContainsFunc(s.Rows, func(row suite.Row) bool { return row.Change != nil }) {
		r.changes(b, s)
	}
}

// changes is a table of what changes of the configuration did.
func (r *Run) changes(b *strings.Builder, s *suite.Section) {
	b.WriteString("\n| changes of a route | proxy | changes | changes a second | acknowledged after ms | CPU-ms per change |\n|---|---|--:|--:|--:|--:|\n")
	for _, row := range s.Rows {
		for _, c := range r.Results {
			if c.Row != row.Key || row.Change == nil {
				continue
			}
			fmt.Fprintf(b, "| %s | %s | %s |\n", row.Title, c.Peer, strings.Join(changeColumns(c, row.Idle), " | "))
		}
	}
}

// changeColumns are what a cell shows of changes. Under load their CPU time
// cannot be told from that of requests.
func changeColumns(c *suite.Cell, idle bool) []string {
	f, ok := c.Figures()
	if !ok {
		return []string{nothing(c), "", "", ""}
	}
	cpu := ""
	if idle {
		cpu = milliseconds(f.ChangeCPU)
	}
	return []string{fmt.Sprint(f.Changes), fmt.Sprintf("%.1f", f.ChangeRate), milliseconds(f.ChangeDelay), cpu}
}

func (r *Run) row(b *strings.Builder, s *suite.Section, row *suite.Row) {
	title := row.Title
	for _, c := range r.Results {
		if c.Row != row.Key {
			continue
		}
		name := title
		if c.Rate > 0 {
			name = strings.TrimSpace(fmt.Sprintf("%s (%.0f req/s)", title, c.Rate))
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", name, c.Peer, strings.Join(r.columns(c, base(s, c)), " | "))
		title = ""
	}
}

// base is the row that a cell's ratio is taken against: in sections of the
// gateway alone the first one, or the miss of one route for a miss.
func base(s *suite.Section, c *suite.Cell) (row string) {
	if !s.Rows[0].OursOnly {
		return c.Row
	}
	if strings.HasPrefix(c.Row, "router-miss") {
		return "router-miss-one"
	}
	return s.Rows[0].Key
}

// columns are a cell's figures, or why there are none.
func (r *Run) columns(c *suite.Cell, base string) []string {
	f, ok := c.Figures()
	if !ok {
		return []string{nothing(c), "", "", "", "", "", ""}
	}
	throughput := "load core full"
	if f.Throughput > 0 {
		throughput = fmt.Sprintf("%.0f", f.Throughput)
	}
	return []string{
		fmt.Sprintf("%.2f", f.CPU), r.ratio(c, f, base), throughput, milliseconds(f.P50), milliseconds(f.P99),
		fmt.Sprintf("%.0f", f.PeakRSS/(1<<20)), fmt.Sprintf("%.0f %%", 100*f.LoadCore),
	}
}

// nothing says why a cell has no figures.
func nothing(c *suite.Cell) string {
	why := "absent: " + c.Absent
	if c.Failure != "" {
		why, _, _ = strings.Cut("**failed:** "+c.Failure, "\n")
	}
	return strings.ReplaceAll(why, "|", "/")
}

// ratio is ours by the peer's, or in sections of the gateway alone a row's by
// its base's.
func (r *Run) ratio(c *suite.Cell, f suite.Figures, base string) string {
	if base != c.Row {
		if other, ok := r.find(base, peer.Ours); ok && other.CPU > 0 {
			return fmt.Sprintf("%.2f of %s", f.CPU/other.CPU, r.short(base))
		}
		return ""
	}
	if c.Peer == peer.Ours || f.CPU == 0 {
		return ""
	}
	ours, ok := r.find(c.Row, peer.Ours)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%.2f", ours.CPU/f.CPU)
}

// short is what a row is called where others are compared with it.
func (r *Run) short(key string) string {
	for i := range r.Sections {
		for _, row := range r.Sections[i].Rows {
			if row.Key == key && row.Short != "" {
				return row.Short
			}
		}
	}
	return key
}

func (r *Run) find(row, name string) (suite.Figures, bool) {
	for _, c := range r.Results {
		if c.Row == row && c.Peer == name {
			return c.Figures()
		}
	}
	return suite.Figures{}, false
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()*1000) }

func kernel() string {
	data, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(data))
}

func processor() string {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(data)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func (r *Run) method(b *strings.Builder) {
	fmt.Fprintf(b, `
## How it was measured

%[1]s measures; this page is what it wrote. The proxy runs on CPU %[2]d with one worker (GOMAXPROCS=1 for those in Go, otherwise default
settings, the garbage collector's too), client and backend are one process on CPU %[3]d. Everything is on the loopback address. In each section all proxies
run at once and take turns: %[4]v of warm-up, %[5]v measured, %[6]d rounds, each beginning with another proxy. Figures are medians over the rounds.

* **CPU-s per 100k requests** is the user and system time of all processes of the proxy, from /proc. It is the figure to compare. It holds what the kernel does for
  the proxy's sockets.
* **req/s** is shown only when the load core was busy for less than 90 %% of the time, whoever was busy there.
* **peak RSS** is the sum of the largest resident sets of the proxy's processes under that load.
* Latencies of closed loops are those of saturation: a proxy that takes more shows longer ones. The open loop begins requests at times that are drawn beforehand and
  counts from those times, also for requests that had to wait for a connection, so nothing is hidden by a client that waits. The gateway, nginx and
  HAProxy get the same rate, half of what the slowest of them can do; others half of what they can do themselves.

All proxies do the same work: keep the Host header; add X-Real-IP, X-Forwarded-For, -Proto, -Host, -Port and -Path, Via and a request id to the request; add the
latency of the upstream and of the proxy, Via and the request id to the answer; keep connections to the backend open. (Traefik cannot make a request id and adds
fixed values in its place, as for both latencies.) Each round counts only if every request of the client arrived at the backend
exactly once with its whole body, every answer had the right status and length, and the heads that were kept (the first ones and one in some hundred) held all of this at both
ends. Bodies are streamed. TLS is 1.3 with an ECDSA P-256 certificate, X25519 and AES-128-GCM for everyone. The client's requests are formatted before the first one is
sent.

A row of the router is compared with one route in the same rounds; requests go to %[7]d different paths.

Where the configuration changes, the proxy gets it as in a fleet: from the configuration stream, served by a process in the manager's place that has the load core
when the client leaves it (SCHED_IDLE). A change moves a route to another path; no request goes to the %[8]d routes that are changed by turns. Rows with and without changes
have one rate and take turns, each %[9]d times a round in half the time; their latencies are the mean of the middle half. A round counts only if the proxy acknowledged
each change before the next, with nothing rejected, and then served the last one at its new path and no longer at the former. CPU-ms per change is the time of all threads
of a proxy that gets no requests (schedstat), from the first change until a while after the last acknowledgement, less what it took before: it holds the stream, the
validation and the garbage collector.
`, "`make bench-peers`", r.ProxyCore, r.LoadCore, r.Warmup, r.Window, r.Rounds, 499,
		suite.ChangedRoutes, suite.ChangeRepeat)
}
