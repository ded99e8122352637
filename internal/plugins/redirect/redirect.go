// SPDX-License-Identifier: Apache-2.0

// Package redirect answers with another location
// (https://docs.konghq.com/hub/kong-inc/redirect/). It keeps no state.
package redirect

import (
	"strings"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// Registration makes the plugin known to the data plane.
var Registration = plugin.Registration{Name: "redirect", Priority: 779, Configure: configure}

type config struct {
	StatusCode       int    `json:"status_code"`
	Location         string `json:"location"`
	KeepIncomingPath bool   `json:"keep_incoming_path"`
}

func configure(c plugin.Config) (*plugin.Phases, error) {
	conf := &config{}
	if err := schema.Decode(c.Values, conf); err != nil {
		return nil, err
	}
	return &plugin.Phases{Access: conf.access}, nil
}

func (c *config) access(x plugin.Exchange) {
	location := c.Location
	if c.KeepIncomingPath {
		location = withPath(location, x.Request())
	}
	x.Exit(plugin.Reply{
		Status: c.StatusCode, Body: []byte("redirecting"),
		Header: []plugin.Field{{Name: "Location", Value: location}},
	})
}

// withPath puts path and query of the request in the place of those of an
// absolute URL, whose fragment stays.
func withPath(location string, r *plugin.Request) string {
	location, fragment, hasFragment := strings.Cut(location, "#")
	origin := location
	if start := strings.Index(location, "://"); start >= 0 {
		start += len("://")
		if end := strings.IndexAny(location[start:], "/?"); end >= 0 {
			origin = location[:start+end]
		}
	}
	out := origin + r.Path
	if r.Query != "" {
		out += "?" + r.Query
	}
	if hasFragment {
		out += "#" + fragment
	}
	return out
}
