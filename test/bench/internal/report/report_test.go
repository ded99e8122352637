// SPDX-License-Identifier: Apache-2.0

package report

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/test/bench/internal/agent"
	"github.com/kong/kong-istio-gateway/test/bench/internal/peer"
	"github.com/kong/kong-istio-gateway/test/bench/internal/proc"
	"github.com/kong/kong-istio-gateway/test/bench/internal/suite"
)

// round is one of 100,000 requests in a second.
func round(cpu, p99 time.Duration) agent.Result {
	return agent.Result{Measured: 1e5, Wall: time.Second, P99: p99, Usage: proc.Usage{CPU: cpu, LoadCore: 0.5}}
}

func ours(row string) *suite.Cell { return &suite.Cell{Row: row, Peer: peer.Ours} }

func TestChangesHaveATableOfTheirOwn(t *testing.T) {
	quiet, changing, paced, rapid := ours("changes-quiet"), ours("changes"), ours("change-paced"), ours("change-rapid")
	quiet.Rate, quiet.Rounds = 1000, []agent.Result{round(time.Second, 2*time.Millisecond)}
	changing.Rate, changing.Rounds = 1000, []agent.Result{round(1100*time.Millisecond, 2500*time.Microsecond)}
	changing.Changes = []suite.Changes{{Count: 12, Elapsed: time.Second, Delay: 4 * time.Millisecond}}
	paced.Changes = []suite.Changes{{Count: 10, Elapsed: time.Second, Delay: time.Millisecond, CPU: 1500 * time.Microsecond}}
	rapid.Failure = "the proxy took no change|\nand more"
	sections := suite.Sections()
	i := slices.IndexFunc(sections, func(s suite.Section) bool { return s.Key == "changes" })
	r := &Run{Sections: sections[i : i+1], Results: suite.Results{quiet, changing, paced, rapid}, Direct: &agent.Result{Measured: 1, Wall: time.Second}}
	text := r.Markdown()
	for _, want := range []string{
		"against the same without: 1.25 of at most 1.50: **met**", "10 a second, ms of CPU: 1.50 of at most 5.00: **met**",
		"| the same, 10 changes a second (1000 req/s) | ours | 1.10 | 1.10 of quiet | 100000 | 0.00 | 2.50 | 0 | 50 % |",
		"| the same, 10 changes a second | ours | 12 | 12.0 | 4.00 |  |",
		"| no requests, 10 changes a second | ours | 10 | 10.0 | 1.00 | 1.50 |",
		"| no requests, one change after another | ours | **failed:** the proxy took no change/ |  |  |  |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
	if n := strings.Count(text, "no requests, 10 changes a second"); n != 1 {
		t.Errorf("a row without requests is in %d tables", n)
	}
}

func TestRoutersAreComparedWithOneRoute(t *testing.T) {
	one, prefix, missOne, miss := ours("router-one"), ours("router-prefix"), ours("router-miss-one"), ours("router-miss")
	for c, cpu := range map[*suite.Cell]time.Duration{one: 2 * time.Second, prefix: 3 * time.Second, missOne: time.Second, miss: time.Second} {
		c.Rounds = []agent.Result{round(cpu, time.Millisecond)}
	}
	sections := suite.Sections()
	i := slices.IndexFunc(sections, func(s suite.Section) bool { return s.Key == "routers" })
	r := &Run{Sections: sections[i : i+1], Results: suite.Results{one, prefix, missOne, miss}, Direct: &agent.Result{Measured: 1, Wall: time.Second}}
	text := r.Markdown()
	for _, want := range []string{"| 3.00 | 1.50 of one route |", "| a miss among 5,000 Ingress Prefix paths | ours | 1.00 | 1.00 of one route |", "| one route | ours | 2.00 |  |"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
}
