// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// workspace is the only one that there is without a database.
const workspace = "default"

// The metrics under Kong's names, with Kong's labels.
var (
	requestsDesc = prometheus.NewDesc("kong_http_requests_total", "HTTP status codes per consumer/service/route in Kong",
		[]string{"service", "route", "code", "source", "workspace", "consumer"}, nil)
	sessionsDesc = prometheus.NewDesc("kong_stream_sessions_total", "Stream status codes per service/route in Kong",
		[]string{"service", "route", "code", "source", "workspace"}, nil)
	bandwidthDesc = prometheus.NewDesc("kong_bandwidth_bytes", "Total bandwidth (ingress/egress) throughput in bytes",
		[]string{"service", "route", "direction", "workspace", "consumer"}, nil)
	kongLatencyDesc = prometheus.NewDesc("kong_kong_latency_ms", "Latency added by Kong and enabled plugins for each service/route in Kong",
		scopeLabels, nil)
	upstreamLatencyDesc = prometheus.NewDesc("kong_upstream_latency_ms", "Latency added by upstream response for each service/route in Kong",
		scopeLabels, nil)
	requestLatencyDesc = prometheus.NewDesc("kong_request_latency_ms", "Total latency incurred during requests for each service/route in Kong",
		scopeLabels, nil)
	durationDesc = prometheus.NewDesc("kong_session_duration_ms", "latency incurred in stream session for each service/route in Kong",
		scopeLabels, nil)

	errorsDesc = prometheus.NewDesc("kong_nginx_metric_errors_total", "Values that were not counted, because there are too many series", nil, nil)

	scopeLabels = []string{"service", "route", "workspace"}
)

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{requestsDesc, sessionsDesc, bandwidthDesc, kongLatencyDesc, upstreamLatencyDesc, requestLatencyDesc, durationDesc, errorsDesc} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	m.requests.each(func(k requestKey, n *atomic.Int64) {
		out <- prometheus.MustNewConstMetric(requestsDesc, prometheus.CounterValue, float64(n.Load()),
			k.service, k.route, strconv.Itoa(k.status), k.source, workspace, k.consumer)
	})
	m.sessions.each(func(k requestKey, n *atomic.Int64) {
		out <- prometheus.MustNewConstMetric(sessionsDesc, prometheus.CounterValue, float64(n.Load()),
			k.service, k.route, strconv.Itoa(k.status), k.source, workspace)
	})
	m.bandwidth.each(func(k transferKey, t *transfer) {
		for _, d := range []struct {
			direction string
			bytes     int64
		}{{"ingress", t.in.Load()}, {"egress", t.out.Load()}} {
			out <- prometheus.MustNewConstMetric(bandwidthDesc, prometheus.CounterValue, float64(d.bytes),
				k.service, k.route, d.direction, workspace, k.consumer)
		}
	})
	m.latency.each(func(k scope, l *latencies) {
		l.kong.collect(out, kongLatencyDesc, ownBuckets, k)
		l.upstream.collect(out, upstreamLatencyDesc, allBuckets, k)
		l.request.collect(out, requestLatencyDesc, allBuckets, k)
	})
	out <- prometheus.MustNewConstMetric(errorsDesc, prometheus.CounterValue,
		float64(m.requests.refused.Load()+m.sessions.refused.Load()+m.bandwidth.refused.Load()+m.latency.refused.Load()+m.durations.refused.Load()))
	m.durations.each(func(k scope, h *histogram) { h.collect(out, durationDesc, allBuckets, k) })
}

// collect gives out the histogram, unless nothing was counted.
func (h *histogram) collect(out chan<- prometheus.Metric, desc *prometheus.Desc, bounds []int64, k scope) {
	count := h.count.Load()
	if count == 0 {
		return
	}
	buckets := make(map[float64]uint64, len(bounds))
	below := uint64(0)
	for i, bound := range bounds {
		below += h.buckets[i].Load()
		buckets[float64(bound)] = below
	}
	// What came between the two readings is in a bucket, but not in the count.
	out <- prometheus.MustNewConstHistogram(desc, max(count, below), float64(h.sum.Load())/float64(time.Millisecond), buckets,
		k.service, k.route, workspace)
}
