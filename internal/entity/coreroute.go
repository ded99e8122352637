// SPDX-License-Identifier: Apache-2.0

package entity

import (
	"slices"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/entity/expression"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/entity/schema/typedefs"
)

var endpointRecord = schema.NewRecord(typedefs.IPOrCIDR("ip"), typedefs.Port("port")).
	Checks(schema.AtLeastOneOf("ip", "port"))

var routeBase = common(
	typedefs.UTF8Name("name"),
	schema.Set("protocols", schema.String("").OneOf(oneOf(allProtocols)...)).
		Required().LenMin(1).Default([]string{"http", "https"}).
		ExclusiveSubsets([]string{"http", "https"}, []string{"tcp", "tls", "udp"},
			[]string{"tls_passthrough"}, []string{"grpc", "grpcs"}),
	schema.Integer("https_redirect_status_code").Required().Default(426).OneOf(426, 301, 302, 307, 308),
	schema.Boolean("strip_path").Required().Default(true),
	schema.Boolean("preserve_host").Required().Default(false),
	schema.Boolean("request_buffering").Required().Default(true),
	schema.Boolean("response_buffering").Required().Default(true),
	reference("service"),
	schema.Set("snis", typedefs.WildcardHost("")),
	schema.Set("sources", schema.Nested("", endpointRecord)),
	schema.Set("destinations", schema.Nested("", endpointRecord)),
	schema.Set("methods", typedefs.Method("")),
	schema.Array("hosts", typedefs.RouteHost("")),
	schema.Array("paths", typedefs.RoutePath("")),
	schema.Map("headers",
		typedefs.HeaderName("").MatchesNot("(?i)^host$",
			"cannot contain 'host' header, which must be specified in the 'hosts' attribute"),
		typedefs.RouteHeader("")),
	schema.String("expression"),
	schema.Integer("priority").Between(0, 1<<46-1),
	schema.Integer("regex_priority").Default(0),
	schema.String("path_handling").Default("v0").OneOf("v0", "v1"),
).Checks(
	schema.Custom("snis", []string{"protocols", "snis"}, checkRouteSNIs),
	schema.Custom("expression", []string{"expression", "protocols"}, checkExpression),
	schema.Custom("priority", []string{"priority"}, checkPriority),
)

// The three families of routes, picked by the first protocol that belongs to
// one.
var (
	routeHTTP = routeBase.With(
		forbid(schema.Set("sources", schema.Any("")), "'http' or 'https'"),
		forbid(schema.Set("destinations", schema.Any("")), "'http' or 'https'"),
	).Checks(matchers(
		[]string{"https"}, []string{"methods", "hosts", "headers", "paths", "snis"},
		[]string{"http"}, []string{"methods", "hosts", "headers", "paths"}))

	routeGRPC = routeBase.With(
		schema.Boolean("strip_path").Required().Default(false).NotEqual(true).
			Message("cannot set 'strip_path' when 'protocols' is 'grpc' or 'grpcs'"),
		forbid(schema.Set("methods", schema.Any("")), "'grpc' or 'grpcs'"),
		forbid(schema.Set("sources", schema.Any("")), "'grpc' or 'grpcs'"),
		forbid(schema.Set("destinations", schema.Any("")), "'grpc' or 'grpcs'"),
	).Checks(matchers(
		[]string{"grpcs"}, []string{"hosts", "headers", "paths", "snis"},
		[]string{"grpc"}, []string{"hosts", "headers", "paths"}))

	routeStream = routeBase.With(
		forbid(schema.Set("methods", schema.Any("")), streamProtocols),
		forbid(schema.Array("hosts", schema.Any("")), streamProtocols),
		forbid(schema.Array("paths", schema.Any("")), streamProtocols),
		forbid(schema.Map("headers", schema.String(""), schema.Any("")), streamProtocols),
	).Checks(matchers(
		[]string{"tls_passthrough"}, []string{"snis"},
		[]string{"tcp", "tls", "udp"}, []string{"sources", "destinations", "snis"}))
)

