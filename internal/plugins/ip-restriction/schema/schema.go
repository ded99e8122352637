// SPDX-License-Identifier: Apache-2.0

// Package schema describes the configuration of the ip-restriction plugin.
package schema

import (
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/entity/schema/typedefs"
)

// Plugin is the ip-restriction plugin.
var Plugin = entity.PluginSchema{
	Name:   "ip-restriction",
	Guards: true,
	DefaultProtocols: []entity.Protocol{
		entity.ProtocolHTTP, entity.ProtocolHTTPS, entity.ProtocolTCP,
		entity.ProtocolTLS, entity.ProtocolGRPC, entity.ProtocolGRPCS,
	},
	Config: schema.NewRecord(
		schema.Array("allow", typedefs.IPOrCIDR("")),
		schema.Array("deny", typedefs.IPOrCIDR("")),
		schema.Number("status"),
		schema.String("message"),
	),
	Checks: []schema.EntityCheck{schema.AtLeastOneOf("config.allow", "config.deny")},
}
