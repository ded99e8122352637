// SPDX-License-Identifier: Apache-2.0

// Package schema describes the configuration of the loggly plugin. The timeout is
// in milliseconds.
package schema

import (
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/entity/schema/typedefs"
)

// Plugin is the loggly plugin.
var Plugin = entity.PluginSchema{
	Name: "loggly",
	Config: schema.NewRecord(
		typedefs.Host("host").Default("logs-01.loggly.com"),
		typedefs.Port("port").Default(514),
		schema.String("key").Required().Secret().Referenceable(),
		schema.Set("tags", schema.String("")).Default([]any{"kong"}),
		severity("log_level"),
		severity("successful_severity"),
		severity("client_errors_severity"),
		severity("server_errors_severity"),
		schema.Number("timeout").Default(10000),
		typedefs.CustomFieldsByLua(),
	),
}

func severity(name string) *schema.Field {
	return schema.String(name).Default("info").OneOf("debug", "info", "notice", "warning", "err", "crit", "alert", "emerg")
}
