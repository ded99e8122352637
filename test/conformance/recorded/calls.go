// SPDX-License-Identifier: Apache-2.0

package recorded

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"
)

// due is how many calls an expectation speaks of.
func due(want map[string]any) int {
	expected, _ := want["upstream"].([]any)
	counts, _ := want["upstream_counts"].(map[string]any)
	spread, _ := want["upstream_spread"].([]any)
	due := len(expected)
	for _, n := range counts {
		due += int(n.(float64))
	}
	for _, n := range spread {
		due += int(n.(float64))
	}
	return due
}

// upstream compares the calls that the backends received.
func (r *run) upstream(want map[string]any, calls []call, where string) (problems []string) {
	expected, listed := want["upstream"].([]any)
	counts, counted := want["upstream_counts"].(map[string]any)
	spread, spreads := want["upstream_spread"].([]any)
	tally := map[string]any{}
	for name := range r.backends {
		tally[name] = 0.0
	}
	for _, c := range calls {
		tally[c.backend] = tally[c.backend].(float64) + 1
	}
	if counted && !reflect.DeepEqual(counts, tally) {
		problems = append(problems, fmt.Sprintf("%s upstream_counts: want %v got %v", where, counts, tally))
	}
	if spreads {
		var sorted []any
		for _, n := range tally {
			sorted = append(sorted, n)
		}
		slices.SortFunc(sorted, func(a, b any) int { return cmp.Compare(a.(float64), b.(float64)) })
		if !reflect.DeepEqual(spread, sorted) {
			problems = append(problems, fmt.Sprintf("%s upstream_spread: want %v got %v", where, spread, sorted))
		}
	}
	if listed && len(expected) != len(calls) {
		problems = append(problems, fmt.Sprintf("%s: %d upstream calls, want %d", where, len(calls), len(expected)))
	}
	for i := range min(len(expected), len(calls)) {
		w, ok := expected[i].(map[string]any)
		if !ok {
			continue
		}
		if b, named := w["backend"]; named && b != calls[i].backend {
			problems = append(problems, fmt.Sprintf("%s upstream[%d]: went to %s, want %v", where, i, calls[i].backend, b))
		}
		problems = append(problems, compare(w, r.seen(&calls[i]), fmt.Sprintf("%s upstream[%d]", where, i), r.c.Exact)...)
	}
	return problems
}

// upstreamTogether is upstream for clients that asked at the same time: the
// calls of each must be there, in any order.
func (r *run) upstreamTogether(want map[string]any, got []call, where string) []string {
	expected, listed := want["upstream"].([]any)
	if !listed {
		return nil
	}
	var all []map[string]any
	for _, e := range expected {
		if w, ok := e.(map[string]any); ok {
			all = append(all, slices.Repeat([]map[string]any{w}, r.variant.Together)...)
		}
	}
	problems := r.pair(all, got, where+" upstream", r.c.Exact)
	if len(got) != len(all) {
		problems = append(problems, fmt.Sprintf("%s: %d upstream calls, want %d", where, len(got), len(all)))
	}
	return problems
}

// calls returns the calls since before, in the order of their arrival, once
// the due number has come or the time for it is over.
func (r *run) calls(before map[string]int, due int) (out []call) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(arrival); ; <-tick.C {
		out = out[:0]
		for name, b := range r.backends {
			out = append(out, b.calls()[before[name]:]...)
		}
		if len(out) >= due || time.Now().After(end) {
			slices.SortFunc(out, func(a, b call) int { return a.at.Compare(b.at) })
			return out
		}
	}
}

// seen is a call in the form that expectations have.
func (r *run) seen(c *call) result {
	out := result{
		"method": c.message.line(0), "target": r.names.normal(c.message.line(1)),
		"headers": r.names.headers(c.message.fields), "body": r.names.normal(latin(c.message.body)),
		"trailers": r.names.headers(c.message.trailers),
	}
	for k, v := range c.facts {
		out[k] = v
	}
	return out
}

// sinkStep compares what a log plugin sent.
func (r *run) sinkStep(s *Step, where string) (problems []string, err error) {
	var want []map[string]any
	if err := json.Unmarshal(s.Expect, &want); err != nil {
		return nil, err
	}
	wait := sinkWait
	if s.Wait != nil {
		wait = time.Duration(*s.Wait) * time.Millisecond
	}
	from := r.sinks[s.Sink]
	if len(want) == 0 {
		<-time.After(time.Duration(or(s.Quiet, 300)) * time.Millisecond)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(wait); len(from.calls()) < len(want) && time.Now().Before(end); {
		<-tick.C
	}
	got := from.calls()
	if len(got) < len(want) || len(want) == 0 && len(got) > 0 {
		problems = append(problems, fmt.Sprintf("%s: %s got %d of %d", where, s.Sink, len(got), len(want)))
	}
	return append(problems, r.pair(want, got, where+" sink", false)...), nil
}

// pair finds a message of its own for each expectation. Their order is not
// compared: each record is written after its answer was sent, and the next
// request, on another connection, may overtake that; and requests at the same
// time have none.
func (r *run) pair(want []map[string]any, got []call, where string, exact bool) (problems []string) {
	used := make([]bool, len(got))
	for i := range want {
		var nearest []string
		found := false
		for j := range got {
			if used[j] {
				continue
			}
			differences := compare(want[i], r.seen(&got[j]), fmt.Sprintf("%s[%d]", where, i), exact)
			if b, named := want[i]["backend"]; named && b != got[j].backend {
				differences = append(differences, fmt.Sprintf("%s[%d]: went to %s, want %v", where, i, got[j].backend, b))
			}
			if len(differences) == 0 {
				used[j], found = true, true
				break
			}
			if nearest == nil || len(differences) < len(nearest) {
				nearest = differences
			}
		}
		if !found {
			problems = append(problems, nearest...)
		}
	}
	return problems
}
