// SPDX-License-Identifier: Apache-2.0

// Package schema describes the configuration of the rate-limiting plugin. Limits count requests per window of the UTC calendar.
package schema

import (
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/entity/schema/typedefs"
)

// Plugin is the rate-limiting plugin.
var Plugin = entity.PluginSchema{
	Name:      "rate-limiting",
	Guards:    true,
	Protocols: entity.HTTPProtocols(),
	Config: schema.NewRecord(append(typedefs.PeriodLimits(),
		schema.String("limit_by").Default("consumer").
			OneOf("consumer", "credential", "ip", "service", "header", "path", "consumer-group"),
		typedefs.HeaderName("header_name"),
		typedefs.Path("path"),
		schema.String("policy").Default("local").OneOf("local", "redis"),
		schema.Boolean("fault_tolerant").Required().Default(true),
		typedefs.Redis(),
		schema.Boolean("hide_client_headers").Required().Default(false),
		schema.Number("error_code").Default(429).Greater(0),
		schema.String("error_message").Default("API rate limit exceeded"),
		schema.Number("sync_rate").Required().Default(-1),
	)...).
		Checks(typedefs.PeriodOrder(), schema.Custom("sync_rate", []string{"policy", "sync_rate"}, checkSyncRate)).
		Shorthands(typedefs.RedisAliases()...),
	Checks: append([]schema.EntityCheck{
		schema.AtLeastOneOf("config.second", "config.minute", "config.hour", "config.day", "config.month", "config.year"),
		schema.Conditional("config.limit_by", schema.Match().Equal("header"), "config.header_name", schema.Match().Required()),
		schema.Conditional("config.limit_by", schema.Match().Equal("path"), "config.path", schema.Match().Required()),
	}, typedefs.RedisChecks()...),
}

// checkSyncRate allows counting in the background only where there is a shared
// store to count in.
func checkSyncRate(v map[string]any, report func(path, message string)) {
	rate, _ := schema.Float(v["sync_rate"])
	switch {
	case rate == -1:
	case v["policy"] != "redis":
		report("", "sync_rate can only be used with the redis policy")
	case rate < 0.02:
		report("", "sync_rate must be greater than 0.02, or -1 to disable")
	}
}
