// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/kong/kong-istio-gateway/test/bench/internal/agent"
	"github.com/kong/kong-istio-gateway/test/bench/internal/check"
	"github.com/kong/kong-istio-gateway/test/bench/internal/peer"
)

// leastAnswers is how many answers a round has at least, however long it takes:
// with fewer the clock of /proc, whose ticks are 10 ms, would say nothing.
const leastAnswers = 100

// Runner measures sections.
type Runner struct {
	Agent *Agent
	// Peers holds the gateway first.
	Peers []*peer.Peer
	// Rounds of Window each, with Warmup before, for every cell.
	Rounds         int
	Warmup, Window time.Duration
	// ProxyCore and LoadCore are numbers of CPUs.
	ProxyCore, LoadCore int
	// Dir is where proxies are configured.
	Dir string
	// Feeder is the program that brings configuration by the stream; sections
	// without Streamed sites need none.
	Feeder string
	// Progress is told what goes on.
	Progress io.Writer

	processes map[string]*peer.Process
	answered  map[*peer.Process]int64
}

func (r *Runner) tell(format string, args ...any) {
	_, _ = fmt.Fprintf(r.Progress, format, args...)
}

// entry is a cell to be measured.
type entry struct {
	*Cell
	row     *Row
	process *peer.Process
}

// Direct measures client and backend without a proxy between them: how much
// the load core can do at best.
func (r *Runner) Direct() (*agent.Result, error) {
	load := get()
	load.Target, load.Warmup, load.Window = r.Agent.Backend, r.Warmup, r.Window
	load.ProxyCore, load.LoadCore = r.ProxyCore, r.LoadCore
	result, err := r.Agent.Run(&load)
	if err == nil && result.Failure != "" {
		err = errors.New(result.Failure)
	}
	return result, err
}

// Section measures one section: all its proxies run, and take turns.
func (r *Runner) Section(ctx context.Context, s *Section) (results Results, err error) {
	r.processes, r.answered = map[string]*peer.Process{}, map[*peer.Process]int64{}
	entries, err := r.prepare(ctx, s)
	if err == nil {
		err = r.rounds(ctx, s, entries)
	}
	for _, e := range entries {
		results = append(results, e.Cell)
	}
	for _, p := range r.processes {
		err = errors.Join(err, p.Stop())
	}
	for _, e := range entries {
		e.checkLog(r.answered[e.process])
	}
	return results, err
}

func (r *Runner) prepare(ctx context.Context, s *Section) ([]*entry, error) {
	var entries []*entry
	for i := range s.Rows {
		row := &s.Rows[i]
		for _, p := range r.Peers {
			if row.OursOnly && p.Name != peer.Ours {
				continue
			}
			e := &entry{Cell: &Cell{Row: row.Key, Peer: p.Name, Absent: p.Absent(row.Site)}, row: row}
			entries = append(entries, e)
			if e.Absent != "" {
				continue
			}
			if err := r.start(ctx, e, p); err != nil {
				return entries, err
			}
		}
	}
	return entries, nil
}

// start gives an entry its process, which entries of the same site share.
func (r *Runner) start(ctx context.Context, e *entry, p *peer.Peer) error {
	key := p.Name + "/" + e.row.Site.Name
	process := r.processes[key]
	if process == nil {
		var err error
		process, err = peer.Start(ctx, p, e.row.Site, &peer.Ground{
			Dir: r.Dir, Backend: r.Agent.Backend, ProxyCore: r.ProxyCore, LoadCore: r.LoadCore, Feeder: r.Feeder,
		})
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return ctx.Err()
		default:
			e.Failure = err.Error()
			return nil
		}
		r.processes[key] = process
	}
	e.process = process
	return nil
}

