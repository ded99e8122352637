// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// A plugin may send a request elsewhere: to a host, or to an upstream entity
// by its name. What it chooses may come from the request itself.
func TestChosenTarget(t *testing.T) {
	answer := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprintf(w, "%s %s", name, r.Host) }
	}
	own, other, balanced := serve(t, answer("own")), serve(t, answer("other")), serve(t, answer("balanced"))
	config := service(own.URL, enabled("probe-1")+fmt.Sprintf("upstreams: [{name: pool.test, host_header: inner.test, targets: [{target: %q}]}]\n", balanced.Listener.Addr()))
	r := startRig(t, config, rigOptions{plugins: probes{"probe-1": func() *plugin.Phases {
		return &plugin.Phases{Access: func(x plugin.Exchange) {
			if host, port, err := net.SplitHostPort(x.Header().Get("X-To")); err == nil {
				u := x.Upstream()
				u.Host = host
				u.Port, _ = strconv.Atoi(port)
			}
		}}
	}}})
	w := dialRig(t, r.plain)
	ask := func(to string) string {
		_, body := w.send("GET / HTTP/1.1\r\nHost: h\r\nX-To: " + to + "\r\n\r\n").answer("GET")
		return strings.ReplaceAll(body, "127.0.0.1:", ":")
	}
	port := func(u string) string { return u[strings.LastIndex(u, ":")+1:] }
	for range 2 {
		for to, want := range map[string]string{
			"":                             "own :" + port(own.URL),
			"a.test:" + port(other.URL):    "other a.test:" + port(other.URL),
			"b.test:" + port(other.URL):    "other b.test:" + port(other.URL),
			"pool.test:1":                  "balanced inner.test:" + port(balanced.URL),
			"nowhere.invalid:80":           "name resolution failed",
			"127.0.0.1:" + port(own.URL):   "own :" + port(own.URL),
			"c.test:" + port(balanced.URL): "balanced c.test:" + port(balanced.URL),
		} {
			if got := ask(to); !strings.Contains(got, want) {
				t.Errorf("%q: got %q, want %q", to, got, want)
			}
		}
	}
	// Many hosts are not many memories.
	for n := range 3000 {
		if got := ask(fmt.Sprintf("host-%d.test:%s", n, port(other.URL))); !strings.HasPrefix(got, "other") {
			t.Fatalf("host %d: got %q", n, got)
		}
	}
}

// preserve_host over TLS asks for the client's host, one pool for each.
func TestPreservedHostsOverTLS(t *testing.T) {
	up := serveTLS(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.TLS.ServerName) })
	r := startRig(t, fmt.Sprintf("services:\n- {name: s, url: %q, routes: [{name: r, paths: [/], preserve_host: true}]}\n", up.URL), rigOptions{})
	w := dialRig(t, r.plain)
	for range 3 {
		for _, host := range []string{"one.test", "two.test:8443", "six.test", "10.0.0.1"} {
			want, _, _ := strings.Cut(host, ":")
			if host == "10.0.0.1" {
				want = "" // an address is no server name
			}
			if _, got := w.send("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n").answer("GET"); got != want {
				t.Errorf("%s: asked for %q", host, got)
			}
		}
	}
}
