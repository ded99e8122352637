// SPDX-License-Identifier: Apache-2.0

// Package botdetection refuses clients by their User-Agent
// (https://docs.konghq.com/hub/kong-inc/bot-detection/). It keeps no state.
package botdetection

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// Registration makes the plugin known to the data plane.
var Registration = plugin.Registration{Name: "bot-detection", Priority: 2500, Configure: configure}

type config struct {
	Allow []string `json:"allow"`
	Deny  []string `json:"deny"`
}

type detection struct {
	allow, deny []*regexp.Regexp
}

func configure(c plugin.Config) (*plugin.Phases, error) {
	var conf config
	if err := schema.Decode(c.Values, &conf); err != nil {
		return nil, err
	}
	d := &detection{}
	var err error
	if d.allow, err = expressions("allow", conf.Allow); err != nil {
		return nil, err
	}
	if d.deny, err = expressions("deny", conf.Deny); err != nil {
		return nil, err
	}
	return &plugin.Phases{Access: d.access}, nil
}

func expressions(field string, list []string) ([]*regexp.Regexp, error) {
	out := make([]*regexp.Regexp, 0, len(list))
	for _, s := range list {
		e, err := regexp.Compile(s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", field, err)
		}
		out = append(out, e)
	}
	return out, nil
}

func (d *detection) access(x plugin.Exchange) {
	var several [2]string
	agents := x.Header().Values(several[:0], "User-Agent")
	switch {
	case len(agents) == 0:
	case len(agents) > 1:
		x.Exit(plugin.Reply{Status: 400, Message: "Only one User-Agent header allowed"})
	case d.refuses(strings.TrimSpace(agents[0])):
		x.Exit(plugin.Reply{Status: 403, Message: "Forbidden"})
	}
}

// refuses applies allow before deny, and both before what is built in.
func (d *detection) refuses(agent string) bool {
	if matches(d.allow, agent) {
		return false
	}
	return matches(d.deny, agent) || isBot(agent)
}

func matches(list []*regexp.Regexp, agent string) bool {
	for _, e := range list {
		if e.MatchString(agent) {
			return true
		}
	}
	return false
}
