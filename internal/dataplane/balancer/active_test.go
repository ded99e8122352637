// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"context"
	"crypto/tls"
	"errors"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/asynctest"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// world answers probes as it is told to.
type world struct {
	mu      sync.Mutex
	answers map[uint16]func() (int, error)
	asked   map[uint16]int
	last    Question
}

func (w *world) probe(_ context.Context, q *Question) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked[q.Addr.Port()]++
	w.last = *q
	return w.answers[q.Addr.Port()]()
}

func (w *world) set(port uint16, status int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers[port] = func() (int, error) { return status, err }
}

// watched returns a balancer with two targets that are asked all the time.
func watched(t *testing.T, w *world, change func(*entity.ActiveHealthcheck)) *Balancer {
	t.Helper()
	check := &entity.ActiveHealthcheck{
		Type: "http", HTTPPath: "/health",
		Healthy:   &entity.HealthStatuses{Interval: ptr(0.002), Successes: ptr(2)},
		Unhealthy: &entity.HealthStatuses{Interval: ptr(0.002), HTTPFailures: ptr(1), TCPFailures: ptr(2), Timeouts: ptr(3)},
	}
	if change != nil {
		change(check)
	}
	u := &entity.Upstream{Name: "up.test", Healthchecks: &entity.Healthchecks{Active: check}}
	targets := []*entity.Target{{Target: "10.0.0.1:1"}, {Target: "10.0.0.2:2"}}
	b, err := New(&Store{Probe: w.probe}, u, targets, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func newWorld() *world {
	w := &world{answers: map[uint16]func() (int, error){}, asked: map[uint16]int{}}
	w.set(1, 200, nil)
	w.set(2, 200, nil)
	return w
}

func TestActiveChecks(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		err    error
	}{
		{"a bad status", 500, nil},
		{"refused", 0, errors.New("refused")},
		{"a timeout", 0, os.ErrDeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld()
			b := watched(t, w, nil)
			second := b.Peers()[1]
			w.set(2, c.status, c.err)
			asynctest.Until(t, "the target is out", func() bool { return second.Health() == Unhealthy })
			for range 10 {
				p, err := b.Pick("", nil)
				if err != nil || p == second {
					t.Fatalf("picked %v, %v", p, err)
				}
			}
			w.set(1, c.status, c.err)
			asynctest.Until(t, "nobody is left", func() bool { _, err := b.Pick("", nil); return err != nil })
			w.set(2, 302, nil)
			asynctest.Until(t, "the target is back", func() bool { p, err := b.Pick("", nil); return err == nil && p == second })
		})
	}
}

// A status that is in neither list says nothing.
func TestActiveChecksIgnoreOtherStatuses(t *testing.T) {
	w := newWorld()
	w.set(2, 418, nil)
	b := watched(t, w, nil)
	asynctest.Until(t, "it was asked", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.asked[2] > 5 })
	if h := b.Peers()[1].Health(); h != Healthy {
		t.Errorf("got %v", h)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last.Path != "/health" || w.last.Type != "http" || w.last.Host != w.last.Addr.Addr().String() || !w.last.Verify || w.last.ServerName != w.last.Host {
		t.Errorf("asked %+v", w.last)
	}
}

// Probes end with their balancer, and never run for those that nobody asked to
// be watched.
func TestActiveChecksEnd(t *testing.T) {
	w := newWorld()
	b := watched(t, w, func(c *entity.ActiveHealthcheck) { c.Unhealthy.Interval = nil })
	asynctest.Until(t, "it was asked", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.asked[1] > 0 })
	b.Close()
	w.mu.Lock()
	before := w.asked[1]
	w.mu.Unlock()
	off := watched(t, w, func(c *entity.ActiveHealthcheck) { c.Healthy.Interval, c.Unhealthy.Interval = ptr(0.0), nil })
	if off.active != nil {
		t.Error("a check without intervals runs")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.asked[1] != before {
		t.Error("a closed balancer asks")
	}
}

// Questions about names go to their addresses, addressed to the name.
func TestActiveChecksOfNames(t *testing.T) {
	w := newWorld()
	w.set(80, 200, nil)
	u := &entity.Upstream{Name: "up.test", Healthchecks: &entity.Healthchecks{Active: &entity.ActiveHealthcheck{
		Type: "https", Healthy: &entity.HealthStatuses{Interval: ptr(0.002), Successes: ptr(1)},
	}}}
	resolve := func(context.Context, string) ([]Address, time.Time, error) {
		return []Address{{Addr: netip.MustParseAddr("10.0.0.9")}}, time.Now().Add(time.Hour), nil
	}
	b, err := New(&Store{Probe: w.probe}, u, []*entity.Target{{Target: "a.test:80"}}, resolve)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	asynctest.Until(t, "it was asked", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.asked[80] > 0 })
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last.Addr.String() != "10.0.0.9:80" || w.last.Host != "a.test" || w.last.ServerName != "a.test" || w.last.Path != "/" {
		t.Errorf("asked %+v", w.last)
	}
}

// TestActiveChecksShowTheCertificate of the upstream, as it is at the time.
func TestActiveChecksShowTheCertificate(t *testing.T) {
	w := newWorld()
	shown := &tls.Certificate{}
	store := &Store{Probe: w.probe, Certificate: func(id entity.ID) *tls.Certificate {
		if id == "cert" {
			return shown
		}
		return nil
	}}
	check := &entity.ActiveHealthcheck{Type: "https", Healthy: &entity.HealthStatuses{Interval: ptr(0.002)}}
	u := &entity.Upstream{Name: "up.test", ClientCertificate: &entity.Ref{ID: "cert"}, Healthchecks: &entity.Healthchecks{Active: check}}
	b, err := New(store, u, []*entity.Target{{Target: "10.0.0.1:1"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	asynctest.Until(t, "the target is asked", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.asked[1] > 0
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last.Certificate != shown {
		t.Errorf("%+v", w.last)
	}
}
