// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"slices"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Health is what the health checks say about an address.
type Health uint32

// The health states of Kong's checker. The middle ones count towards a change,
// but count as what they begin with.
const (
	Healthy Health = iota
	MostlyHealthy
	MostlyUnhealthy
	Unhealthy
)

// Available reports whether requests are sent to the address.
func (h Health) Available() bool { return h <= MostlyHealthy }

// String names the state as Kong does.
func (h Health) String() string {
	return [...]string{"healthy", "mostly_healthy", "mostly_unhealthy", "unhealthy"}[h]
}

// counter is one of the consecutive counters of an address.
type counter uint8

const (
	successes counter = iota
	httpFailures
	tcpFailures
	timeouts
	counterKinds
)

// checks are the thresholds of one kind of health check; 0 switches one off.
type checks struct {
	limits            [counterKinds]int
	healthyStatuses   []int
	unhealthyStatuses []int
}

// Kong's default statuses of passive checks.
var (
	passiveHealthyStatuses   = []int{200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 306, 307, 308}
	passiveUnhealthyStatuses = []int{429, 500, 503}
)

func passiveChecks(u *entity.Upstream) checks {
	c := checks{healthyStatuses: passiveHealthyStatuses, unhealthyStatuses: passiveUnhealthyStatuses}
	if u == nil || u.Healthchecks == nil || u.Healthchecks.Passive == nil {
		return c
	}
	if h := u.Healthchecks.Passive.Healthy; h != nil {
		c.limits[successes] = or(h.Successes, 0)
		if h.HTTPStatuses != nil {
			c.healthyStatuses = h.HTTPStatuses
		}
	}
	if h := u.Healthchecks.Passive.Unhealthy; h != nil {
		c.limits[httpFailures] = or(h.HTTPFailures, 0)
		c.limits[tcpFailures] = or(h.TCPFailures, 0)
		c.limits[timeouts] = or(h.Timeouts, 0)
		if h.HTTPStatuses != nil {
			c.unhealthyStatuses = h.HTTPStatuses
		}
	}
	return c
}

// status reports an HTTP status of the address.
func (c *checks) status(s *State, code int) {
	switch {
	case slices.Contains(c.healthyStatuses, code):
		c.count(s, successes)
	case slices.Contains(c.unhealthyStatuses, code):
		c.count(s, httpFailures)
	}
}

// count counts an event of the address. A success clears the failures and a
// failure the successes; what cannot change anything is not counted.
func (c *checks) count(s *State, k counter) {
	limit := c.limits[k]
	if limit == 0 {
		return
	}
	settled, between := Unhealthy, MostlyHealthy
	if k == successes {
		settled, between = Healthy, MostlyUnhealthy
	}
	if Health(s.health.Load()) == settled { // the common case takes no lock
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.counters[k] + 1
	if k == successes {
		s.counters = [counterKinds]int{}
	} else {
		s.counters[successes] = 0
	}
	s.counters[k] = n
	health := Health(s.health.Load())
	switch {
	case n >= limit:
		health = settled
	case k == successes && health == Unhealthy, k != successes && health == Healthy:
		health = between
	}
	s.health.Store(uint32(health))
}

func or[T any](p *T, def T) T {
	if p == nil {
		return def
	}
	return *p
}
