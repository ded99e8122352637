// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
)

// collector exposes the engine's counters, those that Kong has under Kong's
// names. Its labels do not grow with the configuration.
type collector struct {
	engine      *engine.Engine
	node        *prometheus.Desc
	datastore   *prometheus.Desc
	requests    *prometheus.Desc
	connections *prometheus.Desc
	answers     *prometheus.Desc
	refused     *prometheus.Desc
}

// newCollector returns the collector of a node with an id of its own and a
// version.
func newCollector(e *engine.Engine, node, version string) *collector {
	http := prometheus.Labels{"node_id": node, "subsystem": "http"}
	return &collector{
		engine: e,
		node: prometheus.NewDesc("kong_node_info", "Kong Node metadata information", nil,
			prometheus.Labels{"node_id": node, "version": version}),
		datastore:   prometheus.NewDesc("kong_datastore_reachable", "Datastore reachable from Kong, 0 is unreachable", nil, nil),
		requests:    prometheus.NewDesc("kong_nginx_requests_total", "Number of requests total", nil, http),
		connections: prometheus.NewDesc("kong_nginx_connections_total", "Number of connections by subsystem", []string{"state"}, http),
		answers:     prometheus.NewDesc("kong_istio_gateway_answers_total", "Answers by class of status.", []string{"class"}, nil),
		refused:     prometheus.NewDesc("kong_istio_gateway_client_connections_refused_total", "Client connections closed at once because of a limit.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	out <- c.node
	out <- c.datastore
	out <- c.requests
	out <- c.connections
	out <- c.answers
	out <- c.refused
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	totals := c.engine.Stats().Totals()
	out <- prometheus.MustNewConstMetric(c.node, prometheus.GaugeValue, 1)
	// A gauge, although it only grows: so it is Kong's.
	out <- prometheus.MustNewConstMetric(c.requests, prometheus.GaugeValue, float64(totals.Requests))
	out <- prometheus.MustNewConstMetric(c.datastore, prometheus.GaugeValue, 1)
	n := c.engine.ConnectionCounts()
	for state, value := range map[string]float64{
		"accepted": float64(n.Accepted), "handled": float64(n.Handled), "total": float64(totals.Requests),
		"active": float64(n.Active), "waiting": float64(n.Waiting), "writing": float64(n.Writing), "reading": float64(n.Reading),
	} {
		out <- prometheus.MustNewConstMetric(c.connections, prometheus.GaugeValue, value, state)
	}
	for class, n := range totals.Classes {
		label := fmt.Sprintf("%dxx", class)
		if class == 0 {
			label = "other"
		}
		out <- prometheus.MustNewConstMetric(c.answers, prometheus.CounterValue, float64(n), label)
	}
	out <- prometheus.MustNewConstMetric(c.refused, prometheus.CounterValue, float64(c.engine.RefusedConnections()))
}
