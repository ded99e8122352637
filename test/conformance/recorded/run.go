// SPDX-License-Identifier: Apache-2.0

package recorded

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
	"github.com/kong/kong-istio-gateway/internal/dataplane/gateway"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugins/registry"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

const (
	// arrival is how long upstream calls may take to be noted after the answer.
	arrival = 2 * time.Second
	// sinkWait is how long log entries may take.
	sinkWait = 3 * time.Second
	// drainTime bounds the end of a gateway.
	drainTime = 5 * time.Second
)

// run is one case under way.
type run struct {
	c        *Case
	variant  Variant
	names    names
	backends map[string]*backend
	sinks    map[string]*sink
	engine   *engine.Engine
	client   client
	refused  []entity.Problem // what speaks against a configuration that is to be refused
}

// Run runs a case and returns the differences. The error says that it could
// not be run.
func Run(ctx context.Context, c *Case, v Variant) (problems []string, err error) {
	r := &run{c: c, variant: v, names: names{}, backends: map[string]*backend{}, sinks: map[string]*sink{}}
	for k, v := range c.Known {
		r.names[k] = v
	}
	defer r.close()
	if err := r.startServers(); err != nil {
		return nil, err
	}
	if err := r.startGateway(ctx); err != nil {
		return nil, err
	}
	if c.Refused {
		return r.refusal(), r.stop()
	}
	for i := range c.Steps {
		found, err := r.step(&c.Steps[i], fmt.Sprintf("step %d", i))
		if err != nil {
			return nil, fmt.Errorf("step %d: %w", i, err)
		}
		problems = append(problems, found...)
	}
	return problems, r.stop()
}

func (r *run) startServers() error {
	for name, spec := range r.c.Backends {
		b, err := startBackend(name, spec)
		if b != nil {
			r.backends[name] = b
		}
		if err != nil {
			return err
		}
		r.names[name+".port"] = b.port
	}
	for name, spec := range r.c.Sinks {
		s, err := startSink(spec)
		if err != nil {
			return err
		}
		r.sinks[name] = s
		r.names[name+".port"] = s.port
	}
	return nil
}

func (r *run) startGateway(ctx context.Context) error {
	settings, err := engine.ReadSettings(func(name string) (string, bool) { v, ok := r.c.Env[name]; return v, ok })
	if err != nil {
		return err
	}
	g, err := gateway.New(gateway.Options{
		Settings: settings, Plugins: registry.All(), Schemas: schemas.All(),
		Logger: slog.New(slog.DiscardHandler), Product: "kong-istio-gateway/recorded",
	})
	if err != nil {
		return err
	}
	r.engine = g.Engine
	// Ports first: a configuration may name them.
	loopback := netip.MustParseAddrPort("127.0.0.1:0")
	if err := r.engine.Listen(ctx, []engine.ListenSpec{{Address: loopback}, {Address: loopback, TLS: true, HTTP2: true}}); err != nil {
		return err
	}
	addresses := r.engine.Addresses()
	r.client = client{plain: addresses[0].String(), secure: addresses[1].String(), kept: map[string]*clientConn{}, variant: r.variant}
	for i, name := range []string{"proxy.port", "tls.port"} {
		r.names[name] = int(netip.MustParseAddrPort(addresses[i].String()).Port())
	}
	if r.variant.Reload {
		if err := r.serveAnother(); err != nil {
			return err
		}
	}
	set, problems := entity.Decode(r.names.fill(r.c.Config), schemas.All())
	if r.c.Refused {
		r.refused = problems
		return nil
	}
	if len(problems) > 0 {
		return fmt.Errorf("configuration refused: %v", problems)
	}
	if rejected := r.engine.Apply(set); len(rejected) > 0 {
		return fmt.Errorf("configuration rejected: %v", rejected)
	}
	return nil
}

// another is what a gateway serves before it gets a case's configuration: none
// of it may be left then.
const another = `
_format_version: "3.0"
services:
- {name: another, url: "http://127.0.0.1:1/another", routes: [{name: another, paths: ["/", "~/.*"], hosts: [], methods: []}]}
- {name: example, url: "http://127.0.0.1:1", routes: [{name: example, hosts: [example.com, localhost], paths: ["/"]}]}
consumers: [{username: another, keyauth_credentials: [{key: another}]}]
plugins: [{name: request-termination, config: {status_code: 418, message: another}}]
`

