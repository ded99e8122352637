// SPDX-License-Identifier: Apache-2.0

// Package schema describes the configuration of the bot-detection plugin.
package schema

import (
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/entity/schema/typedefs"
)

// Plugin is the bot-detection plugin.
var Plugin = entity.PluginSchema{
	Name:      "bot-detection",
	Guards:    true,
	Protocols: entity.HTTPProtocols(),
	Config: schema.NewRecord(
		schema.Array("allow", typedefs.Regex("")).Default([]any{}),
		schema.Array("deny", typedefs.Regex("")).Default([]any{}),
	),
}
