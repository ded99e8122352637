// SPDX-License-Identifier: Apache-2.0

// Package schema describes the configuration of the proxy-cache plugin. Times to live
// are in seconds.
package schema

import (
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// Plugin is the proxy-cache plugin.
var Plugin = entity.PluginSchema{
	Name: "proxy-cache",
	Config: schema.NewRecord(
		schema.Array("response_code", schema.Integer("").Between(100, 900)).
			Required().Default([]int{200, 301, 404}).LenMin(1),
		schema.Array("request_method", schema.String("").OneOf("HEAD", "GET", "POST", "PATCH", "PUT")).
			Required().Default([]string{"GET", "HEAD"}),
		schema.Array("content_type", schema.String("")).
			Required().Default([]string{"text/plain", "application/json"}),
		schema.Integer("cache_ttl").Default(300).Greater(0),
		schema.String("strategy").Required().OneOf("memory"),
		schema.Boolean("cache_control").Required().Default(false),
		schema.Boolean("ignore_uri_case").Default(false),
		schema.Integer("storage_ttl"),
		schema.Nested("memory", schema.NewRecord(
			schema.String("dictionary_name").Required().Default("kong_db_cache"),
		)),
		schema.Array("vary_query_params", schema.String("")),
		schema.Array("vary_headers", schema.String("")),
		schema.Nested("response_headers", schema.NewRecord(
			schema.Boolean("age").Default(true),
			schema.Boolean("X-Cache-Status").Default(true),
			schema.Boolean("X-Cache-Key").Default(true),
		)),
	),
}