// serveAnother makes the gateway serve, and its client see, something else.
func (r *run) serveAnother() error {
	for _, config := range []string{`_format_version: "3.0"`, another} {
		set, problems := entity.Decode([]byte(config), schemas.All())
		if len(problems) > 0 {
			return fmt.Errorf("the configuration before: %v", problems)
		}
		if rejected := r.engine.Apply(set); len(rejected) > 0 {
			return fmt.Errorf("the configuration before: %v", rejected)
		}
	}
	got, _, err := r.client.exchange(&Send{}, r.names)
	if err != nil {
		return err
	}
	if got["status"] != 418.0 {
		return fmt.Errorf("the configuration before does not serve: %v", got)
	}
	return nil
}

// stop drains the gateway: nothing of a case that is over may hold it up.
func (r *run) stop() error {
	r.client.close()
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	err := r.engine.Drain(ctx)
	r.engine = nil
	if err != nil {
		return fmt.Errorf("the gateway did not drain: %w", err)
	}
	return nil
}

func (r *run) close() {
	for _, b := range r.backends {
		b.close()
	}
	for _, s := range r.sinks {
		s.close()
	}
	if r.engine != nil {
		r.client.close()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = r.engine.Drain(ctx)
	}
}

func (r *run) step(s *Step, where string) ([]string, error) {
	switch {
	case s.Sleep > 0:
		<-time.After(time.Duration(s.Sleep) * time.Millisecond)
		return nil, nil
	case s.Sink != "":
		return r.sinkStep(s, where)
	}
	send := &Send{}
	if err := r.names.decode(s.Send, send); err != nil {
		return nil, err
	}
	var want map[string]any
	if err := json.Unmarshal(s.Expect, &want); err != nil {
		return nil, err
	}
	r.variant.adapt(want, send, r.c)
	before := map[string]int{}
	for name, b := range r.backends {
		before[name] = len(b.calls())
	}
	var got result
	var fields []Field
	for range or(send.Repeat, 1) {
		var err error
		if got, fields, err = r.client.exchange(send, r.names); err != nil {
			got = result{"status": 0.0, "headers": map[string]any{}, "body": err.Error()}
		}
		r.settle()
	}
	problems := r.capture(s, fields, where)
	problems = append(problems, compare(want, got, where, r.c.Exact)...)
	return append(problems, r.upstream(want, before, where)...), nil
}

// settle waits until the gateway is done with the connections that the client
// closed: the log phase follows the answer, and the next request may depend on
// what it counts.
func (r *run) settle() {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(arrival); r.engine.Connections() > len(r.client.kept) && time.Now().Before(end); {
		<-tick.C
	}
}

// capture notes parts of the answer's headers for later steps.
func (r *run) capture(s *Step, fields []Field, where string) (problems []string) {
	for name, from := range s.Grab {
		expression, err := regexp.Compile(from[1])
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: capture: %v", where, err))
			continue
		}
		found := false
		for _, f := range fields {
			if m := expression.FindStringSubmatch(f[1]); strings.EqualFold(f[0], from[0]) && m != nil && !found {
				r.names[name], found = m[1], true
			}
		}
		if !found {
			problems = append(problems, fmt.Sprintf("%s: nothing to capture for %s", where, name))
		}
	}
	return problems
}

// upstream compares the calls that the backends received.
func (r *run) upstream(want map[string]any, before map[string]int, where string) (problems []string) {
	expected, listed := want["upstream"].([]any)
	counts, counted := want["upstream_counts"].(map[string]any)
	spread, spreads := want["upstream_spread"].([]any)
	due := len(expected)
	for _, n := range counts {
		due += int(n.(float64))
	}
	for _, n := range spread {
		due += int(n.(float64))
	}
	calls := r.calls(before, due)
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
	return append(problems, r.pair(want, got, fmt.Sprintf("%s sink", where))...), nil
}

// pair finds a message of its own for each expectation. Their order is not
// compared: each record is written after its answer was sent, and the next
// request, on another connection, may overtake that.
func (r *run) pair(want []map[string]any, got []call, where string) (problems []string) {
	used := make([]bool, len(got))
	for i := range want {
		var nearest []string
		found := false
		for j := range got {
			if used[j] {
				continue
			}
			differences := compare(want[i], r.seen(&got[j]), fmt.Sprintf("%s[%d]", where, i), false)
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
