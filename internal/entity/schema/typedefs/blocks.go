// SPDX-License-Identifier: Apache-2.0

package typedefs

import (
	"fmt"
	"slices"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// Queue declares the queue block of plugins that send in the background.
// Delays are in seconds.
func Queue() *schema.Field {
	return schema.Nested("queue", schema.NewRecord(
		schema.Integer("max_batch_size").Between(1, 1000000).Default(1),
		schema.Number("max_coalescing_delay").Between(0, 3600).Default(1),
		schema.Integer("max_entries").Between(1, 1000000).Default(10000),
		schema.Integer("max_bytes"),
		schema.Number("max_retry_time").Default(60),
		schema.Number("initial_retry_delay").Between(0.001, 1000000).Default(0.01),
		schema.Number("max_retry_delay").Between(0.001, 1000000).Default(60),
		schema.Integer("concurrency_limit").OneOf(-1, 1).Default(1),
	))
}

// Redis declares the redis block. The timeout is in milliseconds.
func Redis() *schema.Field {
	return schema.Nested("redis", schema.NewRecord(
		Host("host"),
		Port("port").Default(6379),
		Timeout("timeout").Default(2000),
		schema.String("username").Referenceable(),
		schema.String("password").Secret().LenMin(0).Referenceable(),
		schema.Integer("database").Default(0),
		schema.Boolean("ssl").Default(false),
		schema.Boolean("ssl_verify").Default(false),
		SNI("server_name"),
	))
}

// RedisAliases returns the flat spellings of the redis block from before Kong
// 3.6: redis_host for redis.host, and so on.
func RedisAliases() []schema.Shorthand {
	return []schema.Shorthand{
		schema.Alias(schema.String("redis_host"), "redis.host"),
		schema.Alias(schema.Integer("redis_port"), "redis.port"),
		schema.Alias(schema.String("redis_password").Secret().LenMin(0).Referenceable(), "redis.password"),
		schema.Alias(schema.String("redis_username").Referenceable(), "redis.username"),
		schema.Alias(schema.Boolean("redis_ssl"), "redis.ssl"),
		schema.Alias(schema.Boolean("redis_ssl_verify"), "redis.ssl_verify"),
		schema.Alias(schema.String("redis_server_name"), "redis.server_name"),
		schema.Alias(schema.Integer("redis_timeout"), "redis.timeout"),
		schema.Alias(schema.Integer("redis_database"), "redis.database"),
	}
}

// CustomFieldsByLua declares the mapping from log field names to Lua snippets,
// which may hold a credential for whom the log is sent to.
func CustomFieldsByLua() *schema.Field {
	return schema.Map("custom_fields_by_lua", schema.String(""), schema.String("").Secret())
}

// RedisChecks are the checks of plugins whose policy may be redis: the address
// has to be known.
func RedisChecks() []schema.EntityCheck {
	var checks []schema.EntityCheck
	for _, field := range []string{"host", "port", "timeout"} {
		checks = append(checks, schema.Conditional(
			"config.policy", schema.Match().Equal("redis"),
			"config.redis."+field, schema.Match().Required()))
	}
	return checks
}

var periods = []string{"second", "minute", "hour", "day", "month", "year"}

// Periods returns the windows of Kong's rate limits, shortest first.
func Periods() []string { return slices.Clone(periods) }

// PeriodLimits declares one limit per window.
func PeriodLimits() []*schema.Field {
	fields := make([]*schema.Field, len(periods))
	for i, p := range periods {
		fields[i] = schema.Number(p).Greater(0)
	}
	return fields
}

// PeriodOrder wants the limit of a longer window not to be lower than that of
// a shorter one.
func PeriodOrder() schema.EntityCheck {
	return schema.Custom("period_order", periods, func(v map[string]any, report func(path, message string)) {
		for i, lower := range periods {
			for _, upper := range periods[i+1:] {
				low, isLow := schema.Float(v[lower])
				up, isUp := schema.Float(v[upper])
				if isLow && isUp && up < low {
					report("", fmt.Sprintf("The limit for %s(%.1f) cannot be lower than the limit for %s(%.1f)", upper, up, lower, low))
					return
				}
			}
		}
	})
}
