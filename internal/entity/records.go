// SPDX-License-Identifier: Apache-2.0

package entity

import (
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/entity/schema/typedefs"
)

// protocols of Kong, in the order in which its messages list them. ws and wss are
// Kong Enterprise's, and refused as by Kong.
var allProtocols = []Protocol{
	ProtocolGRPC, ProtocolGRPCS, ProtocolHTTP, ProtocolHTTPS,
	ProtocolTCP, ProtocolTLS, ProtocolTLSPassthrough, ProtocolUDP,
}

// HTTPProtocols are the protocols of plugins that work on requests.
func HTTPProtocols() []Protocol {
	return []Protocol{ProtocolGRPC, ProtocolGRPCS, ProtocolHTTP, ProtocolHTTPS}
}

func oneOf(list []Protocol) []any {
	out := make([]any, len(list))
	for i, p := range list {
		out[i] = string(p)
	}
	return out
}

// common returns fields with those that all entities have around them.
func common(fields ...*schema.Field) *schema.Record {
	all := append([]*schema.Field{schema.String("id").UUID()}, fields...)
	all = append(all, typedefs.Tags(), schema.Integer("created_at"), schema.Integer("updated_at"))
	return schema.NewRecord(all...)
}

// reference declares a field that points to another entity. Its value is a
// Ref; codecs resolve names before a record sees it.
func reference(name string) *schema.Field {
	return schema.Nested(name, schema.NewRecord(schema.String("id").UUID().Required())).Optional().Explicit()
}

func pluginRecord(p PluginSchema) *schema.Record {
	accepted, def := p.Protocols, p.DefaultProtocols
	if accepted == nil {
		accepted = allProtocols
	}
	if def == nil {
		def = HTTPProtocols()
	}
	scope := func(name string, no bool) *schema.Field {
		f := reference(name)
		if no {
			f.Forbidden()
		}
		return f
	}
	return common(
		schema.String("name").Required(),
		typedefs.UTF8Name("instance_name"),
		scope("service", p.NoService),
		scope("route", p.NoRoute),
		scope("consumer", p.NoConsumer),
		scope("consumer_group", p.NoConsumerGroup),
		schema.Nested("config", p.Config),
		schema.Set("protocols", schema.String("").OneOf(oneOf(accepted)...)).Required().Default(def),
		schema.Boolean("enabled").Required().Default(true),
		schema.Nested("ordering", orderingRecord).Optional(),
	).Checks(p.Checks...)
}

var orderingRecord = schema.NewRecord(
	schema.Map("before", schema.String(""), schema.Array("", schema.String(""))),
	schema.Map("after", schema.String(""), schema.Array("", schema.String(""))),
)

func credentialRecord(c CredentialType) *schema.Record {
	return c.Record.With(
		schema.String("id").UUID(),
		reference("consumer").Required(),
		typedefs.Tags(),
		schema.Integer("created_at"),
	)
}
