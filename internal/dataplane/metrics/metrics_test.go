// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
	"github.com/kong/kong-istio-gateway/internal/dataplane/gateway"
	"github.com/kong/kong-istio-gateway/internal/dataplane/stream"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// A node tells of itself and of what a plugin counts, and of the health of
// targets while that is wanted.
func TestNew(t *testing.T) {
	g, err := gateway.New(gateway.Options{Settings: engine.DefaultSettings(), Streams: stream.DefaultSettings(), Logger: slog.New(slog.DiscardHandler), Product: "kong/test"})
	if err != nil {
		t.Fatal(err)
	}
	set, problems := entity.Decode([]byte(`_format_version: "3.0"
upstreams: [{name: up.test, targets: [{target: "127.0.0.1:1"}]}]
services: [{name: s, host: up.test, routes: [{name: r, paths: [/]}]}]
`), entity.SchemaSet{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if rejected := g.Apply(set); len(rejected) > 0 {
		t.Fatal(rejected)
	}
	wanted := false
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "counted", Help: "By a plugin."})
	node := Node{Gateway: g, ID: "n", Version: "1", Plugin: counter, UpstreamHealth: func() bool { return wanted }}
	registry, err := New(node)
	if err != nil {
		t.Fatal(err)
	}
	want := `
# HELP counted By a plugin.
# TYPE counted counter
counted 0
# HELP kong_nginx_requests_total Number of requests total
# TYPE kong_nginx_requests_total gauge
kong_nginx_requests_total{node_id="n",subsystem="http"} 0
# HELP kong_node_info Kong Node metadata information
# TYPE kong_node_info gauge
kong_node_info{node_id="n",version="1"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "counted", "kong_node_info", "kong_nginx_requests_total"); err != nil {
		t.Error(err)
	}
	for _, states := range []int{0, 4} {
		if n, err := testutil.GatherAndCount(registry, "kong_upstream_target_health"); err != nil || n != states {
			t.Errorf("%d states of a target, %v; want %d", n, err, states)
		}
		wanted = true
	}
	node.Plugin = prometheus.NewCounter(prometheus.CounterOpts{Name: "kong_node_info", Help: "Another."})
	if _, err := New(node); err == nil {
		t.Error("a name that is taken was accepted")
	}
	if err := g.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}
