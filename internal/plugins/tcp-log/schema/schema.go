// SPDX-License-Identifier: Apache-2.0

// Package schema describes the configuration of the tcp-log plugin. Times are in
// milliseconds.
package schema

import (
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/entity/schema/typedefs"
)

// Plugin is the tcp-log plugin.
var Plugin = entity.PluginSchema{
	Name: "tcp-log",
	Config: schema.NewRecord(
		typedefs.Host("host").Required(),
		typedefs.Port("port").Required(),
		schema.Number("timeout").Default(10000),
		schema.Number("keepalive").Default(60000),
		schema.Boolean("tls").Required().Default(false),
		schema.String("tls_sni"),
		typedefs.CustomFieldsByLua(),
	),
}
