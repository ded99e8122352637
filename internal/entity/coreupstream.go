// SPDX-License-Identifier: Apache-2.0

package entity

import (
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/entity/schema/typedefs"
)

var hashInputs = []any{"none", "consumer", "ip", "header", "cookie", "path", "query_arg", "uri_capture"}

var upstreamRecord = common(
	schema.String("name").Required().CustomString("upstream_name", checkUpstreamName),
	schema.String("algorithm").Default("round-robin").
		OneOf("consistent-hashing", "least-connections", "round-robin", "latency", "sticky-sessions"),
	schema.String("hash_on").Default("none").OneOf(hashInputs...),
	schema.String("hash_fallback").Default("none").OneOf(hashInputs...),
	typedefs.HeaderName("hash_on_header"),
	typedefs.HeaderName("hash_fallback_header"),
	typedefs.CookieName("hash_on_cookie"),
	typedefs.Path("hash_on_cookie_path").Default("/"),
	schema.String("hash_on_query_arg"),
	schema.String("hash_fallback_query_arg"),
	schema.String("hash_on_uri_capture"),
	schema.String("hash_fallback_uri_capture"),
	typedefs.CookieName("sticky_sessions_cookie"),
	typedefs.Path("sticky_sessions_cookie_path"),
	schema.Integer("slots").Default(10000).Between(10, 1<<16),
	schema.Nested("healthchecks", healthchecksRecord),
	typedefs.HostWithOptionalPort("host_header"),
	reference("client_certificate"),
	schema.Boolean("use_srv_name").Default(false),
).Checks(
	needs("hash_on", "header", "hash_on_header"),
	needs("hash_fallback", "header", "hash_fallback_header"),
	needs("hash_on", "cookie", "hash_on_cookie"),
	needs("hash_fallback", "cookie", "hash_on_cookie"),
	fallback("none", "none"),
	fallback("cookie", "none"),
	fallback("consumer", "none", "ip", "header", "cookie", "path", "query_arg", "uri_capture"),
	fallback("ip", "none", "consumer", "header", "cookie", "path", "query_arg", "uri_capture"),
	fallback("path", "none", "consumer", "header", "cookie", "query_arg", "ip", "uri_capture"),
	schema.Distinct("hash_on_header", "hash_fallback_header"),
	needs("hash_on", "query_arg", "hash_on_query_arg"),
	needs("hash_fallback", "query_arg", "hash_fallback_query_arg"),
	schema.Distinct("hash_on_query_arg", "hash_fallback_query_arg"),
	needs("hash_on", "uri_capture", "hash_on_uri_capture"),
	needs("hash_fallback", "uri_capture", "hash_fallback_uri_capture"),
	schema.Distinct("hash_on_uri_capture", "hash_fallback_uri_capture"),
	needs("algorithm", "sticky-sessions", "sticky_sessions_cookie"),
).Shorthands(
	// Kong adjusts one of these two fields to the other, in this order.
	schema.Translate(schema.String("algorithm"), func(v any) map[string]any {
		if v == "least-connections" || v == "latency" || v == "sticky-sessions" {
			return map[string]any{"algorithm": v, "hash_on": nil}
		}
		return map[string]any{"algorithm": v}
	}),
	schema.Translate(schema.String("hash_on"), func(v any) map[string]any {
		switch v {
		case nil:
			return map[string]any{"hash_on": "none"}
		case "none":
			return map[string]any{"hash_on": "none", "algorithm": "round-robin"}
		}
		return map[string]any{"hash_on": v, "algorithm": "consistent-hashing"}
	}),
)

func needs(field, value, other string) schema.EntityCheck {
	return schema.Conditional(field, schema.Match().Equal(value), other, schema.Match().Required())
}

func fallback(hashOn string, allowed ...any) schema.EntityCheck {
	return schema.Conditional("hash_on", schema.Match().Equal(hashOn), "hash_fallback", schema.Match().OneOf(allowed...))
}

func checkUpstreamName(s string) string {
	a, ok := typedefs.ParseAddress(s)
	switch {
	case !ok:
		return "Invalid name ('" + s + "'); must be a valid hostname"
	case a.IsIP:
		return "Invalid name ('" + s + "'); no ip addresses allowed"
	case a.HasPort:
		return "Invalid name ('" + s + "'); no port allowed"
	}
	return ""
}

func seconds(name string) *schema.Field { return schema.Number(name).Between(0, 65535) }

func counter(name string) *schema.Field { return schema.Integer(name).Between(0, 255).Default(0) }

func statuses(codes ...int) *schema.Field {
	return schema.Array("http_statuses", schema.Integer("").Between(100, 999)).Default(codes)
}

func checkType() *schema.Field {
	return schema.String("type").Default("http").OneOf("tcp", "http", "https", "grpc", "grpcs")
}

var healthchecksRecord = schema.NewRecord(
	schema.Number("threshold").Default(0).Between(0, 100),
	schema.Nested("active", schema.NewRecord(
		checkType(),
		seconds("timeout").Default(1),
		schema.Integer("concurrency").Between(1, 1<<31).Default(10),
		typedefs.Path("http_path").Default("/"),
		typedefs.SNI("https_sni"),
		schema.Boolean("https_verify_certificate").Required().Default(true),
		typedefs.Headers("headers"),
		schema.Nested("healthy", schema.NewRecord(
			seconds("interval").Default(0), counter("successes"), statuses(200, 302),
		)),
		schema.Nested("unhealthy", schema.NewRecord(
			seconds("interval").Default(0), counter("tcp_failures"), counter("timeouts"), counter("http_failures"),
			statuses(429, 404, 500, 501, 502, 503, 504, 505),
		)),
	)),
	schema.Nested("passive", schema.NewRecord(
		checkType(),
		schema.Nested("healthy", schema.NewRecord(
			counter("successes"),
			statuses(200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 306, 307, 308),
		)),
		schema.Nested("unhealthy", schema.NewRecord(
			counter("tcp_failures"), counter("timeouts"), counter("http_failures"), statuses(429, 500, 503),
		)),
	)),
)
