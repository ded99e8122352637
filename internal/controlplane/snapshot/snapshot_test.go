// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/configsync/shard"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

func ingress(name string) fragment.Owner {
	return fragment.Owner{Kind: fragment.OwnerIngress, Namespace: "echo", Name: name}
}

func route(id, path string) *entity.Route {
	return &entity.Route{ID: entity.ID(id), Paths: []string{path}}
}

func ingressPart(name string, entities ...entity.Entity) fragment.Fragment {
	return fragment.Fragment{
		Owner: ingress(name), Object: fragment.ObjectRef{Kind: "Ingress", Namespace: "echo", Name: name, UID: "uid-1"},
		Generation: 4, Entities: entities,
	}
}

func apply(t *testing.T, b *Builder, changed []fragment.Fragment, removed ...fragment.Owner) configsync.Snapshot {
	t.Helper()
	if err := b.Apply(changed, removed); err != nil {
		t.Fatal(err)
	}
	s, _ := b.Snapshot()
	return s
}

func holds(s configsync.Snapshot, e entity.Entity) bool {
	got, ok := s.Records.Get(configsync.KeyDigest(entity.KeyOf(e)))
	want, err := configsync.NewRecord(e)
	return ok && err == nil && got.Hash == want.Hash
}

func TestFragmentsAreReplacedAsAWhole(t *testing.T) {
	b := NewBuilder(1)
	first := apply(t, b, []fragment.Fragment{ingressPart("a", route("r1", "/1"), route("r2", "/2")), ingressPart("b", route("r3", "/3"))})
	if first.Records.Len() != 3 {
		t.Fatalf("%d records", first.Records.Len())
	}
	second := apply(t, b, []fragment.Fragment{ingressPart("a", route("r2", "/changed"))})
	if second.Records.Len() != 2 || !holds(second, route("r2", "/changed")) || !holds(second, route("r3", "/3")) {
		t.Fatal("the fragment was not replaced as a whole")
	}
	if first.Records.Len() != 3 || !holds(first, route("r2", "/2")) {
		t.Fatal("an earlier snapshot changed")
	}
	third := apply(t, b, nil, ingress("a"), ingress("b"), ingress("never"))
	if third.Records.Len() != 0 {
		t.Fatal("removed fragments are still there")
	}
}

func TestSequenceGrowsOnlyWithContent(t *testing.T) {
	b := NewBuilder(7)
	s, fresh := b.Snapshot()
	if !fresh || s.Position != (configsync.Position{Term: 7, Sequence: 1}) {
		t.Fatalf("first: %v %v", s.Position, fresh)
	}
	apply(t, b, []fragment.Fragment{ingressPart("a", route("r1", "/1"))})
	apply(t, b, []fragment.Fragment{ingressPart("a", route("r1", "/1"))})
	if s, fresh = b.Snapshot(); fresh || s.Position.Sequence != 2 {
		t.Fatalf("equal content made snapshot %s", s.Position)
	}
	// There and back within one batch of changes is no change either.
	if err := b.Apply(nil, []fragment.Owner{ingress("a")}); err != nil {
		t.Fatal(err)
	}
	if s := apply(t, b, []fragment.Fragment{ingressPart("a", route("r1", "/1"))}); s.Position.Sequence != 2 {
		t.Fatalf("snapshot %s", s.Position)
	}
}

func TestEntityMovesBetweenFragments(t *testing.T) {
	b := NewBuilder(1)
	apply(t, b, []fragment.Fragment{ingressPart("z", route("r", "/"))})
	s := apply(t, b, []fragment.Fragment{ingressPart("a", route("r", "/"))}, ingress("z"))
	if !holds(s, route("r", "/")) {
		t.Fatal("the entity was lost on its way")
	}
	if o, ok := b.Owner(entity.Key{Kind: entity.KindRoute, ID: "r"}); !ok || o != ingress("a") {
		t.Fatalf("owner %v", o)
	}
}

func TestEntityOfTwoFragments(t *testing.T) {
	b := NewBuilder(1)
	apply(t, b, []fragment.Fragment{ingressPart("a", route("r", "/a"))})
	err := b.Apply([]fragment.Fragment{ingressPart("b", route("r", "/b"), route("other", "/"))}, nil)
	if err == nil || !strings.Contains(err.Error(), "routes r already belongs to Ingress echo/a") {
		t.Fatalf("got %v", err)
	}
	if s, _ := b.Snapshot(); !holds(s, route("r", "/a")) || !holds(s, route("other", "/")) {
		t.Fatal("the conflict cost more than the second claim")
	}
}

