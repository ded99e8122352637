// SPDX-License-Identifier: Apache-2.0

package template

import (
	"strings"

	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/form"
)

// Request returns the names that transformers offer: headers, query_params,
// uri_captures and shared. They show the request as it is at the time of a
// lookup; render everything before the request is changed.
func Request(x plugin.Exchange) Scope {
	return func(name string) any {
		switch name {
		case "headers":
			return headers{x}
		case "query_params":
			return arguments{form.Parse(x.Upstream().Query)}
		case "uri_captures":
			return captures{x}
		case "shared":
			return nothing{}
		}
		return nil
	}
}

// headers finds a header whatever the case; underscores stand for dashes. Of
// several values it is the first.
type headers struct{ x plugin.Exchange }

// Field implements Table.
func (h headers) Field(key any) any {
	name, ok := key.(string)
	if !ok {
		return nil
	}
	list := h.x.Header()
	if list.Has(name) {
		return list.Get(name)
	}
	if name = strings.ReplaceAll(name, "_", "-"); list.Has(name) {
		return list.Get(name)
	}
	return nil
}

// arguments holds decoded arguments: true for one without a value.
type arguments struct{ list form.Args }

// Field implements Table.
func (a arguments) Field(key any) any {
	name, ok := key.(string)
	if !ok {
		return nil
	}
	values := a.list.Values(name)
	switch {
	case len(values) == 0:
		return nil
	case values[0].Flag:
		return true
	default:
		return values[0].Value
	}
}

// captures finds the groups of the route's path by number or name.
type captures struct{ x plugin.Exchange }

// Field implements Table.
func (c captures) Field(key any) any {
	for number, capture := range c.x.Captures() {
		if key == float64(number) || capture.Name != "" && key == capture.Name {
			return capture.Value
		}
	}
	return nil
}

// nothing is an empty table.
type nothing struct{}

// Field implements Table.
func (nothing) Field(any) any { return nil }
