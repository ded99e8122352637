// SPDX-License-Identifier: Apache-2.0

// Package schema describes the configuration of the key-auth plugin and its
// credentials.
package schema

import (
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/entity/schema/typedefs"
)

// Plugin is the key-auth plugin.
var Plugin = entity.PluginSchema{
	Name:       "key-auth",
	Guards:     true,
	Protocols:  entity.HTTPProtocols(),
	NoConsumer: true, NoConsumerGroup: true,
	Config: schema.NewRecord(
		schema.Array("key_names", typedefs.HeaderName("")).Required().Default([]string{"apikey"}),
		schema.Boolean("hide_credentials").Required().Default(false),
		schema.String("anonymous"),
		schema.Boolean("key_in_header").Required().Default(true),
		schema.Boolean("key_in_query").Required().Default(true),
		schema.Boolean("key_in_body").Required().Default(false),
		schema.Boolean("run_on_preflight").Required().Default(true),
		schema.String("realm"),
	),
	Credentials: []entity.CredentialType{{
		Collection: "keyauth_credentials",
		UniqueKey:  "key",
		Record: schema.NewRecord(
			schema.String("key").Secret(),
			schema.Number("ttl").Between(0, 100000000), // seconds
		),
	}},
}