func TestSettings(t *testing.T) {
	b := NewBuilder(1)
	one, two := netip.MustParseAddrPort("10.0.0.1:80"), netip.MustParseAddrPort("10.0.0.2:80")
	set := func(scope map[netip.AddrPort]configsync.ScopeEntry) configsync.Snapshot {
		t.Helper()
		if err := b.SetScope(scope); err != nil {
			t.Fatal(err)
		}
		s, _ := b.Snapshot()
		return s
	}
	s := set(map[netip.AddrPort]configsync.ScopeEntry{one: {EgressHash: "x"}, two: {EgressHash: "x"}})
	if s.Records.Len() != 2 {
		t.Fatal(s.Records.Len())
	}
	s = set(map[netip.AddrPort]configsync.ScopeEntry{two: {EgressHash: "y"}})
	if s.Records.Len() != 1 || s.Position.Sequence != 2 {
		t.Fatal(s.Records.Len(), s.Position)
	}
	if err := b.SetDialPolicy(&configsync.DialPolicy{RefuseLocal: true}); err != nil {
		t.Fatal(err)
	}
	if s, _ = b.Snapshot(); s.Records.Len() != 2 {
		t.Fatal(s.Records.Len())
	}
	if err := b.SetDialPolicy(nil); err != nil {
		t.Fatal(err)
	}
	if s, _ = b.Snapshot(); s.Records.Len() != 1 {
		t.Fatal(s.Records.Len())
	}
}

// TestSuccessor passes a snapshot on as a manager does to the next one.
func TestSuccessor(t *testing.T) {
	b := NewBuilder(3)
	broken := ingressPart("a", route("r1", "/1"), route("r2", "/2"))
	broken.LastGood = true
	want := []fragment.Fragment{broken, ingressPart("b", route("r3", "/3"))}
	s := apply(t, b, want)
	shards, err := shard.Encode(b.Export(), shard.SecretLimits)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := shard.Decode(shards)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Restore(stored)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %v", got, err)
	}
	next := NewBuilder(NextTerm(0, stored.Position))
	again := apply(t, next, got)
	if again.Records.Hash() != s.Records.Hash() || again.Position.Compare(s.Position) <= 0 {
		t.Fatalf("the successor publishes %s after %s", again.Position, s.Position)
	}
}

func TestNextTerm(t *testing.T) {
	for _, c := range []struct {
		transitions int64
		stored      uint64
		want        uint64
	}{{0, 0, 1}, {5, 0, 6}, {5, 6, 7}, {0, 9, 10}, {-1, 0, 1}} {
		if got := NextTerm(c.transitions, configsync.Position{Term: c.stored}); got != c.want {
			t.Errorf("%d transitions, stored %d: %d, want %d", c.transitions, c.stored, got, c.want)
		}
	}
}

func TestRaise(t *testing.T) {
	b := NewBuilder(2)
	before := apply(t, b, []fragment.Fragment{ingressPart("a", route("r1", "/1"))})
	b.Raise(configsync.Position{Term: 1, Sequence: 900})
	if s, fresh := b.Snapshot(); fresh || s.Position != before.Position {
		t.Fatal("raised without need")
	}
	b.Raise(configsync.Position{Term: 8, Sequence: 4})
	if s, fresh := b.Snapshot(); !fresh || s.Position != (configsync.Position{Term: 9, Sequence: 1}) {
		t.Fatalf("snapshot %s", s.Position)
	}
}

func TestBurst(t *testing.T) {
	start := time.Unix(1000, 0)
	ms := func(n int) time.Time { return start.Add(time.Duration(n) * time.Millisecond) }
	var b Burst
	if b.Take(ms(0)) {
		t.Fatal("nothing to hand on")
	}
	if due := b.Changed(ms(0)); !due.Equal(ms(0)) || !b.Take(ms(0)) {
		t.Fatal("the first change waits")
	}
	if due := b.Changed(ms(3)); !due.Equal(ms(10)) || b.Take(ms(3)) {
		t.Fatal("a change right after the first does not wait for the window")
	}
	if due := b.Changed(ms(9)); !due.Equal(ms(10)) || !b.Take(ms(10)) || b.Take(ms(10)) {
		t.Fatal("the window is longer than it may be, or hands on twice")
	}
	if due := b.Changed(ms(50)); !due.Equal(ms(50)) {
		t.Fatal("a change after quiet waits")
	}
}

