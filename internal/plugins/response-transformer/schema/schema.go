// SPDX-License-Identifier: Apache-2.0

// Package schema describes the configuration of the response-transformer plugin. Entries are
// name:value, split at the first colon.
package schema

import (
	"strings"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/entity/schema/typedefs"
)

// Plugin is the response-transformer plugin.
var Plugin = entity.PluginSchema{
	Name:      "response-transformer",
	Protocols: entity.HTTPProtocols(),
	Config: schema.NewRecord(
		schema.Nested("remove", schema.NewRecord(
			list("json", schema.String("")),
			list("headers", schema.String("")),
		)),
		schema.Nested("rename", schema.NewRecord(
			list("json", pair()),
			list("headers", pair().CustomString("two_headers", checkTwoHeaders)),
		)),
		schema.Nested("replace", pairs()),
		schema.Nested("add", pairs()),
		schema.Nested("append", pairs()),
	),
}

func list(name string, elem *schema.Field) *schema.Field {
	return schema.Array(name, elem).Required().Default([]string{})
}

func pair() *schema.Field { return schema.String("").Matches("^[^:]+:.*$") }

// pairs describes lists of name:value entries, whose values may be
// credentials. json_types go with the entries of json by position.
func pairs() *schema.Record {
	return schema.NewRecord(
		list("json", pair().SecretValue()),
		list("json_types", schema.String("").OneOf("boolean", "number", "string")),
		list("headers", pair().SecretValue()),
	)
}

func checkTwoHeaders(entry string) string {
	name, value, _ := strings.Cut(entry, ":")
	for _, h := range []string{name, strings.TrimLeft(value, ":")} {
		if !typedefs.IsHeaderName(h) {
			return "'" + h + "' is not a valid header"
		}
	}
	return ""
}
