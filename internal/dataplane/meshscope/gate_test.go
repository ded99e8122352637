// SPDX-License-Identifier: Apache-2.0

package meshscope

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/asynctest"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// sidecar is the sidecar and the engine around a gate.
type sidecar struct {
	mu        sync.Mutex
	listening map[netip.AddrPort]bool
	asked     int
	down      bool
	config    map[entity.Key]entity.Entity
	served    []string
	applied   int
	late      int
	retired   []netip.AddrPort
}

func (s *sidecar) listeners(context.Context) (map[netip.AddrPort]bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.down {
		return nil, errors.New("connection refused")
	}
	out := map[netip.AddrPort]bool{}
	for a := range s.listening {
		out[a] = true
	}
	return out, nil
}

func (s *sidecar) apply(d entity.Delta, later bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range d.Removed {
		delete(s.config, key)
	}
	for _, e := range d.Put {
		s.config[entity.KeyOf(e)] = e
	}
	s.served = reach(wholeOf(s.config))
	s.applied++
	if later {
		s.late++
	}
}

func wholeOf(config map[entity.Key]entity.Entity) *entity.Set {
	set := &entity.Set{}
	for _, e := range config {
		set.Add(e)
	}
	return set
}

// steps turns whole configurations into changes, as the stream does: what has
// the same content does not change.
type steps struct {
	*Gate
	last map[entity.Key]entity.Entity
}

func (g *steps) Apply(ctx context.Context, set *entity.Set, scope func(netip.AddrPort) (Scope, bool)) {
	c := Change{}
	now := map[entity.Key]entity.Entity{}
	for e := range set.All() {
		key := entity.KeyOf(e)
		if old := g.last[key]; old != nil && reflect.DeepEqual(old, e) {
			e = old
		} else {
			c.Put = append(c.Put, e)
		}
		now[key] = e
		if a, ok := addressIn(e); ok {
			c.Scopes = append(c.Scopes, a)
		}
	}
	for key := range g.last {
		if now[key] == nil {
			c.Removed = append(c.Removed, key)
		}
	}
	g.last = now
	g.Gate.Apply(ctx, c, scope)
}

func (s *sidecar) listen(at string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listening[netip.MustParseAddrPort(at)] = true
}

func (s *sidecar) serves(want ...string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Equal(s.served, want)
}

func newGate(t *testing.T, wait time.Duration) (*steps, *sidecar) {
	s := &sidecar{listening: map[netip.AddrPort]bool{}, config: map[entity.Key]entity.Entity{}}
	g := New(Options{
		Listeners: s.listeners, Apply: s.apply, Wait: wait, Poll: time.Millisecond, Logger: slog.New(slog.DiscardHandler),
		Retire: func(a netip.AddrPort) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.retired = append(s.retired, a)
		},
	})
	t.Cleanup(g.Close)
	return &steps{Gate: g}, s
}

// covered is the scope of addresses that all have an egress entry.
func covered(hash string) func(netip.AddrPort) (Scope, bool) {
	return func(netip.AddrPort) (Scope, bool) { return Scope{Hash: hash}, true }
}

const a, b = "10.0.0.1:80", "10.0.0.2:80"

func TestTrafficFollowsTheScope(t *testing.T) {
	g, s := newGate(t, time.Hour)
	first := path{"r1", "s1", "u1", []string{a}}
	s.listen(a)
	g.Apply(t.Context(), setOf(first), covered("1"))
	if !s.serves("r1>"+a) || !g.Settled() {
		t.Fatalf("serves %v, settled %t", s.served, g.Settled())
	}
	g.Apply(t.Context(), setOf(first, path{"r2", "s2", "u2", []string{b}}), covered("1"))
	if !s.serves("r1>" + a) {
		t.Fatalf("served before the listener was there: %v", s.served)
	}
	if !g.Settled() {
		t.Error("one new route makes the whole gateway unready")
	}
	s.listen(b)
	asynctest.Until(t, "the new route is served", func() bool { return s.serves("r1>"+a, "r2>"+b) })
	if s.late == 0 {
		t.Error("the engine was not told that it came later")
	}
	if pending := g.Pending(); len(pending) != 0 {
		t.Errorf("pending %v", pending)
	}
}

