// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kong/kong-istio-gateway/internal/dataplane/dial"
	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
	"github.com/kong/kong-istio-gateway/internal/dataplane/gateway"
	"github.com/kong/kong-istio-gateway/internal/dataplane/metrics"
	"github.com/kong/kong-istio-gateway/internal/dataplane/status"
	streams "github.com/kong/kong-istio-gateway/internal/dataplane/stream"
	"github.com/kong/kong-istio-gateway/internal/entity"
	prometheusplugin "github.com/kong/kong-istio-gateway/internal/plugins/prometheus"
	"github.com/kong/kong-istio-gateway/internal/plugins/registry"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

// process is the running data plane.
type process struct {
	options *options
	log     *slog.Logger
	dialer  *dial.Dialer
	gateway *gateway.Gateway
	engine  *engine.Engine
	status  *status.Server
	admin   adminView
	metrics *prometheus.Registry
	access  *engine.AccessLog
	source  source
}

// source is where the configuration comes from.
type source interface {
	// start applies the first configuration, if there is one yet.
	start(ctx context.Context) error
	// run follows changes until ctx ends.
	run(ctx context.Context) error
	// ready reports whether what there is to serve is served.
	ready() bool
	// describe adds what is known of the source to the Status API's answer.
	describe() map[string]any
}

func newProcess(o *options, logger *slog.Logger) (*process, error) {
	p := &process{options: o, log: logger}
	if o.accessLog {
		p.access = engine.NewAccessLog(os.Stdout)
	}
	g, err := gateway.New(gateway.Options{
		Settings:  o.settings,
		Streams:   o.streamSettings,
		DNS:       o.dns,
		Plugins:   registry.All(),
		Schemas:   schemas.All().Under(o.compatibility),
		Logger:    logger,
		Product:   product(),
		AccessLog: p.access,
		NoFiles:   o.controlPlane != "",
		Vault:     o.vault, SecretsChanged: p.secretsChanged,
	})
	if err != nil {
		return nil, err
	}
	p.gateway, p.engine, p.dialer = g, g.Engine, g.Dialer
	node := o.pod.uid
	if node == "" {
		node = uuid.NewString()
	}
	p.admin = newAdminView(p, node)
	counted := prometheusplugin.Of(g.Host)
	p.metrics, err = metrics.New(metrics.Node{Gateway: g, ID: node, Version: version, Plugin: counted, UpstreamHealth: counted.UpstreamHealth})
	if err != nil {
		return nil, err
	}
	p.status = status.New(status.Facts{Ready: p.readiness, Describe: p.describe, Metrics: p.metrics})
	if o.declarativeConfig != "" {
		f := newFile(p, o.declarativeConfig)
		p.source = f
		if err := p.metrics.Register(f); err != nil {
			return nil, err
		}
	} else {
		p.source, err = newStream(p)
	}
	return p, err
}

// secretsChanged tells the control plane what cannot run now that values of
// vault references are others. Of a file the log has it.
func (p *process) secretsChanged() {
	if s, ok := p.source.(*stream); ok {
		s.applyDelta(entity.Delta{}, true)
	}
}

func (p *process) readiness() error {
	if !p.source.ready() {
		return errors.New("no configuration available yet")
	}
	return nil
}

// describe is the body of /status. Of what only nginx and Lua have, what comes
// closest is told: the heap stands for that of a worker's virtual machine.
func (p *process) describe(bytes status.Bytes) any {
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	connections := p.engine.ConnectionCounts()
	out := map[string]any{
		"server": map[string]any{
			"connections_accepted": connections.Accepted,
			"connections_handled":  connections.Handled,
			"connections_active":   connections.Active,
			"connections_waiting":  connections.Waiting,
			"connections_writing":  connections.Writing,
			"connections_reading":  connections.Reading,
			"total_requests":       p.engine.Stats().Totals().Requests,
		},
		"stream":   describeStreams(p.gateway.Streams),
		"database": map[string]any{"reachable": true},
		"memory": map[string]any{
			"workers_lua_vms":  []any{map[string]any{"pid": os.Getpid(), "http_allocated_gc": bytes(memory.HeapAlloc)}},
			"lua_shared_dicts": map[string]any{},
		},
	}
	for k, v := range p.source.describe() {
		out[k] = v
	}
	return out
}

// describeStreams is what the Status API says of sessions.
func describeStreams(s *streams.Server) map[string]any {
	totals := s.Stats().Totals()
	return map[string]any{
		"sessions_active": totals.Active[streams.TCP] + totals.Active[streams.UDP],
		"total_sessions":  totals.Accepted[streams.TCP] + totals.Accepted[streams.UDP],
	}
}

// run serves until ctx ends and then drains; hurry, when it ends, cuts the
// drain short.
func (p *process) run(ctx, hurry context.Context) error {
	// Status first: a probe must be able to ask why nothing is served yet.
	statusErr := make(chan error, len(p.options.statusListen)+len(p.options.adminListen))
	if err := serveOn(ctx, "status_listen", p.options.statusListen, p.status.Serve, statusErr); err != nil {
		return err
	}
	if err := serveOn(ctx, "admin_listen", p.options.adminListen, p.admin.serve, statusErr); err != nil {
		return err
	}
	if err := p.source.start(ctx); err != nil {
		return err
	}
	if err := p.engine.Listen(ctx, p.options.listen); err != nil {
		return err
	}
	if err := p.gateway.Streams.Listen(ctx, p.options.streamListen); err != nil {
		return err
	}
	follow, stop := context.WithCancel(context.WithoutCancel(ctx))
	followed := make(chan error, 1)
	go func() { followed <- p.source.run(follow) }()
	var failure error
	select {
	case <-ctx.Done():
	case failure = <-statusErr:
	case failure = <-followed:
		followed <- failure
	}
	p.drain(hurry)
	stop()
	if err := <-followed; failure == nil && !errors.Is(err, context.Canceled) {
		failure = err
	}
	if errors.Is(failure, http.ErrServerClosed) || errors.Is(failure, context.Canceled) {
		failure = nil
	}
	return failure
}

// drain ends service. For the delay new connections are still accepted, while
// answers end theirs; then what is under way is finished, and connections that
// wait for a request are closed last. When readiness fails is an option. ctx,
// when it ends, cuts all of it short.
func (p *process) drain(ctx context.Context) {
	p.log.Info("draining", "delay", p.options.drainDelay, "timeout", p.options.drainTimeout, "readiness", p.options.drainReadiness)
	if p.options.drainReadiness == readinessFirst {
		p.status.Drain()
	}
	p.engine.AnnounceDrain()
	if p.options.drainDelay > 0 {
		select {
		case <-time.After(p.options.drainDelay):
		case <-ctx.Done():
		}
	}
	p.status.Drain()
	ctx, cancel := context.WithTimeout(ctx, p.options.drainTimeout)
	defer cancel()
	if err := p.gateway.Drain(ctx); err != nil {
		p.log.Warn("requests were cut off after the drain timeout", "timeout", p.options.drainTimeout)
	}
	if p.access != nil {
		p.access.Close()
	}
	p.admin.close(ctx)
	_ = p.status.Close(ctx)
}
