// SPDX-License-Identifier: Apache-2.0

// Package schema describes the configuration of the syslog plugin.
package schema

import (
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/entity/schema/typedefs"
)

// Plugin is the syslog plugin.
var Plugin = entity.PluginSchema{
	Name: "syslog",
	Config: schema.NewRecord(
		severity("log_level"),
		severity("successful_severity"),
		severity("client_errors_severity"),
		severity("server_errors_severity"),
		typedefs.CustomFieldsByLua(),
		schema.String("facility").Required().Default("user").OneOf(
			"auth", "authpriv", "cron", "daemon", "ftp", "kern", "lpr", "mail", "news", "syslog", "user", "uucp",
			"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"),
	),
}

func severity(name string) *schema.Field {
	return schema.String(name).Required().Default("info").OneOf("debug", "info", "notice", "warning", "err", "crit", "alert", "emerg")
}
