// SPDX-License-Identifier: Apache-2.0

// Package schema describes the configuration of the udp-log plugin. The timeout is
// in milliseconds.
package schema

import (
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/entity/schema/typedefs"
)

// Plugin is the udp-log plugin.
var Plugin = entity.PluginSchema{
	Name: "udp-log",
	Config: schema.NewRecord(
		typedefs.Host("host").Required(),
		typedefs.Port("port").Required(),
		schema.Number("timeout").Default(10000),
		typedefs.CustomFieldsByLua(),
	),
}
