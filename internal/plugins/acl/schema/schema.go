// SPDX-License-Identifier: Apache-2.0

// Package schema describes the configuration of the acl plugin and the groups
// of consumers.
package schema

import (
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// Plugin is the acl plugin.
var Plugin = entity.PluginSchema{
	Name:       "acl",
	Guards:     true,
	Protocols:  entity.HTTPProtocols(),
	NoConsumer: true, NoConsumerGroup: true,
	Config: schema.NewRecord(
		schema.Array("allow", schema.String("")),
		schema.Array("deny", schema.String("")),
		schema.Boolean("hide_groups_header").Required().Default(false),
		schema.Boolean("always_use_authenticated_groups").Required().Default(false),
		schema.Boolean("include_consumer_groups").Required().Default(false),
	),
	Checks: []schema.EntityCheck{
		schema.OnlyOneOf("config.allow", "config.deny"),
		schema.AtLeastOneOf("config.allow", "config.deny"),
	},
	Credentials: []entity.CredentialType{{
		Collection: "acls",
		Key:        []string{"consumer", "group"},
		Record:     schema.NewRecord(schema.String("group").Required()),
	}},
}
