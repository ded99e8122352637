// SPDX-License-Identifier: Apache-2.0

package recorded

import (
	"encoding/json"
	"slices"
)

// remembering are the plugins that answer a request by what came before.
var remembering = []string{"rate-limiting", "response-ratelimiting", "proxy-cache", "session", "prometheus", "acme"}

// Stateful says why the answers to a case depend on how many requests came
// before, or in which order; "" if they do not.
func Stateful(c *Case) (why string) {
	switch {
	case c.Refused:
		return "a configuration that is refused serves no requests"
	case len(c.Sinks) > 0:
		return "records are gathered in batches, in the order of their requests"
	}
	for _, b := range c.Backends {
		if len(b.Script) > 1 {
			return "the upstream answers each request differently"
		}
	}
	for i := range c.Steps {
		if why := c.Steps[i].stateful(); why != "" {
			return why
		}
	}
	return statefulConfig(c.Config)
}

func (s *Step) stateful() (why string) {
	send, expect := map[string]any{}, map[string]any{}
	_ = json.Unmarshal([]byte(quoteBare(string(s.Send))), &send)
	_ = json.Unmarshal(s.Expect, &expect)
	switch {
	case s.Sleep > 0:
		return "time passes between the steps"
	case s.Status != "":
		return "the Status API counts requests"
	case len(s.Grab) > 0:
		return "a step sends what an earlier one was answered"
	case send["repeat"] != nil:
		return "a step counts its requests"
	case expect["upstream_counts"] != nil || expect["upstream_spread"] != nil:
		return "the balancer's turns are counted"
	}
	return ""
}

func statefulConfig(config json.RawMessage) (why string) {
	var tree any
	var found []string
	if json.Unmarshal([]byte(quoteBare(string(config))), &tree) != nil {
		return ""
	}
	walk(tree, func(object map[string]any) {
		name, _ := object["name"].(string)
		targets, _ := object["targets"].([]any)
		values, _ := object["config"].(map[string]any)
		generator, _ := values["generator"].(string)
		switch {
		case slices.Contains(remembering, name):
			found = append(found, "plugin "+name+" remembers")
		case generator == "uuid#counter":
			found = append(found, "plugin correlation-id counts")
		case len(targets) > 1:
			found = append(found, "the balancer takes turns")
		case object["healthchecks"] != nil:
			found = append(found, "health checks remember")
		}
	})
	if len(found) == 0 {
		return ""
	}
	return slices.Min(found) // the same one in each run
}

// walk calls visit for each object of a tree.
func walk(tree any, visit func(map[string]any)) {
	switch v := tree.(type) {
	case map[string]any:
		visit(v)
		for _, below := range v {
			walk(below, visit)
		}
	case []any:
		for _, below := range v {
			walk(below, visit)
		}
	}
}