func (r *Runner) rounds(ctx context.Context, s *Section, entries []*entry) error {
	for i := range s.Rows {
		if s.Rows[i].HalfLoad {
			if err := r.rates(ctx, &s.Rows[i], entries); err != nil {
				return err
			}
		}
	}
	repeat := 1
	for _, e := range entries {
		repeat = max(repeat, e.row.Repeat)
	}
	for round := range r.Rounds * repeat {
		for i := range entries {
			// Each round begins with another, so that none is always first.
			e := entries[(i+round)%len(entries)]
			if e.process == nil || e.Failure != "" || round >= r.Rounds*max(1, e.row.Repeat) {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := r.round(ctx, e, round); err != nil {
				return err
			}
		}
	}
	return nil
}

// round does one measurement of a cell, and tells of it.
func (r *Runner) round(ctx context.Context, e *entry, number int) (err error) {
	rounds, changes := len(e.Rounds), len(e.Changes)
	if e.row.Idle {
		err = r.cost(ctx, e)
	} else {
		err = r.underLoad(e)
	}
	if e.Failure != "" {
		r.tell("%-18s %-8s round %d: FAILED: %s\n", e.Row, e.Peer, number+1, e.Failure)
		return err
	}
	if len(e.Rounds) > rounds {
		last := &e.Rounds[rounds]
		r.tell("%-18s %-8s round %d: %.3f CPU-s/100k, %.0f req/s, p99 %v, load core %.0f %%\n", e.Row, e.Peer, number+1,
			cpuPer100k(last), float64(last.Measured)/last.Wall.Seconds(), last.P99.Round(time.Microsecond), 100*last.Usage.LoadCore)
	}
	if len(e.Changes) > changes {
		last := &e.Changes[changes]
		r.tell("%-18s %-8s round %d: %d changes in %v, acknowledged after %v, CPU %v each\n", e.Row, e.Peer, number+1,
			last.Count, last.Elapsed.Round(time.Millisecond), last.Delay.Round(time.Microsecond), last.CPU.Round(time.Microsecond))
	}
	return err
}

func (r *Runner) underLoad(e *entry) error {
	for i := range e.row.Probes {
		if err := r.probe(e, &e.row.Probes[i], true); err != nil || e.Failure != "" {
			return err
		}
	}
	load := e.row.Load
	load.Rate = e.Rate
	window := r.Window
	if e.row.Repeat > 0 {
		window /= 2
	}
	var result *agent.Result
	report, err := r.changing(e, func() (err error) {
		result, err = r.measure(e, &load, e.row.Refused, r.Warmup, window)
		return err
	})
	if err == nil {
		err = r.changed(e, report, 0)
	}
	if err == nil && e.Failure == "" {
		e.Rounds = append(e.Rounds, *result)
	}
	return err
}

// probe sends one request a few times. refused says that the proxy answers.
func (r *Runner) probe(e *entry, p *Probe, refused bool) error {
	if e.Failure != "" {
		return nil
	}
	load := e.row.Load
	load.Requests, load.Status, load.AnswerAny, load.Connections = []agent.Request{p.Request}, p.Status, refused, 1
	_, err := r.measure(e, &load, refused, time.Millisecond, 20*time.Millisecond)
	if e.Failure != "" {
		e.Failure = fmt.Sprintf("%s of host %s: %s", p.Request.Path, p.Request.Host, e.Failure)
	}
	return err
}

// measure runs a load against a cell's proxy and checks the result. What is
// wrong with it becomes the cell's failure.
func (r *Runner) measure(e *entry, load *agent.Load, refused bool, warmup, window time.Duration) (*agent.Result, error) {
	result, err := r.load(e, load, warmup, window)
	if err != nil {
		return nil, err
	}
	expect := check.Expectation{Headers: e.process.Peer.Headers, Site: e.row.Site, Load: load, Refused: refused}
	if wrong := expect.Result(result); wrong != nil {
		e.Failure = wrong.Error()
	}
	result.Requests, result.Answers = nil, nil // they were checked
	return result, nil
}

func (r *Runner) load(e *entry, load *agent.Load, warmup, window time.Duration) (*agent.Result, error) {
	kind := "plain"
	switch load.Protocol {
	case agent.TLS, agent.Handshakes, agent.HTTP2:
		kind = "tls"
	case agent.H2C:
		kind = "h2c"
	case agent.HTTP1:
	}
	load.Target, load.Processes = e.process.Address(kind), e.process.PIDs
	load.ProxyCore, load.LoadCore = r.ProxyCore, r.LoadCore
	load.Warmup, load.Window, load.AtLeast = warmup, window, leastAnswers
	result, err := r.Agent.Run(load)
	if err != nil {
		return nil, err
	}
	r.answered[e.process] += result.Answered
	return result, nil
}

// rates finds what each proxy can do, and sets the rates of an open loop.
func (r *Runner) rates(ctx context.Context, row *Row, entries []*entry) error {
	best := map[*entry]float64{}
	for range 3 {
		for _, e := range entries {
			if e.row != row || e.process == nil || e.Failure != "" {
				continue
			}
			if e.Rate = rateOf(e.process, entries); e.Rate > 0 {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			load := row.Load
			result, err := r.load(e, &load, r.Warmup, r.Window/2)
			if err != nil {
				return err
			}
			if result.Failure != "" {
				e.Failure = result.Failure
				continue
			}
			best[e] = max(best[e], float64(result.Measured)/result.Wall.Seconds())
		}
	}
	common := 0.0
	for e, rate := range best {
		if e.leads() && (common == 0 || rate < common) {
			common = rate
		}
	}
	for e, rate := range best {
		if e.leads() {
			rate = common
		}
		e.Rate = rate / 2
	}
	return nil
}

// rateOf is the rate that another row found for the same proxy, so that both
// are compared at it; 0 if there is none.
func rateOf(p *peer.Process, entries []*entry) (rate float64) {
	for _, e := range entries {
		if e.process == p {
			rate = max(rate, e.Rate)
		}
	}
	return rate
}

// leads says whether the proxy is one of those that are compared at one rate.
func (e *entry) leads() bool {
	return e.Peer == peer.Ours || e.Peer == peer.Nginx || e.Peer == peer.HAProxy
}

// checkLog compares the access log of a proxy that has ended with the requests
// that it answered.
func (e *entry) checkLog(answered int64) {
	if e.process == nil || !e.row.Site.AccessLog || e.Failure != "" {
		return
	}
	lines, err := e.process.LogLines()
	if err == nil && lines < answered {
		err = fmt.Errorf("the access log has %d lines for %d requests", lines, answered)
	}
	if err != nil {
		e.Failure = err.Error()
	}
}
