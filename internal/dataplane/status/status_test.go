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
		Ready:    func() error { return problem },
		Describe: func() any { return map[string]any{"server": map[string]int{"total_requests": 7}} },
		Metrics:  registry,
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
		{"unknown", "/nothing", "404", func() {}, 404},
	} {
		c.before()
		code, body := get(c.path)
		if code != c.code || !strings.Contains(body, c.body) {
			t.Errorf("%s: %d %q, want %d with %q", c.name, code, body, c.code, c.body)
		}
	}
}
