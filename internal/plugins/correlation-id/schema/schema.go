// SPDX-License-Identifier: Apache-2.0

// Package schema describes the configuration of the correlation-id plugin.
package schema

import (
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// Plugin is the correlation-id plugin.
var Plugin = entity.PluginSchema{
	Name:      "correlation-id",
	Protocols: entity.HTTPProtocols(),
	Config: schema.NewRecord(
		schema.String("header_name").Default("Kong-Request-ID"),
		schema.String("generator").Required().Default("uuid#counter").OneOf("uuid", "uuid#counter", "tracker"),
		schema.Boolean("echo_downstream").Required().Default(false),
	),
}
