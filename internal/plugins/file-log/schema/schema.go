// SPDX-License-Identifier: Apache-2.0

// Package schema describes the configuration of the file-log plugin.
package schema

import (
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/entity/schema/typedefs"
)

// Plugin is the file-log plugin.
var Plugin = entity.PluginSchema{
	Name: "file-log",
	Config: schema.NewRecord(
		schema.String("path").Required().CustomString("filename", filename),
		schema.Boolean("reopen").Required().Default(false),
		typedefs.CustomFieldsByLua(),
	),
}

func filename(s string) string {
	for _, c := range s {
		switch c {
		case '*', '&', '%', '`':
			return "not a valid filename"
		}
	}
	return ""
}
