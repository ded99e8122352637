// SPDX-License-Identifier: Apache-2.0

// Package schema describes the configuration of the hmac-auth plugin and its
// credentials. clock_skew is in seconds.
package schema

import (
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

var algorithms = []any{"hmac-sha1", "hmac-sha256", "hmac-sha384", "hmac-sha512"}

// Plugin is the hmac-auth plugin.
var Plugin = entity.PluginSchema{
	Name:       "hmac-auth",
	Guards:     true,
	Protocols:  entity.HTTPProtocols(),
	NoConsumer: true, NoConsumerGroup: true,
	Config: schema.NewRecord(
		schema.Boolean("hide_credentials").Required().Default(false),
		schema.Number("clock_skew").Default(300).Greater(0),
		schema.String("anonymous"),
		schema.Boolean("validate_request_body").Required().Default(false),
		schema.Array("enforce_headers", schema.String("")).Default([]string{}),
		schema.Array("algorithms", schema.String("").OneOf(algorithms...)).Default(algorithms),
		schema.String("realm"),
	),
	Defaults314: map[string]any{"algorithms": algorithms[1:]},
	Credentials: []entity.CredentialType{{
		Collection: "hmacauth_credentials",
		UniqueKey:  "username",
		Record: schema.NewRecord(
			schema.String("username").Required(),
			schema.String("secret").Secret(),
		),
	}},
}
