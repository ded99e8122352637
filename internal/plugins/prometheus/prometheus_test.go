// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
	"github.com/kong/kong-istio-gateway/internal/plugins/prometheus/schema"
)

var start = time.Unix(1000, 0)

func instance(t testing.TB, host plugin.Host, switches ...string) *plugin.Phases {
	t.Helper()
	config := map[string]any{}
	for _, s := range switches {
		config[s] = true
	}
	return plugintest.Configure(t, Registration, schema.Plugin, host, &entity.Plugin{Config: config})
}

// exchange is an answered request: 3 ms of the gateway, 40 ms of the upstream,
// 1 ms until the answer was sent.
func exchange(status int) *plugintest.Exchange {
	x := plugintest.New(start, "GET", "/")
	x.MatchedRoute, x.MatchedService = &entity.Route{ID: "r", Name: "main"}, &entity.Service{Name: "api"}
	x.RequestFacts.Size = 100
	x.Answer.Status, x.Answer.Size, x.Answer.Source = status, 250, plugin.SourceUpstream
	x.Attempts = []plugin.Try{{Status: status}}
	x.Times.AccessDone = start.Add(3 * time.Millisecond)
	x.Times.FirstByte = start.Add(43 * time.Millisecond)
	x.Times.End = start.Add(44 * time.Millisecond)
	return x
}

func expect(t *testing.T, host plugin.Host, text string, names ...string) {
	t.Helper()
	if err := testutil.CollectAndCompare(Of(host), strings.NewReader(text), names...); err != nil {
		t.Error(err)
	}
}

const requestsHead = `# HELP kong_http_requests_total HTTP status codes per consumer/service/route in Kong
# TYPE kong_http_requests_total counter
`

func TestRequests(t *testing.T) {
	host := &plugintest.Host{}
	p := instance(t, host, "status_code_metrics")
	p.Log(exchange(200))
	p.Log(exchange(200))
	refused := exchange(401)
	refused.Answer.Source, refused.Attempts = plugin.SourceExit, nil
	refused.Who.Consumer = &entity.Consumer{Username: "alice"}
	p.Log(refused)
	unnamed := exchange(200)
	unnamed.MatchedRoute, unnamed.MatchedService = &entity.Route{ID: "1234"}, &entity.Service{Host: "up.test"}
	p.Log(unnamed)
	lonely := exchange(200)
	lonely.MatchedService = nil
	p.Log(lonely)
	nobody := exchange(404)
	nobody.MatchedRoute = nil
	p.Log(nobody)
	expect(t, host, requestsHead+`
kong_http_requests_total{code="200",consumer="",route="main",service="",source="service",workspace="default"} 1
kong_http_requests_total{code="200",consumer="",route="1234",service="up.test",source="service",workspace="default"} 1
kong_http_requests_total{code="200",consumer="",route="main",service="api",source="service",workspace="default"} 2
kong_http_requests_total{code="401",consumer="",route="main",service="api",source="kong",workspace="default"} 1
`, "kong_http_requests_total", "kong_bandwidth_bytes", "kong_kong_latency_ms")
}

func TestConsumers(t *testing.T) {
	host := &plugintest.Host{}
	p := instance(t, host, "status_code_metrics", "bandwidth_metrics", "per_consumer")
	x := exchange(200)
	x.Who.Consumer = &entity.Consumer{Username: "alice"}
	p.Log(x)
	p.Log(exchange(200))
	expect(t, host, requestsHead+`
kong_http_requests_total{code="200",consumer="",route="main",service="api",source="service",workspace="default"} 1
kong_http_requests_total{code="200",consumer="alice",route="main",service="api",source="service",workspace="default"} 1
# HELP kong_bandwidth_bytes Total bandwidth (ingress/egress) throughput in bytes
# TYPE kong_bandwidth_bytes counter
kong_bandwidth_bytes{consumer="",direction="egress",route="main",service="api",workspace="default"} 250
kong_bandwidth_bytes{consumer="",direction="ingress",route="main",service="api",workspace="default"} 100
kong_bandwidth_bytes{consumer="alice",direction="egress",route="main",service="api",workspace="default"} 250
kong_bandwidth_bytes{consumer="alice",direction="ingress",route="main",service="api",workspace="default"} 100
`, "kong_http_requests_total", "kong_bandwidth_bytes")
}

