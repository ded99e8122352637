// SPDX-License-Identifier: Apache-2.0

package recorded

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"
	"strings"
	"sync"
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
	gateway  *gateway.Gateway
	status   *nodeStatus
	follower *follower        // where the configuration comes from the stream
	clients  []*client        // one, or as many as ask at the same time
	refused  []entity.Problem // what speaks against a configuration that is to be refused
	observed []map[string]any // what came of each request, for Own
}

// Run runs a case and returns the differences, and what was seen instead. The
// error says that it could not be run.
func Run(ctx context.Context, c *Case, v Variant) (problems []string, seen *Own, err error) {
	r := &run{c: c, variant: v, names: names{}, backends: map[string]*backend{}, sinks: map[string]*sink{}}
	for k, v := range c.Known {
		r.names[k] = v
	}
	defer r.close()
	if err := r.startServers(); err != nil {
		return nil, nil, err
	}
	if err := r.startGateway(ctx); err != nil {
		return nil, nil, err
	}
	if c.Refused {
		return r.refusal(), &Own{Accepted: len(r.refused) == 0}, r.stop()
	}
	for i := range c.Steps {
		found, err := r.step(&c.Steps[i], fmt.Sprintf("step %d", i))
		if err != nil {
			return nil, nil, fmt.Errorf("step %d: %w", i, err)
		}
		problems = append(problems, found...)
	}
	return problems, &Own{Expect: r.observed}, r.stop()
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
	r.gateway = g
	// Ports first: a configuration may name them.
	loopback := netip.MustParseAddrPort("127.0.0.1:0")
	if err := g.Engine.Listen(ctx, []engine.ListenSpec{{Address: loopback}, {Address: loopback, TLS: true, HTTP2: true}}); err != nil {
		return err
	}
	addresses := g.Engine.Addresses()
	for range max(1, r.variant.Together) {
		r.clients = append(r.clients, &client{
			plain: addresses[0].String(), secure: addresses[1].String(), kept: map[string]*clientConn{}, variant: r.variant,
		})
	}
	for i, name := range []string{"proxy.port", "tls.port"} {
		r.names[name] = int(netip.MustParseAddrPort(addresses[i].String()).Port())
	}
	if r.status, err = startStatus(ctx, g); err != nil {
		return err
	}
	if r.variant.Stream != nil {
		if r.follower, err = r.variant.Stream.follow(g); err != nil {
			return err
		}
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
	r.bePatient(set)
	r.slowDown(set)
	return r.apply(set)
}

// apply gives the gateway a configuration.
func (r *run) apply(set *entity.Set) error {
	if r.follower != nil {
		return r.follower.publish(set)
	}
	if rejected := r.gateway.Apply(set); len(rejected) > 0 {
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
		if err := r.apply(set); err != nil {
			return fmt.Errorf("the configuration before: %w", err)
		}
	}
	got, _, err := r.clients[0].exchange(&Send{}, r.names)
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
	r.hangUp()
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	err := r.gateway.Drain(ctx)
	r.gateway = nil
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
	if r.gateway != nil {
		r.hangUp()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = r.gateway.Drain(ctx)
	}
}

// hangUp ends what feeds and asks the gateway.
func (r *run) hangUp() {
	if r.follower != nil {
		r.follower.close()
		r.follower = nil
	}
	for _, c := range r.clients {
		c.close()
	}
	if r.status != nil {
		r.status.close()
		r.status = nil
	}
}

func (r *run) step(s *Step, where string) ([]string, error) {
	switch {
	case s.Sleep > 0:
		<-time.After(time.Duration(s.Sleep) * time.Millisecond)
		return nil, r.probed()
	case s.Sink != "":
		return r.sinkStep(s, where)
	case s.Status != "":
		return r.statusStep(s, where)
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
	var problems []string
	var answers []answer
	for range or(send.Repeat, 1) {
		answers = r.ask(send)
		r.settle()
		problems = problems[:0]
		for _, a := range answers {
			problems = append(problems, r.capture(s, a.fields, where)...)
			problems = append(problems, compare(want, a.got, where, r.c.Exact)...)
		}
	}
	calls := r.calls(before, due(want)*max(1, r.variant.Together))
	r.observe(answers[0].got, calls)
	if r.variant.Together > 1 {
		return append(problems, r.upstreamTogether(want, calls, where)...), nil
	}
	return append(problems, r.upstream(want, calls, where)...), nil
}

type answer struct {
	got    result
	fields []Field
}

// ask has all clients send a request at the same time.
func (r *run) ask(send *Send) []answer {
	answers := make([]answer, len(r.clients))
	var asking sync.WaitGroup
	for i, c := range r.clients {
		own := *send
		asking.Go(func() {
			got, fields, err := c.exchange(&own, r.names)
			if err != nil {
				got = result{"status": 0.0, "headers": map[string]any{}, "body": err.Error()}
			}
			answers[i] = answer{got, fields}
		})
	}
	asking.Wait()
	return answers
}

// settle waits until the gateway is done with the connections that the client
// closed: the log phase follows the answer, and the next request may depend on
// what it counts.
func (r *run) settle() {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	kept := 0
	for _, c := range r.clients {
		kept += len(c.kept)
	}
	for end := time.Now().Add(arrival); r.gateway.Engine.Connections() > kept && time.Now().Before(end); {
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
