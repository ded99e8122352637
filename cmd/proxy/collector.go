// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
)

// collector exposes the engine's counters. Its labels do not grow with the
// configuration.
type collector struct {
	engine      *engine.Engine
	requests    *prometheus.Desc
	answers     *prometheus.Desc
	connections *prometheus.Desc
	refused     *prometheus.Desc
}

func newCollector(e *engine.Engine) *collector {
	return &collector{
		engine:      e,
		requests:    prometheus.NewDesc("kong_nginx_requests_total", "Requests since the start.", nil, nil),
		answers:     prometheus.NewDesc("kong_istio_gateway_answers_total", "Answers by class of status.", []string{"class"}, nil),
		connections: prometheus.NewDesc("kong_istio_gateway_client_connections", "Open client connections.", nil, nil),
		refused:     prometheus.NewDesc("kong_istio_gateway_client_connections_refused_total", "Client connections closed at once because of a limit.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	out <- c.requests
	out <- c.answers
	out <- c.connections
	out <- c.refused
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	totals := c.engine.Stats().Totals()
	out <- prometheus.MustNewConstMetric(c.requests, prometheus.CounterValue, float64(totals.Requests))
	for class, n := range totals.Classes {
		label := fmt.Sprintf("%dxx", class)
		if class == 0 {
			label = "other"
		}
		out <- prometheus.MustNewConstMetric(c.answers, prometheus.CounterValue, float64(n), label)
	}
	out <- prometheus.MustNewConstMetric(c.connections, prometheus.GaugeValue, float64(c.engine.Connections()))
	out <- prometheus.MustNewConstMetric(c.refused, prometheus.CounterValue, float64(c.engine.RefusedConnections()))
}