// TestSwitchesAreJoined: what one instance asks for, all count, as long as it
// lives.
func TestSwitchesAreJoined(t *testing.T) {
	host := &plugintest.Host{}
	codes := instance(t, host, "status_code_metrics")
	values, _ := schema.Plugin.Config.CompleteChecked(map[string]any{"bandwidth_metrics": true, "upstream_health_metrics": true})
	bytes, err := Registration.Configure(plugin.Config{Plugin: &entity.Plugin{}, Values: values, Host: host})
	if err != nil {
		t.Fatal(err)
	}
	if !Of(host).UpstreamHealth() {
		t.Error("nobody asks for the health of targets")
	}
	codes.Log(exchange(200))
	bytes.Close()
	codes.Log(exchange(200))
	if Of(host).UpstreamHealth() {
		t.Error("the health of targets is asked for by nobody")
	}
	expect(t, host, `# HELP kong_bandwidth_bytes Total bandwidth (ingress/egress) throughput in bytes
# TYPE kong_bandwidth_bytes counter
kong_bandwidth_bytes{consumer="",direction="egress",route="main",service="api",workspace="default"} 250
kong_bandwidth_bytes{consumer="",direction="ingress",route="main",service="api",workspace="default"} 100
`, "kong_bandwidth_bytes")
}

func TestLatencies(t *testing.T) {
	host := &plugintest.Host{}
	p := instance(t, host, "latency_metrics")
	p.Log(exchange(200))
	own := exchange(401)
	own.Attempts = nil
	p.Log(own)
	families := gather(t, host)
	for name, want := range map[string]struct {
		count   uint64
		sum     float64
		bucket  float64 // the first that holds anything
		buckets int
	}{
		"kong_kong_latency_ms":     {2, 4 + 44, 5, 17},
		"kong_upstream_latency_ms": {1, 40, 50, 13},
		"kong_request_latency_ms":  {2, 88, 50, 13},
	} {
		h := families[name]
		if h == nil {
			t.Errorf("%s is missing", name)
			continue
		}
		got := h.GetMetric()[0].GetHistogram()
		first := 0.0
		for _, b := range got.GetBucket() {
			if b.GetCumulativeCount() > 0 {
				first = b.GetUpperBound()
				break
			}
		}
		if got.GetSampleCount() != want.count || got.GetSampleSum() != want.sum || first != want.bucket || len(got.GetBucket()) != want.buckets {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestSessions(t *testing.T) {
	host := &plugintest.Host{}
	p := instance(t, host, "status_code_metrics", "bandwidth_metrics", "latency_metrics")
	s := plugintest.NewSession(start)
	s.Times.End = start.Add(time.Second)
	s.EndStatus, s.Attempts = 200, []plugin.Try{{}}
	s.FromClient, s.ToClient = 7, 9
	p.StreamLog(s)
	refused := plugintest.NewSession(start)
	refused.EndStatus = 403
	p.StreamLog(refused)
	expect(t, host, `# HELP kong_stream_sessions_total Stream status codes per service/route in Kong
# TYPE kong_stream_sessions_total counter
kong_stream_sessions_total{code="200",route="route",service="service",source="service",workspace="default"} 1
kong_stream_sessions_total{code="403",route="route",service="service",source="kong",workspace="default"} 1
# HELP kong_bandwidth_bytes Total bandwidth (ingress/egress) throughput in bytes
# TYPE kong_bandwidth_bytes counter
kong_bandwidth_bytes{consumer="",direction="egress",route="route",service="service",workspace="default"} 9
kong_bandwidth_bytes{consumer="",direction="ingress",route="route",service="service",workspace="default"} 7
`, "kong_stream_sessions_total", "kong_bandwidth_bytes")
	if h := gather(t, host)["kong_session_duration_ms"]; h == nil || h.GetMetric()[0].GetHistogram().GetSampleSum() != 1000 {
		t.Errorf("durations: %v", h)
	}
}

// TestSeriesAreBounded: names that come and go do not fill the memory.
func TestSeriesAreBounded(t *testing.T) {
	host := &plugintest.Host{}
	p := instance(t, host, "status_code_metrics")
	x := exchange(200)
	for i := range shards*maxSeries + 1000 {
		x.MatchedRoute = &entity.Route{Name: fmt.Sprint("route-", i)}
		p.Log(x)
	}
	n := 0
	Of(host).requests.each(func(requestKey, *atomic.Int64) { n++ })
	if n > shards*maxSeries || Of(host).requests.refused.Load() < 1000 {
		t.Errorf("%d series, %d refused", n, Of(host).requests.refused.Load())
	}
}

func gather(t *testing.T, host plugin.Host) map[string]*dto.MetricFamily {
	t.Helper()
	r := prometheus.NewRegistry()
	if err := r.Register(Of(host)); err != nil {
		t.Fatal(err)
	}
	found, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*dto.MetricFamily{}
	for _, f := range found {
		out[f.GetName()] = f
	}
	return out
}

func BenchmarkLog(b *testing.B) {
	p := instance(b, &plugintest.Host{}, "status_code_metrics", "bandwidth_metrics", "latency_metrics")
	x := exchange(200)
	b.ReportAllocs()
	for b.Loop() {
		p.Log(x)
	}
}
