// SPDX-License-Identifier: Apache-2.0

package recorded

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// probePatience is the timeout of active health checks, in seconds, in cases
// whose backends all answer: one that a busy machine held up for longer than the
// case's own second or so would count as one that does not answer.
const probePatience = 30.0

// bePatient gives the active health checks of a case time, unless the case is
// about backends that take theirs.
func (r *run) bePatient(set *entity.Set) {
	if r.c.anyAnswer(func(a *AnswerSpec) bool { return a.Fail != "" || a.DelayMS > 0 }) {
		return
	}
	for _, u := range set.Upstreams {
		if u.Healthchecks != nil && u.Healthchecks.Active != nil {
			patience := probePatience
			u.Healthchecks.Active.Timeout = &patience
		}
	}
}

// probed waits until the gateway knows of each target what its backend says to
// active health checks: time that the case lets pass for them may not be enough.
func (r *run) probed() error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); ; <-tick.C {
		wrong := r.misjudged()
		if wrong == "" {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("active health checks: %s", wrong)
		}
	}
}

// misjudged names a target that the gateway takes for something else than its
// backend says it is, "" if there is none.
func (r *run) misjudged() string {
	for _, u := range r.gateway.Engine.Upstreams() {
		if u.Upstream.Healthchecks == nil || u.Upstream.Healthchecks.Active == nil {
			continue
		}
		path := cmp.Or(u.Upstream.Healthchecks.Active.HTTPPath, "/")
		for _, t := range u.Targets {
			want := r.saysOfItself(int(t.Address.Port()), path)
			if want != "" && t.State != balancer.StateOff && t.State != want {
				return fmt.Sprintf("target %s is %s, not %s", t.Target, t.State, want)
			}
		}
	}
	return ""
}

// saysOfItself is the state that the backend on a port answers to health checks
// with, "" if it does not answer them apart from requests.
func (r *run) saysOfItself(port int, path string) string {
	for _, b := range r.backends {
		answer := b.spec.Aside[path]
		switch {
		case b.port != port || answer == nil:
		case slices.Contains([]int{200, 302}, or(answer.Status, 200)): // Kong's default of healthy.http_statuses
			return balancer.StateHealthy
		default:
			return balancer.StateUnhealthy
		}
	}
	return ""
}
