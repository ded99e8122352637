// SPDX-License-Identifier: Apache-2.0

package status

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestServer(t *testing.T) {
	unready := errors.New("no configuration available")
	var problem error
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "kong_nginx_requests_total"}))
	s := New(Facts{
		Ready: func() error { return problem },
		Describe: func(bytes Bytes) any {
			return map[string]any{"server": map[string]int{"total_requests": 7}, "memory": bytes(5497558)}
		},
		Metrics: registry,
	})
	get := func(path string) (int, string) {
		w := httptest.NewRecorder()
		s.http.Handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Code, w.Body.String()
	}
	for _, c := range []struct {
		name, path, body string
		before           func()
		code             int
	}{
		{"status", "/status", `"total_requests":7`, func() {}, 200},
		{"ready", "/status/ready", `"ready"`, func() {}, 200},
		{"not ready", "/status/ready", "no configuration available", func() { problem = unready }, 503},
		{"draining", "/status/ready", "draining", func() { problem = nil; s.Drain() }, 503},
		{"alive while draining", "/status", `"server"`, func() {}, 200},
		{"metrics", "/metrics", "kong_nginx_requests_total 0", func() {}, 200},
		{"with a slash", "/status/", `"total_requests":7`, func() {}, 200},
		{"mebibytes", "/status", `"memory":"5.24 MiB"`, func() {}, 200},
		{"gibibytes", "/status?unit=G&scale=3", `"memory":"0.005 GiB"`, func() {}, 200},
		{"kibibytes", "/status?unit=k&scale=0", `"memory":"5369 KiB"`, func() {}, 200},
		{"bytes", "/status?unit=b", `"memory":5497558`, func() {}, 200},
		{"unknown unit", "/status?unit=x", "invalid unit 'x' (expected 'k/K', 'm/M', or 'g/G')", func() {}, 400},
		{"negative scale", "/status?scale=-1", "scale must be equal or greater than 0", func() {}, 400},
		{"unknown", "/nothing", `{"message":"Not found"}`, func() {}, 404},
	} {
		c.before()
		code, body := get(c.path)
		if code != c.code || !strings.Contains(body, c.body) {
			t.Errorf("%s: %d %q, want %d with %q", c.name, code, body, c.code, c.body)
		}
	}
	for method, want := range map[string]int{http.MethodHead: 200, http.MethodOptions: 204, http.MethodPost: 405, http.MethodDelete: 405} {
		w := httptest.NewRecorder()
		s.http.Handler.ServeHTTP(w, httptest.NewRequest(method, "/status", nil))
		if w.Code != want || (want != 200) != (w.Header().Get("Allow") != "") {
			t.Errorf("%s: %d %v", method, w.Code, w.Header())
		}
	}
}
