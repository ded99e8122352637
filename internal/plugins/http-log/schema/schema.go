// SPDX-License-Identifier: Apache-2.0

// Package schema describes the configuration of the http-log plugin. Times are in milliseconds, delays of
// the queue in seconds.
package schema

import (
	"net/url"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/entity/schema/typedefs"
)

// Plugin is the http-log plugin.
var Plugin = entity.PluginSchema{
	Name: "http-log",
	Config: schema.NewRecord(
		typedefs.URL("http_endpoint").Required().Secret().Referenceable(),
		schema.String("method").Default("POST").OneOf("POST", "PUT", "PATCH"),
		schema.String("content_type").Default("application/json").
			OneOf("application/json", "application/json; charset=utf-8"),
		schema.Number("timeout").Default(10000),
		schema.Number("keepalive").Default(60000),
		schema.Integer("retry_count").Deprecated("queue.max_retry_time"),
		schema.Integer("queue_size").Deprecated("queue.max_batch_size"),
		schema.Number("flush_timeout").Deprecated("queue.max_coalescing_delay"),
		schema.Map("headers",
			typedefs.HeaderName("").
				MatchesNot("(?i)^host$", "cannot contain 'Host' header").
				MatchesNot("(?i)^content-length$", "cannot contain 'Content-Length' header").
				MatchesNot("(?i)^content-type$", "cannot contain 'Content-Type' header"),
			schema.String("").Secret().Referenceable()),
		typedefs.Queue(),
		typedefs.CustomFieldsByLua(),
	).Checks(schema.Custom("one_authorization", []string{"http_endpoint", "headers"}, checkAuthorization)),
}

// checkAuthorization refuses credentials given twice.
func checkAuthorization(v map[string]any, report func(path, message string)) {
	endpoint, _ := v["http_endpoint"].(string)
	u, err := url.Parse(endpoint)
	if err != nil || u.User == nil {
		return
	}
	headers, _ := v["headers"].(map[string]any)
	for name := range headers {
		if strings.EqualFold(name, "authorization") {
			report("", "specifying both an 'Authorization' header and user info in 'http_endpoint' is not allowed")
			return
		}
	}
}