func TestWaitIsBounded(t *testing.T) {
	g, s := newGate(t, 20*time.Millisecond)
	s.down = true
	g.Apply(t.Context(), setOf(path{"r1", "s1", "u1", []string{a}}), covered("1"))
	if g.Settled() {
		t.Fatal("settled without a listener")
	}
	asynctest.Until(t, "served all the same", func() bool { return s.serves("r1>"+a) && g.Settled() })
	if p := g.Pending(); len(p) != 1 || p[0].Address.String() != a {
		t.Fatalf("pending %v", p)
	}
	s.mu.Lock()
	s.down = false
	s.mu.Unlock()
	s.listen(a)
	asynctest.Until(t, "no longer pending", func() bool { return len(g.Pending()) == 0 })
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.retired) != 1 || s.retired[0].String() != a {
		t.Errorf("connections through the catch-all stay: retired %v", s.retired)
	}
}

func TestAddressesWithoutEntryDoNotWait(t *testing.T) {
	g, s := newGate(t, time.Hour)
	g.Apply(t.Context(), setOf(path{"r1", "s1", "u1", []string{a}}), func(netip.AddrPort) (Scope, bool) { return Scope{}, false })
	if !s.serves("r1>"+a) || s.asked != 0 {
		t.Errorf("serves %v after asking %d times", s.served, s.asked)
	}
}

func TestHeldUntilReleased(t *testing.T) {
	g, s := newGate(t, time.Millisecond)
	s.listen(a)
	set := setOf(path{"r1", "s1", "u1", []string{a}})
	g.Apply(t.Context(), set, func(netip.AddrPort) (Scope, bool) { return Scope{Hash: "1", Held: true}, true })
	before := func() int { s.mu.Lock(); defer s.mu.Unlock(); return s.asked }
	n := before()
	asynctest.Until(t, "some more polls", func() bool { return before() > n+20 })
	if !s.serves() {
		t.Fatalf("held, and served: %v", s.served)
	}
	if !g.Settled() {
		t.Error("a proxy that starts while the gateway is paused never gets ready")
	}
	g.Apply(t.Context(), set, covered("1"))
	if !s.serves("r1>" + a) {
		t.Errorf("released, and not served: %v", s.served)
	}
}

func TestChangedEntryRetiresItsAddressOnly(t *testing.T) {
	g, s := newGate(t, time.Hour)
	s.listen(a)
	s.listen(b)
	set := setOf(path{"r1", "s1", "u1", []string{a}}, path{"r2", "s2", "u2", []string{b}})
	g.Apply(t.Context(), set, covered("1"))
	applied := s.applied
	g.Apply(t.Context(), set, func(at netip.AddrPort) (Scope, bool) {
		if at.String() == b {
			return Scope{Hash: "2"}, true
		}
		return Scope{Hash: "1"}, true
	})
	if len(s.retired) != 1 || s.retired[0].String() != b {
		t.Errorf("retired %v, want %s", s.retired, b)
	}
	if s.applied != applied {
		t.Error("a change of the scope alone rebuilt the configuration")
	}
}

func TestAnAddressThatComesBackShowsItsListenerAnew(t *testing.T) {
	g, s := newGate(t, time.Hour)
	s.listen(a)
	set := setOf(path{"r1", "s1", "u1", []string{a}})
	g.Apply(t.Context(), set, covered("1"))
	g.Apply(t.Context(), setOf(), covered("1"))
	s.mu.Lock()
	clear(s.listening)
	s.mu.Unlock()
	g.Apply(t.Context(), set, covered("1"))
	if !s.serves() {
		t.Errorf("served on the memory of an old listener: %v", s.served)
	}
}

func TestParseListeners(t *testing.T) {
	got, err := parseListeners(strings.NewReader("10.96.0.5_8080::10.96.0.5:8080\nvirtualOutbound::0.0.0.0:15001\nfd00::5_80::[fd00::5]:80\n0.0.0.0_15090::0.0.0.0:15090\n\n_\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"10.96.0.5:8080", "0.0.0.0:15090"} {
		if !got[netip.MustParseAddrPort(want)] {
			t.Errorf("%s is missing in %v", want, got)
		}
	}
	if len(got) > 3 {
		t.Errorf("%v", got)
	}
}

func FuzzParseListeners(f *testing.F) {
	f.Add("10.96.0.5_8080::10.96.0.5:8080\n")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseListeners(strings.NewReader(text))
		for a := range got {
			if err == nil && !a.IsValid() {
				t.Fatalf("invalid address from %q", text)
			}
		}
	})
}
