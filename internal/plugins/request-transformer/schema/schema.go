// SPDX-License-Identifier: Apache-2.0

// Package schema describes the configuration of the request-transformer plugin. Entries are
// name:value, split at the first colon.
package schema

import (
	"strings"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/entity/schema/typedefs"
)

// Plugin is the request-transformer plugin.
var Plugin = entity.PluginSchema{
	Name: "request-transformer",
	Config: schema.NewRecord(
		typedefs.Method("http_method"),
		schema.Nested("remove", schema.NewRecord(
			list("body", schema.String("")),
			list("headers", schema.String("").CustomString("header", checkHeader)),
			list("querystring", schema.String("")),
		)),
		schema.Nested("rename", schema.NewRecord(
			list("body", pair()),
			list("headers", schema.String("").Matches("^[^:]+:.*$").CustomString("two_headers", checkTwoHeaders)),
			list("querystring", pair()),
		)),
		schema.Nested("replace", pairs().With(schema.String("uri"))),
		schema.Nested("add", pairs()),
		schema.Nested("append", pairs()),
	),
}

func list(name string, elem *schema.Field) *schema.Field {
	return schema.Array(name, elem).Required().Default([]string{})
}

// pairs describes lists of name:value entries. Values may be credentials.
func pairs() *schema.Record {
	return schema.NewRecord(
		list("body", pair().SecretValue()),
		list("headers", schema.String("").Matches("^[^:]+:.*$").CustomString("header", checkHeader).SecretValue()),
		list("querystring", pair().SecretValue()),
	)
}

func pair() *schema.Field { return schema.String("").CustomString("value", checkValue) }

func split(entry string) (name, value string) {
	name, value, _ = strings.Cut(entry, ":")
	return name, strings.TrimLeft(value, ":")
}

func checkValue(entry string) string {
	if name, value := split(entry); name == "" || value == "" {
		return "key '" + name + "' has no value"
	}
	return ""
}

func checkHeader(entry string) string {
	name, _ := split(entry)
	return header(name)
}

func checkTwoHeaders(entry string) string {
	name, value := split(entry)
	if message := header(name); message != "" {
		return message
	}
	return header(value)
}

func header(name string) string {
	if typedefs.IsHeaderName(name) {
		return ""
	}
	return "'" + name + "' is not a valid header"
}
