// SPDX-License-Identifier: Apache-2.0

// Package schema describes the configuration of the request-termination plugin.
package schema

import (
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/entity/schema/typedefs"
)

// Plugin is the request-termination plugin.
var Plugin = entity.PluginSchema{
	Name:      "request-termination",
	Guards:    true,
	Protocols: entity.HTTPProtocols(),
	Config: schema.NewRecord(
		schema.Integer("status_code").Required().Default(503).Between(100, 599),
		schema.String("message"),
		schema.String("content_type"),
		schema.String("body").Secret(),
		schema.Boolean("echo").Required().Default(false),
		typedefs.HeaderName("trigger"),
	).Checks(schema.Custom("one_kind_of_body", []string{"message", "content_type", "body", "echo"}, checkBody)),
}

func checkBody(v map[string]any, report func(path, message string)) {
	has := func(name string) bool { s, _ := v[name].(string); return s != "" }
	switch {
	case has("message") && (has("content_type") || has("body")):
		report("", "message cannot be used with content_type or body")
	case has("content_type") && !has("body"):
		report("", "content_type requires a body")
	case v["echo"] == true && has("body"):
		report("", "echo cannot be used with content_type and body")
	}
}
