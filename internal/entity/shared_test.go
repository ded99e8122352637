// SPDX-License-Identifier: Apache-2.0

package entity_test

import (
	"reflect"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// What decK says once holds for all, and an entity's own word counts more.
func TestDecodeShared(t *testing.T) {
	t.Parallel()
	set := mustDecode(t, `
_format_version: "3.0"
_info:
  select_tags: [team]
  defaults:
    service: {retries: 2, read_timeout: 100}
    route: {strip_path: false}
    upstream: {healthchecks: {active: {timeout: 7, http_path: /up}}}
    target: {weight: 5}
_plugin_configs:
  strict: {minute: 5, password: theirs}
services:
- name: a
  host: a
  retries: 1
  tags: [mine, team]
  routes:
  - {name: r, paths: [/], strip_path: true}
  - {name: q, paths: [/q]}
upstreams:
- name: u.test
  healthchecks: {active: {timeout: 3}}
  targets: [{target: "a.test:80"}]
plugins:
- {name: limit, _config: strict, config: {password: own}}
- {name: limit, route: r, _config: strict}
`)
	s := set.Services[0]
	if *s.Retries != 1 || *s.ReadTimeout != 100 || !reflect.DeepEqual(s.Tags, []string{"mine", "team"}) {
		t.Errorf("service %+v", s)
	}
	if *set.Routes[0].StripPath != true || *set.Routes[1].StripPath != false || !reflect.DeepEqual(set.Routes[1].Tags, []string{"team"}) {
		t.Errorf("routes %+v %+v", set.Routes[0], set.Routes[1])
	}
	if active := set.Upstreams[0].Healthchecks.Active; *active.Timeout != 3 || active.HTTPPath != "/up" || *set.Targets[0].Weight != 5 {
		t.Errorf("upstream %+v", active)
	}
	configs := map[entity.ID]map[string]any{}
	for _, p := range set.Plugins {
		id := entity.ID("")
		if p.Route != nil {
			id = p.Route.ID
		}
		configs[id] = p.Config
	}
	if c := configs[""]; c["minute"] != int64(5) || c["password"] != "own" {
		t.Errorf("config %v", c)
	}
	if c := configs[set.Routes[0].ID]; c["minute"] != int64(5) || c["password"] != "theirs" {
		t.Errorf("config %v", c)
	}
}
