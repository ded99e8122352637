// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
)

// healthCollector exposes the health of upstreams' targets while it is wanted.
type healthCollector struct {
	engine *engine.Engine
	wanted func() bool
	health *prometheus.Desc
}

func newHealthCollector(e *engine.Engine, wanted func() bool) *healthCollector {
	return &healthCollector{engine: e, wanted: wanted, health: prometheus.NewDesc("kong_upstream_target_health",
		"Health status of targets of upstream. States = healthchecks_off|healthy|unhealthy|dns_error, value is 1 when state is populated.",
		[]string{"upstream", "target", "address", "state"}, prometheus.Labels{"subsystem": "http"})}
}

// Describe implements prometheus.Collector.
func (c *healthCollector) Describe(out chan<- *prometheus.Desc) { out <- c.health }

// Collect implements prometheus.Collector.
func (c *healthCollector) Collect(out chan<- prometheus.Metric) {
	if !c.wanted() {
		return
	}
	for _, u := range c.engine.Upstreams() {
		for _, t := range u.Targets {
			address := ""
			if t.Address.IsValid() {
				address = t.Address.String()
			}
			for _, state := range []string{balancer.StateOff, balancer.StateHealthy, balancer.StateUnhealthy, balancer.StateDNSError} {
				value := 0.0
				if state == t.State {
					value = 1
				}
				out <- prometheus.MustNewConstMetric(c.health, prometheus.GaugeValue, value, u.Upstream.Name, t.Target, address, state)
			}
		}
	}
}
