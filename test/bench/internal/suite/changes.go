// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"time"

	"github.com/kong/kong-istio-gateway/test/bench/internal/agent"
	"github.com/kong/kong-istio-gateway/test/bench/internal/feed"
	"github.com/kong/kong-istio-gateway/test/bench/internal/peer"
	"github.com/kong/kong-istio-gateway/test/bench/internal/proc"
)

const (
	// changeRate is how many changes a second latency has to bear.
	changeRate = 10
	// ChangedRoutes is how many routes are changed by turns.
	ChangedRoutes = 100
	// ChangeRepeat is how often latencies are measured in a round, each time in
	// a window that is half as long as others: a 99th percentile is what other
	// programs spoil first, and many short windows pass over those that they
	// did.
	ChangeRepeat = 8
)

// changeRows measure one gateway of 5,000 Ingress Prefix paths on one host,
// which has them from the configuration stream.
func changeRows() []Row {
	site := &peer.Site{Name: "changes", Routes: prefixRoutes(), Streamed: true}
	load := with(func(l *agent.Load) {
		l.Requests = requestsTo(manyRoutes, func(int) string { return "shop.example" }, pathOf)
	})
	latency := func(key, title string, change *Change) Row {
		return Row{Key: key, Title: title, Site: site, OursOnly: true, Load: load, HalfLoad: true, Change: change, Repeat: ChangeRepeat}
	}
	cost := func(key, title string, rate float64) Row {
		return Row{Key: key, Title: title, Site: site, OursOnly: true, Load: load, Idle: true, Change: &Change{rate, unasked()}}
	}
	quiet := latency("changes-quiet", "open loop at half load, 64 connections, 5,000 routes, nothing changes", nil)
	quiet.Short = "quiet"
	return []Row{
		quiet,
		latency("changes", "the same, 10 changes a second", &Change{changeRate, unasked()}),
		cost("change-paced", "no requests, 10 changes a second", changeRate),
		cost("change-rapid", "no requests, one change after another", 0),
	}
}

// unasked names routes that no request goes to, so that what is measured is
// what changes do to others.
func unasked() (names []string) {
	asked := map[int]bool{}
	for n := range spread {
		asked[indexOf(n, manyRoutes)] = true
	}
	for i := 0; len(names) < ChangedRoutes; i++ {
		if !asked[i] {
			names = append(names, (peer.Site{}).RouteName(i))
		}
	}
	return names
}

// Changes are those of one round.
type Changes struct {
	// Count is how many there were, in Elapsed.
	Count   int
	Elapsed time.Duration
	// Delay is the median time until one was acknowledged.
	Delay time.Duration
	// CPU is the proxy's for one change, 0 where it had other work as well.
	CPU time.Duration
}

// changing does something while a row's routes change, and returns what the
// feeder says of that, nil when nothing is to change.
func (r *Runner) changing(e *entry, do func() error) (*feed.Report, error) {
	change := e.row.Change
	if change == nil {
		return nil, do()
	}
	report, err := e.process.Feeder.Do(feed.Command{Verb: feed.Begin, Routes: change.Routes, Rate: change.Rate})
	if err != nil || report.Failure != "" {
		return report, err
	}
	if err := do(); err != nil {
		return nil, err
	}
	return e.process.Feeder.Do(feed.Command{Verb: feed.End})
}

// changed keeps a round's changes if the proxy took them: if it acknowledged
// every one that was due, and has the last route where it should be.
func (r *Runner) changed(e *entry, report *feed.Report, cpu time.Duration) error {
	if report == nil || e.Failure != "" {
		return nil
	}
	if wrong := report.Taken(e.row.Change.Rate); wrong != nil {
		e.Failure = wrong.Error()
	}
	now := Probe{agent.Request{Host: report.Host, Path: report.Path}, e.row.Load.Status}
	if err := r.probe(e, &now, false); err != nil {
		return err
	}
	gone := Probe{agent.Request{Host: report.Host, Path: report.Former}, 404}
	if err := r.probe(e, &gone, true); err != nil || e.Failure != "" {
		return err
	}
	e.Changes = append(e.Changes, Changes{report.Changes, report.Elapsed, report.Delay, cpu / time.Duration(report.Changes)})
	return nil
}

// cost measures what a change costs a proxy that has nothing else to do: its
// CPU time with changes, less what it takes without.
func (r *Runner) cost(ctx context.Context, e *entry) error {
	quiet, err := span(e.process.PIDs, func() error { return pause(ctx, r.Window/2) })
	if err != nil {
		return err
	}
	var report *feed.Report
	with, err := span(e.process.PIDs, func() (err error) {
		report, err = r.changing(e, func() error { return pause(ctx, r.Window) })
		if err != nil {
			return err
		}
		// What follows an acknowledgement is a part of the change.
		return pause(ctx, r.Warmup)
	})
	if err != nil {
		return err
	}
	return r.changed(e, report, with.beyond(quiet))
}

// used is CPU time of a proxy within a time.
type used struct{ cpu, wall time.Duration }

// beyond is the CPU time that exceeds what another's rate makes of the time.
func (u used) beyond(quiet used) time.Duration {
	return u.cpu - time.Duration(float64(quiet.cpu)*float64(u.wall)/float64(quiet.wall))
}

func span(pids []int, do func() error) (u used, err error) {
	began := time.Now()
	before, err := proc.Exact(pids)
	if err != nil {
		return u, err
	}
	if err := do(); err != nil {
		return u, err
	}
	after, err := proc.Exact(pids)
	return used{after - before, time.Since(began)}, err
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
