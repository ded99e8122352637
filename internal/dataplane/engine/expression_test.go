// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
	"github.com/kong/kong-istio-gateway/internal/dataplane/router"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// TestExpressionRoutes: what expressions look at of a request, over each
// protocol of clients, and what is made of their matches.
func TestExpressionRoutes(t *testing.T) {
	up := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s %s %s", r.URL.RequestURI(), r.Header.Get("X-Captured"), r.Header.Get("X-Forwarded-Prefix"))
	})
	config := fmt.Sprintf(`
services:
- name: s
  url: %s/base
  plugins: [{name: probe-1}]
  routes:
  - {name: user, priority: 9, expression: 'http.path ~ r#"^/users/(?P<id>\d+)"# && any(lower(http.headers.x_env)) == "prod"'}
  - {name: query, priority: 8, expression: 'http.queries.v == "a b" && http.path.segments.len == 2', strip_path: false}
  - {name: net, priority: 7, expression: 'net.src.ip in 127.0.0.0/8 && net.src.port == 7 && net.dst.port == 443 && net.protocol == "https" && http.path ^= "/net"'}
  - {name: name, expression: 'tls.sni == "NAME.test" && http.host == "Name.test" && http.method == "GET"'}
  - {name: plain, hosts: [old.test], paths: [/old]}
`, up.URL)
	r := startRig(t, config, rigOptions{
		settings: func(s *engine.Settings) {
			s.RouterFlavor = router.Expressions
			s.TrustedIPs = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
			s.PortMaps = map[uint16]uint16{}
			for port := range uint16(math.MaxUint16) {
				s.PortMaps[port] = 443 // whichever is listened to
			}
		},
		plugins: probes{"probe-1": func() *plugin.Phases {
			return &plugin.Phases{Access: func(x plugin.Exchange) {
				var all []string
				for _, c := range x.Captures() {
					all = append(all, c.Name+"="+c.Value)
				}
				x.Header().Set("X-Captured", strings.Join(all, ","))
			}}
		}},
	})
	clients := map[string]*http.Client{}
	for name, protocols := range map[string]func(*http.Protocols){
		"http/1": func(p *http.Protocols) { p.SetHTTP1(true) }, "h2": func(p *http.Protocols) { p.SetHTTP2(true) },
	} {
		var p http.Protocols
		protocols(&p)
		transport := &http.Transport{Protocols: &p, TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: "name.test"}}
		t.Cleanup(transport.CloseIdleConnections)
		clients[name] = &http.Client{Transport: transport}
	}
	for _, c := range []struct{ target, host, header, want string }{
		{"/users/42/x", "any.test", "X-Env: PROD", "/base/x =/users/42,id=42 /users/42"},
		{"/users/42/x", "any.test", "X-Env: test", ""},
		{"/a/b?u&v=a+b", "any.test", "X-Env: test", "/base/a/b?u&v=a+b  "},
		{"/a/b/c?v=a+b", "any.test", "X-Env: test", ""},
		{"/net/x", "any.test", "X-Real-IP: 127.9.9.9:7", "/base/x  /net"},
		{"/x", "name.test", "X-A: b", "/base/x  "},
		{"/old/x", "old.test", "X-A: b", "/base/x  /old"},
	} {
		for name, client := range clients {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+r.secure+c.target, nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Host = c.host
			k, v, _ := strings.Cut(c.header, ": ")
			request.Header.Set(k, v)
			answer, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			if got := string(body); answer.StatusCode == 404 != (c.want == "") || c.want != "" && got != c.want {
				t.Errorf("%s: %+v: %s %q", name, c, answer.Status, got)
			}
		}
	}
	if rejected := r.apply(strings.Replace(config, `name: user, priority: 9,`, `name: user, priority: 1,`, 1)); rejected != nil {
		t.Fatal(rejected)
	}
}
