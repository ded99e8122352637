// SPDX-License-Identifier: Apache-2.0

// Package schema describes the configuration of the basic-auth plugin and its
// credentials.
package schema

import (
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// Plugin is the basic-auth plugin.
var Plugin = entity.PluginSchema{
	Name:       "basic-auth",
	Guards:     true,
	Protocols:  entity.HTTPProtocols(),
	NoConsumer: true, NoConsumerGroup: true,
	Config: schema.NewRecord(
		schema.String("anonymous"),
		schema.Boolean("hide_credentials").Required().Default(false),
		schema.String("realm").Required().Default("service"),
	),
	Credentials: []entity.CredentialType{{
		Collection:  "basicauth_credentials",
		UniqueKey:   "username",
		Transformed: true,
		Record: schema.NewRecord(
			schema.String("username").Required(),
			schema.String("password").Required().Secret(),
		),
	}},
}
