// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/dataplane/router"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// TestActiveHealthChecks: a target that the gateway's checks found dead gets no
// session, though nobody tried it, and is asked once for both halves of the
// gateway.
func TestActiveHealthChecks(t *testing.T) {
	well, dead := echo(t), echo(t)
	asked := make(chan netip.AddrPort, 1)
	store := &balancer.Store{Probe: func(ctx context.Context, q *balancer.Question) (int, error) {
		select {
		case asked <- q.Addr:
		case <-ctx.Done():
		}
		if q.Addr.String() == dead {
			return 0, errors.New("connection refused")
		}
		return 0, nil
	}}
	r := start(t, nil, "")
	r.peerStates = store
	set := r.set(fmt.Sprintf(`
upstreams:
- name: many.test
  targets: [{target: %q}, {target: %q}]
  healthchecks: {active: {type: tcp, healthy: {interval: 0.01}, unhealthy: {tcp_failures: 1}}}
services: [{name: s, host: many.test, protocol: tcp, retries: 0, routes: [{name: r, protocols: [tcp], destinations: [{port: PORT0}]}]}]
`, well, dead))
	if rejected := r.Apply(set); rejected != nil {
		t.Fatal(rejected)
	}
	complete, err := entity.Complete(set.Upstreams[0], r.schemas)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case a := <-asked:
		t.Fatalf("the sessions' own balancer asked %s", a)
	case <-time.After(50 * time.Millisecond): // five times the interval
	}
	other, err := balancer.New(store, complete.(*entity.Upstream), set.Targets, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	until(t, "the check of the dead target", func() bool {
		select {
		case <-asked:
		default:
		}
		for _, p := range other.Peers() {
			if p.Addr.String() == dead && !p.Health().Available() {
				return true
			}
		}
		return false
	})
	for range 6 {
		if got := talk(t, r.dial(0), "x"); got != "hello x 1 bytes" {
			t.Fatalf("got %q", got)
		}
	}
	for _, p := range r.current.Load().balanced["many.test"].balancer.Peers() {
		if p.Addr.String() == dead && p.Health().Available() {
			t.Error("the dead target looks alive to sessions")
		}
	}
}

// TestExpressionRoutes: stream routes may have expressions.
func TestExpressionRoutes(t *testing.T) {
	r := start(t, func(s *Settings) { s.RouterFlavor = router.Expressions }, "")
	r.config(fmt.Sprintf(`
services:
- name: s
  url: tcp://%s
  routes:
  - {name: no, protocols: [tcp], priority: 9, expression: 'net.src.ip not in 127.0.0.0/8'}
  - {name: yes, protocols: [tcp], expression: 'net.dst.port == PORT0 && net.protocol == "tcp"'}
plugins: [{name: probe}]
`, echo(t)))
	if got := talk(t, r.dial(0), "x"); got != "hello x 1 bytes" {
		t.Errorf("got %q", got)
	}
	if s := r.session(); s.MatchedRoute.Name != "yes" {
		t.Errorf("route %s", s.MatchedRoute.Name)
	}
}
