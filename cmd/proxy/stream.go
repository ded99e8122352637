// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/configsync/client"
	"github.com/kong/kong-istio-gateway/internal/dataplane/dial"
	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
	"github.com/kong/kong-istio-gateway/internal/dataplane/meshscope"
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

// stream is the control plane as the source of configuration.
type stream struct {
	process  *process
	client   *client.Client
	gate     *meshscope.Gate
	changing sync.Mutex // held while a change is made and what it rejects is noted
	rejected atomic.Pointer[[]pipeline.Rejection]
	rates    rates
}

const reportEvery = 10 * time.Second

func newStream(p *process) (*stream, error) {
	s := &stream{process: p, rates: rates{since: time.Now()}}
	s.gate = meshscope.New(meshscope.Options{
		Listeners: s.listeners(),
		Apply:     s.applyDelta,
		Retire:    func(a netip.AddrPort) { p.engine.Retire(a) },
		Logger:    p.log,
	})
	known, err := configsync.Schemas(schemas.All())
	if err != nil {
		return nil, err
	}
	o := p.options
	s.client, err = client.New(client.Config{
		Gateway: o.gateway, Pod: client.Pod{Name: o.pod.name, UID: o.pod.uid, Node: o.pod.node},
		Version: version, Schemas: known,
		Target: o.controlPlane, ServerName: o.controlPlaneName, CADir: o.controlPlaneCADir, TokenFile: o.tokenFile,
		SnapshotDir: o.snapshotDir, DataDir: o.dataDir,
		Apply: s.apply, Report: s.report, ReportEvery: reportEvery, Logger: p.log,
	})
	return s, err
}

// listeners asks the sidecar; without one every address is ready.
func (s *stream) listeners() func(context.Context) (map[netip.AddrPort]bool, error) {
	if s.process.options.mesh == "none" {
		return nil
	}
	return meshscope.EnvoyListeners(&http.Client{Timeout: time.Second}, s.process.options.sidecarAdmin)
}

// start serves the last known configuration, so that a restarted proxy does
// not depend on the control plane.
func (s *stream) start(ctx context.Context) error {
	loaded, err := s.client.Load(ctx)
	if err != nil {
		s.process.log.Warn("a stored snapshot cannot be used", "error", err)
	}
	s.process.log.Info("stored snapshot", "loaded", loaded)
	return nil
}

func (s *stream) run(ctx context.Context) error {
	defer s.gate.Close()
	return s.client.Run(ctx)
}

// apply takes an update of the stream.
func (s *stream) apply(ctx context.Context, u client.Update) []configsync.Rejection {
	if u.DialChanged || u.First {
		s.process.dialer.SetPolicy(s.dialPolicy(u.Settings.Dial))
	}
	scope := u.Settings.Scope
	change := meshscope.Change{Delta: u.Delta(), Scopes: u.ChangedScope}
	s.gate.Apply(ctx, change, func(a netip.AddrPort) (meshscope.Scope, bool) {
		e, ok := scope.Lookup(a)
		return meshscope.Scope{Hash: e.EgressHash, Held: e.Held}, ok
	})
	return s.rejections()
}

// applyDelta makes a change of the running configuration. What the gate lets
// through later is acknowledged anew: it may be refused as well.
func (s *stream) applyDelta(d entity.Delta, later bool) {
	s.changing.Lock()
	defer s.changing.Unlock()
	rejected := s.process.gateway.Update(d)
	s.process.admin.entities.Update(d)
	known := map[pipeline.Rejection]bool{}
	if before := s.rejected.Load(); before != nil {
		for _, r := range *before {
			known[r] = true
		}
	}
	for _, r := range rejected {
		if !known[r] {
			s.process.log.Warn("entity left out", "kind", r.Key.Kind, "id", r.Key.ID, "name", r.Name, "field", r.Field, "reason", r.Reason)
		}
	}
	s.rejected.Store(&rejected)
	if later {
		s.client.Reject(s.rejections())
	}
}

func (s *stream) rejections() []configsync.Rejection {
	rejected := s.rejected.Load()
	if rejected == nil {
		return nil
	}
	out := make([]configsync.Rejection, 0, len(*rejected))
	for _, r := range *rejected {
		out = append(out, configsync.Rejection{Key: r.Key, Name: r.Name, Field: r.Field, Reason: r.Reason})
	}
	return out
}

// readiness says why the gateway cannot serve yet.
func (s *stream) ready() bool { return s.client.State().Applied && s.gate.Settled() }

// dialPolicy is what the control plane lets this proxy dial. The pod's own
// address is known only here.
func (s *stream) dialPolicy(p *configsync.DialPolicy) *dial.Policy {
	if p == nil || !p.RefuseLocal {
		return nil
	}
	var own []netip.Addr
	if a, err := netip.ParseAddr(s.process.options.pod.ip); err == nil {
		own = append(own, a)
	}
	return dial.NewPolicy(own)
}

// report tells the control plane how the proxy does.
func (s *stream) report() configsync.Report {
	requests, failures := s.rates.next(s.process.engine.Stats().Totals(), time.Now())
	r := configsync.Report{
		RequestsPerSecond: requests, ErrorsPerSecond: failures,
		ActiveConnections: uint64(s.process.engine.Connections()),
	}
	for _, p := range s.gate.Pending() {
		r.ScopePending = append(r.ScopePending, configsync.ScopePending{Address: p.Address, Since: p.Since})
	}
	return r
}

func (s *stream) describe() map[string]any {
	state := s.client.State()
	return map[string]any{
		"configuration_hash": state.Hash.String(),
		"control_plane": map[string]any{
			"connected": state.Connected, "address": state.Address, "last_error": state.LastError,
			"term": state.Position.Term, "sequence": state.Position.Sequence, "rejected": state.Rejected,
		},
	}
}

// rates turns counters into rates between two reports.
type rates struct {
	since time.Time
	last  engine.Totals
}

func (r *rates) next(now engine.Totals, at time.Time) (requests, failures float64) {
	seconds := at.Sub(r.since).Seconds()
	if seconds > 0 {
		requests = float64(now.Requests-r.last.Requests) / seconds
		failures = float64(now.Classes[5]-r.last.Classes[5]) / seconds
	}
	r.since, r.last = at, now
	return requests, failures
}
