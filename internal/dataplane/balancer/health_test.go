// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

func passive(http, tcp, timeouts, successes int) *entity.Healthchecks {
	return &entity.Healthchecks{Passive: &entity.PassiveHealthcheck{
		Healthy:   &entity.HealthStatuses{Successes: &successes},
		Unhealthy: &entity.HealthStatuses{HTTPFailures: &http, TCPFailures: &tcp, Timeouts: &timeouts},
	}}
}

// TestPassiveChecks plays the recorded cases: what is reported, and whether the
// only peer is still available.
func TestPassiveChecks(t *testing.T) {
	for name, c := range map[string]struct {
		checks *entity.Healthchecks
		report string // statuses, "tcp", "timeout"
		want   Health
	}{
		"default off":              {nil, "500 500 500 500 500 500 500 500", Healthy},
		"http failures":            {passive(3, 0, 0, 0), "500 500 500", Unhealthy},
		"below the limit":          {passive(3, 0, 0, 0), "500 500", MostlyHealthy},
		"no reset without limit":   {passive(2, 0, 0, 0), "500 200 500", Unhealthy},
		"reset by a success":       {passive(2, 0, 0, 1), "500 200 500", MostlyHealthy},
		"after the reset":          {passive(2, 0, 0, 1), "500 200 500 500", Unhealthy},
		"no recovery by traffic":   {passive(1, 0, 0, 2), "500 200", MostlyUnhealthy},
		"recovery by successes":    {passive(1, 0, 0, 2), "500 200 200", Healthy},
		"a failure in between":     {passive(1, 0, 0, 2), "500 200 500 200", MostlyUnhealthy},
		"neutral status":           {passive(1, 0, 0, 0), "404 502 418", Healthy},
		"timeout is not http":      {passive(1, 0, 0, 0), "504 timeout", Healthy},
		"timeouts":                 {passive(0, 0, 2, 0), "504 timeout", Unhealthy},
		"tcp":                      {passive(0, 1, 0, 0), "tcp", Unhealthy},
		"502 at the end is no tcp": {passive(0, 1, 0, 0), "502", Healthy},
		"kinds count apart":        {passive(2, 2, 2, 0), "500 tcp timeout", MostlyHealthy},
	} {
		b := mustNew(t, &Store{}, &entity.Upstream{Name: "u", Healthchecks: c.checks}, "10.0.0.1:1")
		p := b.Peers()[0]
		for _, r := range strings.Fields(c.report) {
			switch r {
			case "tcp":
				b.ReportFailure(p, FailureTCP)
			case "timeout":
				b.ReportFailure(p, FailureTimeout)
			default:
				status, err := strconv.Atoi(r)
				if err != nil {
					t.Fatal(err)
				}
				b.ReportStatus(p, status)
			}
		}
		if p.Health() != c.want {
			t.Errorf("%s: %s, want %s", name, p.Health(), c.want)
		}
		if _, err := b.Pick("", nil); (err == nil) != c.want.Available() {
			t.Errorf("%s: pick: %v", name, err)
		}
	}
}

func TestCustomStatuses(t *testing.T) {
	checks := passive(1, 0, 0, 1)
	checks.Passive.Unhealthy.HTTPStatuses = []int{418}
	checks.Passive.Healthy.HTTPStatuses = []int{500}
	b := mustNew(t, &Store{}, &entity.Upstream{Name: "u", Healthchecks: checks}, "10.0.0.1:1")
	p := b.Peers()[0]
	for _, c := range []struct {
		status int
		want   Health
	}{{503, Healthy}, {418, Unhealthy}, {200, Unhealthy}, {500, Healthy}} {
		if b.ReportStatus(p, c.status); p.Health() != c.want {
			t.Errorf("after %d: %s", c.status, p.Health())
		}
	}
}

func TestThreshold(t *testing.T) {
	checks := passive(1, 0, 0, 0)
	checks.Threshold = ptr(60.0)
	b := mustNew(t, &Store{}, &entity.Upstream{Name: "u", Healthchecks: checks}, "10.0.0.1:1", "10.0.0.2:1")
	if _, err := b.Pick("", nil); err != nil {
		t.Fatal(err)
	}
	b.ReportStatus(b.Peers()[0], 500)
	if _, err := b.Pick("", nil); !errors.Is(err, ErrNoPeer) {
		t.Errorf("with half of the weight: %v", err)
	}
}
