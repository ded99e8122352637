// SPDX-License-Identifier: Apache-2.0

// Package schema describes the configuration of the unusable plugin: it has
// none.
package schema

import (
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// Plugin stands for a plugin that cannot be used, on requests and on sessions.
var Plugin = entity.PluginSchema{
	Name: "unusable", Config: schema.NewRecord(),
	DefaultProtocols: append(entity.HTTPProtocols(),
		entity.ProtocolTCP, entity.ProtocolTLS, entity.ProtocolTLSPassthrough, entity.ProtocolUDP),
}
