// SPDX-License-Identifier: Apache-2.0

// Package prometheus counts requests and sessions by route, service and
// consumer for the Status API's /metrics
// (https://docs.konghq.com/hub/kong-inc/prometheus/). What it counts belongs to
// the process: it outlives instances and configurations.
package prometheus

import (
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// Registration makes the plugin known to the data plane.
var Registration = plugin.Registration{Name: "prometheus", Priority: 13, Configure: configure}

// config are the switches of one instance. Those for models and WebAssembly
// have nothing here that they could count.
type config struct {
	PerConsumer    bool `json:"per_consumer"`
	StatusCodes    bool `json:"status_code_metrics"`
	Latency        bool `json:"latency_metrics"`
	Bandwidth      bool `json:"bandwidth_metrics"`
	UpstreamHealth bool `json:"upstream_health_metrics"`
}

func configure(c plugin.Config) (*plugin.Phases, error) {
	conf := config{}
	if err := schema.Decode(c.Values, &conf); err != nil {
		return nil, err
	}
	m := Of(c.Host)
	m.switches.join(conf, 1)
	r := &recorder{metrics: m, perConsumer: conf.PerConsumer}
	return &plugin.Phases{
		Log: r.log, StreamLog: r.streamLog,
		Close: func() { m.switches.join(conf, -1) },
	}, nil
}

// recorder is one instance: it counts what the switches of all instances ask
// for, as Kong does.
type recorder struct {
	metrics     *Metrics
	perConsumer bool
}

func (r *recorder) log(x plugin.Exchange) {
	route := x.Route()
	if route == nil {
		return
	}
	m := r.metrics
	who := scope{service: serviceLabel(x.Service()), route: routeLabel(route)}
	consumer := ""
	if c := x.Identity().Consumer; r.perConsumer && c != nil {
		consumer = c.Username
	}
	answer := x.Response()
	if m.switches.statusCodes.Load() > 0 {
		m.requests.at(requestKey{who, consumer, answer.Status, source(answer.Source)}).Add(1)
	}
	if m.switches.bandwidth.Load() > 0 {
		b := m.bandwidth.at(transferKey{who, consumer})
		b.in.Add(x.Request().Size)
		b.out.Add(answer.Size)
	}
	if m.switches.latency.Load() > 0 {
		m.latency.at(who).observe(x)
	}
}

func (r *recorder) streamLog(s plugin.Session) {
	route := s.Route()
	if route == nil {
		return
	}
	m := r.metrics
	who := scope{service: serviceLabel(s.Service()), route: routeLabel(route)}
	if m.switches.statusCodes.Load() > 0 {
		from := sourceKong
		if len(s.Tries()) > 0 && s.Status() == 200 {
			from = sourceService
		}
		m.sessions.at(requestKey{scope: who, status: s.Status(), source: from}).Add(1)
	}
	if m.switches.bandwidth.Load() > 0 {
		b := m.bandwidth.at(transferKey{scope: who})
		b.in.Add(s.Received())
		b.out.Add(s.Sent())
	}
	if m.switches.latency.Load() > 0 {
		marks := s.Marks()
		m.durations.at(who).add(marks.End.Sub(marks.Start))
	}
}

// The values of the label source.
const (
	sourceService = "service"
	sourceKong    = "kong"
)

func source(s plugin.Source) string {
	if s == plugin.SourceUpstream {
		return sourceService
	}
	return sourceKong
}

// serviceLabel is the service's name; one without is named by its host.
func serviceLabel(s *entity.Service) string {
	switch {
	case s == nil:
		return ""
	case s.Name != "":
		return s.Name
	}
	return s.Host
}

// routeLabel is the route's name; one without is named by its id.
func routeLabel(r *entity.Route) string {
	if r.Name != "" {
		return r.Name
	}
	return string(r.ID)
}