func TestCoalesce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		changes := make(chan struct{})
		var published atomic.Int32
		done := make(chan struct{})
		go func() {
			defer close(done)
			Coalesce(t.Context(), changes, func() { published.Add(1) })
		}()
		start := time.Now()
		for range 1000 {
			changes <- struct{}{}
		}
		synctest.Wait()
		if n := published.Load(); n != 1 {
			t.Errorf("at once: %d times, want 1", n)
		}
		time.Sleep(CoalesceFor)
		synctest.Wait()
		if n := published.Load(); n != 2 || time.Since(start) != CoalesceFor {
			t.Errorf("after the window: %d times, want 2", n)
		}
		close(changes)
		<-done
	})
}

func TestSaver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBuilder(1)
		apply(t, b, []fragment.Fragment{ingressPart("a", route("r1", "/1"))})
		fail := errors.New("refused")
		results := make(chan error, 10)
		writes := make(chan [][]byte, 10)
		s := NewSaver(shard.Snapshot{}, b.Export, func(_ context.Context, shards [][]byte) error {
			writes <- shards
			err := fail
			fail = nil
			return err
		}, func(err error) { results <- err })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); s.Run(ctx) }()
		start := time.Now()
		s.Changed()
		if err := <-results; err == nil || time.Since(start) != 10*time.Second {
			t.Errorf("first write: %v after %s", err, time.Since(start))
		}
		if err := <-results; err != nil || time.Since(start) != 70*time.Second {
			t.Errorf("second try: %v after %s", err, time.Since(start))
		}
		<-writes
		if got, err := shard.Decode(<-writes); err != nil || got.Records.Len() != 1 {
			t.Errorf("written: %v", err)
		}
		cancel()
		<-done
	})
}

// TestSaverWritesNothingAgain holds that a new manager, whose position is
// another one, leaves Secrets alone that hold the same content.
func TestSaverWritesNothingAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := ingressPart("a", route("r1", "/1"), route("r2", "/2"))
		broken.LastGood = true
		fragments := []fragment.Fragment{broken, ingressPart("b", route("r3", "/3"))}
		before := NewBuilder(3)
		apply(t, before, fragments)
		shards, err := shard.Encode(before.Export(), shard.SecretLimits)
		if err != nil {
			t.Fatal(err)
		}
		stored, err := shard.Decode(shards)
		if err != nil {
			t.Fatal(err)
		}
		b := NewBuilder(4)
		apply(t, b, fragments)
		writes := 0
		results := make(chan error, 10)
		s := NewSaver(stored, b.Export, func(context.Context, [][]byte) error { writes++; return nil }, func(err error) { results <- err })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); s.Run(ctx) }()
		s.Changed()
		if err := <-results; err != nil || writes != 0 {
			t.Errorf("the same content: %d writes, %v", writes, err)
		}
		fragments[0].LastGood = false
		apply(t, b, fragments)
		s.Changed()
		if err := <-results; err != nil || writes != 1 {
			t.Errorf("another state: %d writes, %v", writes, err)
		}
		cancel()
		<-done
	})
}

// BenchmarkChangeOne changes one route of one fragment and takes the snapshot.
// The work must not grow with the number of routes.
func BenchmarkChangeOne(b *testing.B) {
	for _, n := range []int{200, 20_000} {
		builder := NewBuilder(1)
		var all []fragment.Fragment
		for i := range n {
			all = append(all, ingressPart(fmt.Sprint(i), route(fmt.Sprint("r", i), "/")))
		}
		if err := builder.Apply(all, nil); err != nil {
			b.Fatal(err)
		}
		builder.Snapshot()
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if err := builder.Apply([]fragment.Fragment{ingressPart("7", route("r7", fmt.Sprint("/", i)))}, nil); err != nil {
					b.Fatal(err)
				}
				builder.Snapshot()
			}
		})
	}
}
