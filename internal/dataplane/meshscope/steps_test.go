// SPDX-License-Identifier: Apache-2.0

package meshscope

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

func randomEntity(r *rand.Rand) entity.Entity {
	id := func(kind string) entity.ID { return entity.ID(fmt.Sprint(kind, r.IntN(4))) }
	address := fmt.Sprintf("10.0.0.%d", r.IntN(4))
	switch r.IntN(5) {
	case 0, 1:
		route := &entity.Route{ID: id("route"), Service: &entity.Ref{ID: id("service")}}
		if r.IntN(5) == 0 {
			route.Service = nil
		}
		return route
	case 2:
		s := &entity.Service{ID: id("service"), Host: address}
		if r.IntN(3) > 0 {
			s.Host = fmt.Sprint("upstream", r.IntN(3))
		}
		return s
	case 3:
		n := r.IntN(3)
		return &entity.Upstream{ID: entity.ID(fmt.Sprint("u", n)), Name: fmt.Sprint("upstream", n)}
	default:
		return &entity.Target{ID: id("target"), Upstream: &entity.Ref{ID: id("u")}, Target: address + ":80"}
	}
}

// TestStepsAgainstWhole makes random changes while listeners come and go: what
// is served serves nothing that waits, everything once nothing waits, and never
// loses a route that was served while it should be there.
func TestStepsAgainstWhole(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 11))
		s := &sidecar{listening: map[netip.AddrPort]bool{}, config: map[entity.Key]entity.Entity{}}
		g := New(Options{Listeners: s.listeners, Apply: s.apply, Retire: func(netip.AddrPort) {}, Wait: time.Hour, Poll: time.Hour, Logger: slog.New(slog.DiscardHandler)})
		next := map[entity.Key]entity.Entity{}
		for step := range 60 {
			c := Change{}
			for range 1 + r.IntN(3) {
				e := randomEntity(r)
				key := entity.KeyOf(e)
				if slices.Contains(c.Removed, key) || slices.ContainsFunc(c.Put, func(o entity.Entity) bool { return entity.KeyOf(o) == key }) {
					continue
				}
				if r.IntN(4) == 0 {
					delete(next, key)
					c.Removed = append(c.Removed, key)
				} else {
					next[key] = e
					c.Put = append(c.Put, e)
				}
			}
			if r.IntN(4) == 0 {
				s.listen(fmt.Sprintf("10.0.0.%d:80", r.IntN(4)))
			}
			before := maps.Clone(s.config)
			g.Apply(t.Context(), c, covered("1"))
			if r.IntN(3) == 0 {
				pollOnce(g)
			}
			checkServed(t, g, fmt.Sprintf("seed %d step %d", seed, step), before, s.config, next)
		}
		for n := range 4 {
			s.listen(fmt.Sprintf("10.0.0.%d:80", n))
		}
		pollOnce(g)
		if !maps.Equal(s.config, next) || len(g.held)+len(g.heldBy)+len(g.waiting) > 0 {
			t.Fatalf("seed %d: nothing waits, and %d of %d entities are served, %d held", seed, len(s.config), len(next), len(g.held))
		}
		g.Close()
	}
}

func checkServed(t *testing.T, g *Gate, when string, before, served, next map[entity.Key]entity.Entity) {
	t.Helper()
	if !maps.Equal(g.applied.all, served) || !maps.Equal(g.next.all, next) {
		t.Fatalf("%s: the gate does not know what is served", when)
	}
	reference := Hold(wholeOf(before), wholeOf(next), g.waits)
	kept := map[entity.Key]bool{}
	for _, route := range reference.Routes {
		kept[entity.KeyOf(route)] = true
	}
	for key := range served {
		if key.Kind == entity.KindRoute && next[key] == nil {
			t.Fatalf("%s: route %s is served and gone", when, key.ID)
		}
	}
	for key := range next {
		if key.Kind == entity.KindRoute && before[key] != nil && served[key] == nil {
			t.Fatalf("%s: route %s was served and is not any more", when, key.ID)
		}
		if key.Kind == entity.KindRoute && kept[key] != (served[key] != nil) {
			t.Fatalf("%s: route %s is served: %t, of the whole: %t", when, key.ID, served[key] != nil, kept[key])
		}
		if (served[key] != next[key]) != held(g, key) {
			t.Fatalf("%s: %s is held: %t", when, key, held(g, key))
		}
	}
	for _, e := range served {
		if target, ok := e.(*entity.Target); ok {
			if a, _ := addressOf(target); g.waits(a) && before[entity.KeyOf(e)] != e {
				t.Fatalf("%s: target %s is new, and waits", when, target.Target)
			}
		}
	}
}

func held(g *Gate, key entity.Key) bool {
	_, is := g.held[key]
	return is
}

// pollOnce is what happens each time the sidecar is asked again.
func pollOnce(g *Gate) {
	listeners := g.ask(context.Background())
	g.mu.Lock()
	defer g.mu.Unlock()
	g.settle(slices.Collect(maps.Keys(g.waiting)), entity.Delta{}, nil, listeners, time.Now(), true)
}

// BenchmarkChange changes one route among many to the same service, while
// another one waits.
func BenchmarkChange(b *testing.B) {
	for _, size := range []int{100, 1000, 5000, 20000} {
		for _, waiting := range []bool{false, true} {
			listening := map[netip.AddrPort]bool{netip.MustParseAddrPort("10.0.0.1:80"): true}
			s := &sidecar{listening: listening}
			g := New(Options{Listeners: s.listeners, Apply: func(entity.Delta, bool) {}, Wait: time.Hour, Poll: time.Hour, Logger: slog.New(slog.DiscardHandler)})
			c := Change{}
			for n := range size {
				c.Put = append(c.Put, &entity.Route{ID: entity.ID(fmt.Sprint(n)), Service: &entity.Ref{ID: "s"}})
			}
			c.Put = append(c.Put, &entity.Service{ID: "s", Host: "10.0.0.1"})
			if waiting {
				c.Put = append(c.Put, &entity.Service{ID: "w", Host: "10.0.0.2"}, &entity.Route{ID: "w", Service: &entity.Ref{ID: "w"}})
			}
			g.Apply(b.Context(), c, covered("1"))
			b.Run(fmt.Sprint(size, "-waiting-", waiting), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					g.Apply(b.Context(), Change{Delta: entity.Delta{Put: []entity.Entity{&entity.Route{ID: "7", Service: &entity.Ref{ID: "s"}}}}}, covered("1"))
				}
			})
			g.Close()
		}
	}
}
