// SPDX-License-Identifier: Apache-2.0

package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestMetrics holds that the prometheus plugin's counters and the health of
// targets are exposed, each under Kong's names and labels.
func TestMetrics(t *testing.T) {
	address := strings.TrimPrefix(backend(t, "word"), "http://")
	path := filepath.Join(t.TempDir(), "kong.yml")
	put(t, path, `_format_version: "3.0"
services:
- {name: s, host: up.test, routes: [{name: r, paths: [/]}]}
upstreams:
- {name: up.test, targets: [{target: "`+address+`"}, {target: "nobody.invalid:80"}]}
plugins:
- {name: prometheus, config: {status_code_metrics: true, upstream_health_metrics: true}}
`)
	a := startAlone(t, path)
	res, err := a.client.Get(a.url)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil {
		t.Error(err)
	}
	want := `
# HELP kong_http_requests_total HTTP status codes per consumer/service/route in Kong
# TYPE kong_http_requests_total counter
kong_http_requests_total{code="200",consumer="",route="r",service="s",source="service",workspace="default"} 1
# HELP kong_upstream_target_health Health status of targets of upstream. States = healthchecks_off|healthy|unhealthy|dns_error, value is 1 when state is populated.
# TYPE kong_upstream_target_health gauge
kong_upstream_target_health{address="",state="dns_error",subsystem="http",target="nobody.invalid:80",upstream="up.test"} 1
kong_upstream_target_health{address="",state="healthchecks_off",subsystem="http",target="nobody.invalid:80",upstream="up.test"} 0
kong_upstream_target_health{address="",state="healthy",subsystem="http",target="nobody.invalid:80",upstream="up.test"} 0
kong_upstream_target_health{address="",state="unhealthy",subsystem="http",target="nobody.invalid:80",upstream="up.test"} 0
kong_upstream_target_health{address="ADDRESS",state="dns_error",subsystem="http",target="ADDRESS",upstream="up.test"} 0
kong_upstream_target_health{address="ADDRESS",state="healthchecks_off",subsystem="http",target="ADDRESS",upstream="up.test"} 1
kong_upstream_target_health{address="ADDRESS",state="healthy",subsystem="http",target="ADDRESS",upstream="up.test"} 0
kong_upstream_target_health{address="ADDRESS",state="unhealthy",subsystem="http",target="ADDRESS",upstream="up.test"} 0
`
	want = strings.ReplaceAll(want, "ADDRESS", address)
	until(t, "the request to be counted", func() bool {
		n, err := testutil.GatherAndCount(a.metrics, "kong_http_requests_total")
		return err == nil && n == 1
	})
	if err := testutil.GatherAndCompare(a.metrics, strings.NewReader(want), "kong_http_requests_total", "kong_upstream_target_health"); err != nil {
		t.Error(err)
	}
}
