// SPDX-License-Identifier: Apache-2.0

// Package schema describes the configuration of the prometheus plugin.
package schema

import (
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// Plugin is the prometheus plugin.
var Plugin = entity.PluginSchema{
	Name: "prometheus",
	Config: schema.NewRecord(
		schema.Boolean("per_consumer").Default(false),
		schema.Boolean("status_code_metrics").Default(false),
		schema.Boolean("ai_metrics").Default(false),
		schema.Boolean("latency_metrics").Default(false),
		schema.Boolean("bandwidth_metrics").Default(false),
		schema.Boolean("upstream_health_metrics").Default(false),
		schema.Boolean("wasm_metrics").Default(false),
	),
}
