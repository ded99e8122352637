// SPDX-License-Identifier: Apache-2.0

// Package metrics gathers what /metrics of the Status API exposes of a node:
// the data plane's own counters, under Kong's names where Kong has them
// (https://docs.konghq.com/hub/kong-inc/prometheus/), and those of a plugin.
package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/kong/kong-istio-gateway/internal/dataplane/gateway"
)

// Node is a data plane and what is told of it.
type Node struct {
	Gateway *gateway.Gateway
	// ID is the node's own; Version that of its program.
	ID, Version string
	// Plugin has what the prometheus plugin counts. UpstreamHealth reports
	// whether one of its instances asks for the health of targets; it is called
	// for each scrape, by several goroutines.
	Plugin         prometheus.Collector
	UpstreamHealth func() bool
}

// New returns the node's metrics, and those of its process. The error says that
// the plugin's have names that are taken.
func New(n Node) (*prometheus.Registry, error) {
	registry := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{
		newCollector(n.Gateway.Engine, n.ID, n.Version), newStreamCollector(n.Gateway.Streams, n.ID), n.Plugin,
		newHealthCollector(n.Gateway.Engine, n.UpstreamHealth),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return registry, nil
}
