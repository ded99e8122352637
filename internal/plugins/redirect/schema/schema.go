// SPDX-License-Identifier: Apache-2.0

// Package schema describes the configuration of the redirect plugin.
package schema

import (
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/entity/schema/typedefs"
)

// Plugin is the redirect plugin.
var Plugin = entity.PluginSchema{
	Name:      "redirect",
	Protocols: entity.HTTPProtocols(),
	Config: schema.NewRecord(
		schema.Integer("status_code").Required().Default(301).Between(100, 599),
		typedefs.URL("location").Required(),
		schema.Boolean("keep_incoming_path").Default(false),
	),
}
