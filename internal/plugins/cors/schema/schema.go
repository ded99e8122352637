// SPDX-License-Identifier: Apache-2.0

// Package schema describes the configuration of the cors plugin. max_age is in seconds.
package schema

import (
	"regexp"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

var methods = []any{"GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS", "TRACE", "CONNECT"}

// Plugin is the cors plugin.
var Plugin = entity.PluginSchema{
	Name:       "cors",
	Protocols:  entity.HTTPProtocols(),
	NoConsumer: true, NoConsumerGroup: true,
	Config: schema.NewRecord(
		schema.Array("origins", schema.String("").CustomString("asterisk_or_regex", checkOrigin)),
		schema.Array("headers", schema.String("")),
		schema.Array("exposed_headers", schema.String("")),
		schema.Array("methods", schema.String("").OneOf(methods...)).Default(methods),
		schema.Number("max_age"),
		schema.Boolean("credentials").Required().Default(false),
		schema.Boolean("private_network").Required().Default(false),
		schema.Boolean("preflight_continue").Required().Default(false),
		schema.Boolean("allow_origin_absent").Required().Default(true),
	),
}

func checkOrigin(s string) string {
	if s == "*" {
		return ""
	}
	if _, err := regexp.Compile(s); err != nil {
		return "'" + s + "' is not a valid regex"
	}
	return ""
}
