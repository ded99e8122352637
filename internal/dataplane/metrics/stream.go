// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	streams "github.com/kong/kong-istio-gateway/internal/dataplane/stream"
)

// streamCollector exposes the counters of stream sessions. Its labels do not
// grow with the configuration; sessions by route and service are the prometheus
// plugin's. A client connection is one of TCP or a session of UDP.
type streamCollector struct {
	server      *streams.Server
	connections *prometheus.Desc
	sessions    *prometheus.Desc
	refused     *prometheus.Desc
	bytes       *prometheus.Desc
}

func newStreamCollector(s *streams.Server, node string) *streamCollector {
	return &streamCollector{
		server: s,
		connections: prometheus.NewDesc("kong_nginx_connections_total", "Number of connections by subsystem",
			[]string{"state"}, prometheus.Labels{"node_id": node, "subsystem": "stream"}),
		sessions: prometheus.NewDesc("kong_istio_gateway_stream_sessions_total", "Stream sessions that ended, by status.", []string{"transport", "code"}, nil),
		refused:  prometheus.NewDesc("kong_istio_gateway_stream_refused_total", "Stream sessions that a limit refused or cut off before they were routed.", []string{"transport"}, nil),
		bytes:    prometheus.NewDesc("kong_istio_gateway_stream_bytes_total", "Bytes of ended stream sessions, ingress from clients and egress to them.", []string{"direction"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *streamCollector) Describe(out chan<- *prometheus.Desc) {
	out <- c.connections
	out <- c.sessions
	out <- c.refused
	out <- c.bytes
}

// Collect implements prometheus.Collector.
func (c *streamCollector) Collect(out chan<- prometheus.Metric) {
	totals := c.server.Stats().Totals()
	gauge := func(state string, n float64) {
		out <- prometheus.MustNewConstMetric(c.connections, prometheus.GaugeValue, n, state)
	}
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	accepted := totals.Accepted[streams.TCP] + totals.Accepted[streams.UDP]
	gauge("active", float64(totals.Active[streams.TCP]+totals.Active[streams.UDP]))
	gauge("handled", float64(accepted))
	gauge("accepted", float64(accepted))
	for _, t := range []streams.Transport{streams.TCP, streams.UDP} {
		counter(c.refused, totals.Refused[t], t.String())
		for i, code := range streams.Statuses {
			counter(c.sessions, totals.Ended[t][i], t.String(), strconv.Itoa(code))
		}
	}
	counter(c.bytes, totals.Received, "ingress")
	counter(c.bytes, totals.Sent, "egress")
}
