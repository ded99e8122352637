// SPDX-License-Identifier: Apache-2.0

package entity_test

import (
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

func TestPluginsHaveAProtocolOfTheirRoute(t *testing.T) {
	t.Parallel()
	schemas, err := entity.NewSchemaSet(
		entity.PluginSchema{Name: "guard", Config: schema.NewRecord(), Protocols: entity.HTTPProtocols()},
		entity.PluginSchema{Name: "any", Config: schema.NewRecord(), DefaultProtocols: []entity.Protocol{"http", "tcp"}},
	)
	if err != nil {
		t.Fatal(err)
	}
	const services = `_format_version: "3.0"
services:
- name: s
  host: a.test
  protocol: tcp
  PLUGINS
  routes:
  - {name: stream, protocols: [tcp, tls], destinations: [{port: 1}]}
  - {name: pass, protocols: [tls_passthrough], snis: [a.test]}
- name: h
  host: a.test
  routes: [{name: http, paths: [/]}]
- {name: empty, host: a.test}
`
	const ofRoute, ofService = "must match the associated route's protocols", "must match the protocols of at least one route"
	for plugins, want := range map[string]string{
		"{name: guard, route: stream}":                                ofRoute,
		"{name: guard, service: s}":                                   ofService,
		"{name: guard, route: http}":                                  "",
		"{name: any, route: http, protocols: [grpc]}":                 "",
		"{name: guard, service: empty}":                               "",
		"{name: guard}":                                               "",
		"{name: any, route: stream}":                                  "",
		"{name: any, route: pass}":                                    ofRoute,
		"{name: any, route: pass, protocols: [tls_passthrough, tcp]}": "",
		"{name: any, service: s}":                                     "",
		"{name: any, service: s, protocols: [udp]}":                   ofService,
		"{name: any, route: stream, service: s, protocols: [https]}":  ofRoute,
	} {
		_, problems := entity.Decode([]byte(strings.Replace(services, "PLUGINS", "", 1)+"plugins: ["+plugins+"]\n"), schemas)
		if got := entity.Problems(problems).Error(); (want == "") != (len(problems) == 0) || !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %q", plugins, got, want)
		}
	}
}
