// SPDX-License-Identifier: Apache-2.0

// Package schema describes the configuration of the response-ratelimiting plugin.
package schema

import (
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/entity/schema/typedefs"
)

// Plugin is the response-ratelimiting plugin.
var Plugin = entity.PluginSchema{
	Name:      "response-ratelimiting",
	Guards:    true,
	Protocols: entity.HTTPProtocols(),
	Config: schema.NewRecord(
		schema.String("header_name").Default("x-kong-limit"),
		schema.String("limit_by").Default("consumer").OneOf("consumer", "credential", "ip"),
		schema.String("policy").Default("local").OneOf("local", "redis"),
		schema.Boolean("fault_tolerant").Required().Default(true),
		typedefs.Redis(),
		schema.Boolean("block_on_first_violation").Required().Default(false),
		schema.Boolean("hide_client_headers").Required().Default(false),
		schema.Map("limits", schema.String(""), schema.Nested("", limit)).Required().LenMin(1),
	).Shorthands(typedefs.RedisAliases()...),
	Checks: typedefs.RedisChecks(),
}

var limit = schema.NewRecord(typedefs.PeriodLimits()...).
	Checks(schema.AtLeastOneOf(typedefs.Periods()...), typedefs.PeriodOrder())
