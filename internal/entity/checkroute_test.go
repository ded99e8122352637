// SPDX-License-Identifier: Apache-2.0

package entity_test

import (
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

func TestRouteExpressions(t *testing.T) {
	t.Parallel()
	for route, want := range map[string]string{
		`{name: r, expression: 'http.path ^= "/a"', priority: 7}`:                                      "",
		`{name: r, protocols: [tls], expression: 'tls.sni == "a.test" && net.dst.port == 9000'}`:       "",
		`{name: r, expression: 'http.path ^= /a'}`:                                                     `line 2: routes[0] 'r': expression: Router Expression failed validation: 1:14: "/a" is neither an address nor a range such as 10.0.0.0/8`,
		`{name: r, expression: ''}`:                                                                    `line 2: routes[0] 'r': expression: length must be at least 1`,
		`{name: r, protocols: [tcp], expression: 'http.path == "/a"'}`:                                 "1:1: http.path does not exist for the protocols tcp, tls, tls_passthrough and udp",
		`{name: r, expression: 'http.path == "/a"', paths: [/a]}`:                                      "cannot set 'expression' with 'methods', 'hosts', 'paths',",
		`{name: r, expression: 'http.path == "/a"', regex_priority: 1}`:                                "cannot set 'regex_priority' with 'expression' simultaneously",
		`{name: r, priority: 1, paths: [/a]}`:                                                          "cannot set 'priority' with 'methods', 'hosts', 'paths',",
		`{name: r, expression: 'http.path == "/a"', priority: -1}`:                                     "priority: value should be between 0 and 70368744177663",
		`{name: r, protocols: [grpc], expression: 'http.path.segments.0 == "pkg.Service"', hosts: []}`: "",
		`{name: r, protocols: [tcp, udp]}`:                                                             "must set one of",
		`{name: r, protocols: [ws], paths: [/a]}`:                                                      "protocols[0]: expected one of: grpc, grpcs, http, https, tcp, tls, tls_passthrough, udp",
		`{name: r, protocols: [https, wss], paths: [/a]}`:                                              "protocols[1]: expected one of: grpc, grpcs, http, https, tcp, tls, tls_passthrough, udp",
	} {
		_, problems := entity.Decode([]byte("_format_version: '3.0'\nroutes: ["+route+"]\n"), entity.SchemaSet{})
		if got := entity.Problems(problems).Error(); (want == "") != (len(problems) == 0) || !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %q", route, got, want)
		}
	}
}

func TestStickySessionsNeedACookie(t *testing.T) {
	t.Parallel()
	for upstream, want := range map[string]string{
		`{name: u, algorithm: sticky-sessions, sticky_sessions_cookie: sid}`:                                                    "",
		`{name: u, algorithm: sticky-sessions, hash_on: none, sticky_sessions_cookie: sid, sticky_sessions_cookie_path: /shop}`: "",
		`{name: u, algorithm: sticky-sessions}`:                                                                                 "sticky_sessions_cookie: required field missing",
		`{name: u, algorithm: sticky-sessions, sticky_sessions_cookie: 'a b'}`:                                                  "sticky_sessions_cookie",
	} {
		set, problems := entity.Decode([]byte("_format_version: '3.0'\nupstreams: ["+upstream+"]\n"), entity.SchemaSet{})
		got := entity.Problems(problems).Error()
		if (want == "") != (len(problems) == 0) || !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %q", upstream, got, want)
		}
		if want != "" {
			continue
		}
		full, err := entity.Complete(set.Upstreams[0], entity.SchemaSet{})
		if err != nil {
			t.Fatal(err)
		}
		if u := full.(*entity.Upstream); u.Algorithm != "sticky-sessions" || u.HashOn != "none" {
			t.Errorf("%s: algorithm %s, hash_on %s", upstream, u.Algorithm, u.HashOn)
		}
	}
}
