// SPDX-License-Identifier: Apache-2.0

// Package schema describes the configuration of the request-size-limiting plugin. Units of
// size are powers of 1024 bytes.
package schema

import (
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// Plugin is the request-size-limiting plugin.
var Plugin = entity.PluginSchema{
	Name:      "request-size-limiting",
	Guards:    true,
	Protocols: entity.HTTPProtocols(),
	Config: schema.NewRecord(
		schema.Integer("allowed_payload_size").Default(128),
		schema.String("size_unit").Required().Default("megabytes").OneOf("megabytes", "kilobytes", "bytes"),
		schema.Boolean("require_content_length").Required().Default(false),
	),
}