const streamProtocols = "'tcp', 'tls', 'tls_passthrough' or 'udp'"

func forbid(f *schema.Field, protocols string) *schema.Field {
	return f.Forbidden().Message("cannot set '" + f.Name() + "' when 'protocols' is " + protocols)
}

// routeRecord returns the record of a route's family.
func routeRecord(v map[string]any) *schema.Record {
	list, _ := v["protocols"].([]any)
	for _, p := range list {
		switch p {
		case "http", "https":
			return routeHTTP
		case "grpc", "grpcs":
			return routeGRPC
		case "tcp", "tls", "udp", "tls_passthrough":
			return routeStream
		}
	}
	return routeHTTP
}

// matchers wants a route to select something: one of wantFirst when a protocol
// of first is among its protocols, else one of wantThen when one of then is. An
// expression always counts.
func matchers(first, wantFirst, then, wantThen []string) schema.EntityCheck {
	return schema.Custom("matchers", nil, func(v map[string]any, report func(path, message string)) {
		list, _ := v["protocols"].([]any)
		for _, half := range [][2][]string{{first, wantFirst}, {then, wantThen}} {
			protocols, want := half[0], half[1]
			i := slices.IndexFunc(protocols, func(p string) bool { return slices.Contains(list, any(p)) })
			if i < 0 {
				continue
			}
			if v["expression"] == nil && !anySet(v, want) {
				report("", "must set one of '"+strings.Join(want, "', '")+"' when 'protocols' is '"+protocols[i]+"'")
			}
			return
		}
	})
}

func anySet(v map[string]any, fields []string) bool {
	return slices.ContainsFunc(fields, func(f string) bool {
		switch e := v[f].(type) {
		case []any:
			return len(e) > 0
		case map[string]any:
			return len(e) > 0
		}
		return false
	})
}

func checkRouteSNIs(v map[string]any, report func(path, message string)) {
	if !anySet(v, []string{"snis"}) {
		return
	}
	list, _ := v["protocols"].([]any)
	for _, p := range []string{"grpcs", "https", "tls", "tls_passthrough"} {
		if slices.Contains(list, any(p)) {
			return
		}
	}
	report("snis", "length must be 0")
	report("", "'snis' can only be set when 'protocols' is 'grpcs', 'https', 'tls' or 'tls_passthrough'")
}

var traditionalMatchers = []string{"methods", "hosts", "paths", "headers", "snis", "sources", "destinations"}

const expressionFailed = "Router Expression failed validation: "

func checkExpression(v map[string]any, report func(path, message string)) {
	text, set := v["expression"].(string)
	if !set {
		return
	}
	if anySet(v, traditionalMatchers) {
		report("", expressionFailed+"cannot set 'expression' with "+matcherList+" simultaneously")
	}
	if p, _ := schema.Float(v["regex_priority"]); p != 0 {
		report("", expressionFailed+"cannot set 'regex_priority' with 'expression' simultaneously")
	}
	if _, err := expression.Parse(text, expressionFamily(v)); err != nil {
		report("expression", expressionFailed+err.Error())
	}
}

// expressionFamily is told by the first protocol, as routeRecord does.
func expressionFamily(v map[string]any) expression.Family {
	list, _ := v["protocols"].([]any)
	for _, p := range list {
		switch p {
		case "http", "https", "grpc", "grpcs":
			return expression.HTTP
		case "tcp", "tls", "udp", "tls_passthrough":
			return expression.Stream
		}
	}
	return expression.HTTP
}

func checkPriority(v map[string]any, report func(path, message string)) {
	if p, _ := schema.Float(v["priority"]); p != 0 && anySet(v, traditionalMatchers) {
		report("", expressionFailed+"cannot set 'priority' with "+matcherList+" simultaneously")
	}
}

const matcherList = "'methods', 'hosts', 'paths', 'headers', 'snis', 'sources' or 'destinations'"
