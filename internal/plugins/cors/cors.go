// SPDX-License-Identifier: Apache-2.0

// Package cors adds cross-origin resource sharing to a route
// (https://docs.konghq.com/hub/kong-inc/cors/). It keeps no state.
package cors

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// Registration makes the plugin known to the data plane.
var Registration = plugin.Registration{Name: "cors", Priority: 2000, Configure: configure}

var preflight = plugin.NewSlot("cors: preflight")

type config struct {
	Origins           []string `json:"origins"`
	Headers           []string `json:"headers"`
	ExposedHeaders    []string `json:"exposed_headers"`
	Methods           []string `json:"methods"`
	MaxAge            *float64 `json:"max_age"` // seconds
	Credentials       bool     `json:"credentials"`
	PrivateNetwork    bool     `json:"private_network"`
	PreflightContinue bool     `json:"preflight_continue"`
	AllowOriginAbsent bool     `json:"allow_origin_absent"`

	origins origins
	allowed string // headers
	exposed string
	methods string
}

func configure(c plugin.Config) (*plugin.Phases, error) {
	conf := &config{}
	if err := schema.Decode(c.Values, conf); err != nil {
		return nil, err
	}
	var err error
	if conf.origins, err = parseOrigins(conf.Origins); err != nil {
		return nil, fmt.Errorf("origins: %w", err)
	}
	conf.allowed = strings.Join(conf.Headers, ",")
	conf.exposed = strings.Join(conf.ExposedHeaders, ",")
	conf.methods = strings.Join(conf.Methods, ",")
	return &plugin.Phases{Access: conf.access, HeaderFilter: conf.headerFilter}, nil
}

// answer collects the headers of a preflight's answer.
type answer struct{ fields []plugin.Field }

func (a *answer) set(name, value string) {
	a.fields = append(a.fields, plugin.Field{Name: name, Value: value})
}

func (c *config) access(x plugin.Exchange) {
	h := x.Header()
	origin := h.Get("Origin")
	if c.PreflightContinue || x.Request().Method != http.MethodOptions || origin == "" || h.Get("Access-Control-Request-Method") == "" {
		return
	}
	var a answer
	v := c.decide(origin)
	if v.vary {
		a.set("Vary", "Origin")
	}
	if v.allow != "" {
		a.set("Access-Control-Allow-Origin", x.Keep(v.allow))
	}
	if v.credentials {
		a.set("Access-Control-Allow-Credentials", "true")
	}
	if c.PrivateNetwork && h.Get("Access-Control-Request-Private-Network") == "true" {
		a.set("Access-Control-Allow-Private-Network", "true")
	}
	if c.allowed != "" {
		a.set("Access-Control-Allow-Headers", c.allowed)
	} else if asked := h.Get("Access-Control-Request-Headers"); asked != "" {
		a.set("Access-Control-Allow-Headers", x.Keep(asked))
	}
	a.set("Access-Control-Allow-Methods", c.methods)
	if c.MaxAge != nil {
		a.set("Access-Control-Max-Age", strconv.FormatFloat(*c.MaxAge, 'f', -1, 64))
	}
	x.SetValue(preflight, true)
	x.Exit(plugin.Reply{Status: 200, Header: a.fields})
}

func (c *config) headerFilter(x plugin.Exchange) {
	if x.Value(preflight) != nil {
		return
	}
	origin := x.Header().Get("Origin")
	if origin == "" && !c.AllowOriginAbsent {
		return
	}
	h := x.Response().Header
	v := c.decide(origin)
	if v.vary && !listed(h, "Vary", "Origin") {
		h.Add("Vary", "Origin")
	}
	if v.allow == "" {
		h.Del("Access-Control-Allow-Origin")
	} else {
		h.Set("Access-Control-Allow-Origin", v.allow)
	}
	if v.credentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	if c.exposed != "" {
		h.Set("Access-Control-Expose-Headers", c.exposed)
	}
}

// listed reports whether a list header has an entry.
func listed(h plugin.Header, name, entry string) bool {
	var room [4]string
	for _, line := range h.Values(room[:0], name) {
		for item := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(item), entry) {
				return true
			}
		}
	}
	return false
}

// verdict is what an answer says about an origin.
type verdict struct {
	allow       string // Access-Control-Allow-Origin, "" for none
	vary        bool   // the answer depends on the Origin header
	credentials bool
}

func (c *config) decide(origin string) verdict {
	v := c.origins.match(origin)
	if !c.Credentials {
		return v
	}
	switch {
	case v.allow != "*":
		v.credentials = true
	case origin != "":
		// "*" and credentials exclude each other (Fetch standard, 3.3.5).
		v = verdict{allow: origin, vary: true, credentials: true}
	}
	return v
}
