// SPDX-License-Identifier: Apache-2.0

// Package requesttermination answers requests without an upstream
// (https://docs.konghq.com/hub/kong-inc/request-termination/). It keeps no
// state.
package requesttermination

import (
	"net/http"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// Registration makes the plugin known to the data plane.
var Registration = plugin.Registration{Name: "request-termination", Priority: 2, Configure: configure}

const jsonType = "application/json; charset=utf-8"

type config struct {
	StatusCode  int    `json:"status_code"`
	Message     string `json:"message"`
	ContentType string `json:"content_type"`
	Body        string `json:"body"`
	Echo        bool   `json:"echo"`
	Trigger     string `json:"trigger"`
}

// messages are Kong's texts for statuses without a configured message.
var messages = map[int]string{
	401: "Unauthorized",
	404: "Not found",
	405: "Method not allowed",
	500: "An unexpected error occurred",
	502: "Bad Gateway",
	503: "Service unavailable",
}

func configure(c plugin.Config) (*plugin.Phases, error) {
	conf := &config{}
	if err := schema.Decode(c.Values, conf); err != nil {
		return nil, err
	}
	return &plugin.Phases{Access: conf.access, Needs: conf.needs()}, nil
}

// echoLimit bounds the request body that echo shows.
const echoLimit = 1 << 20

func (c *config) needs() plugin.Needs {
	if c.Echo {
		return plugin.Needs{RequestBody: echoLimit}
	}
	return plugin.Needs{}
}

func (c *config) access(x plugin.Exchange) {
	if c.Trigger != "" && !x.Header().Has(c.Trigger) && !hasArgument(x.Request().Query, c.Trigger) {
		return
	}
	reply := plugin.Reply{Status: c.StatusCode}
	switch message := c.message(); {
	case c.Echo:
		reply.Header = []plugin.Field{{Name: "Content-Type", Value: jsonType}}
		reply.Body = echo(x, message)
	case c.Body != "":
		contentType := c.ContentType
		if contentType == "" {
			contentType = jsonType
		}
		reply.Header = []plugin.Field{{Name: "Content-Type", Value: contentType}}
		reply.Body = []byte(c.Body)
	case message != "" && c.StatusCode != http.StatusNoContent:
		reply.Header = []plugin.Field{{Name: "Content-Type", Value: jsonType}}
		reply.Body = encode(map[string]any{"message": message})
	}
	x.Exit(reply)
}

func (c *config) message() string {
	if c.Message != "" {
		return c.Message
	}
	return messages[c.StatusCode]
}

// hasArgument reports whether a raw query has an argument of that name; names
// are compared exactly.
func hasArgument(query, name string) bool {
	for pair := range strings.SplitSeq(query, "&") {
		if key, _, _ := strings.Cut(pair, "="); key == name {
			return true
		}
	}
	return false
}

func encode(v any) []byte {
	data, err := schema.EncodeJSON(v)
	if err != nil {
		return nil
	}
	return data
}

// echo describes the request as the plugin's echo mode does.
func echo(x plugin.Exchange, message string) []byte {
	r := x.Request()
	headers := map[string]any{}
	x.Header().Each(func(name, value string) bool {
		key := strings.ToLower(name)
		switch old := headers[key].(type) {
		case nil:
			headers[key] = strings.Clone(value)
		case string:
			headers[key] = []string{old, strings.Clone(value)}
		case []string:
			headers[key] = append(old, strings.Clone(value))
		}
		return true
	})
	body, _ := x.Body()
	out := map[string]any{
		"message": message,
		"kong":    map[string]any{},
		"request": map[string]any{
			"scheme": r.Scheme, "host": r.Host, "port": x.Client().Local.Port(), "method": r.Method,
			"path": r.Path, "raw_query": r.Query, "query": arguments(r.Query), "headers": headers, "raw_body": string(body),
			"uri_captures": captures(x.Captures()),
		},
	}
	if route := x.Route(); route != nil {
		out["matched_route"] = route
	}
	if service := x.Service(); service != nil {
		out["matched_service"] = service
	}
	return encode(out)
}

// captures lists the groups of the route's path by number, and those that have
// a name by that as well (kong.request.get_uri_captures).
func captures(groups []plugin.Capture) map[string]any {
	named, unnamed := map[string]string{}, []string{}
	for i, g := range groups {
		if i == 0 {
			continue // the whole match
		}
		value := strings.Clone(g.Value)
		unnamed = append(unnamed, value)
		if g.Name != "" {
			named[g.Name] = value
		}
	}
	return map[string]any{"named": named, "unnamed": unnamed}
}

func arguments(query string) map[string]any {
	out := map[string]any{}
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			out[key] = true
			continue
		}
		out[key] = value
	}
	return out
}
