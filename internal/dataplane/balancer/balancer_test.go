// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

func ptr[T any](v T) *T { return &v }

// targets reads "host:port=weight".
func targets(specs ...string) []*entity.Target {
	var out []*entity.Target
	for _, s := range specs {
		name, weight, ok := strings.Cut(s, "=")
		t := &entity.Target{Target: name}
		if ok {
			n, err := strconv.Atoi(weight)
			if err != nil {
				panic(err)
			}
			t.Weight = &n
		}
		out = append(out, t)
	}
	return out
}

func mustNew(t testing.TB, store *Store, u *entity.Upstream, specs ...string) *Balancer {
	t.Helper()
	b, err := New(store, u, targets(specs...), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// counts picks n times, ending each request at once.
func counts(t testing.TB, b *Balancer, n int) map[string]int {
	t.Helper()
	got := map[string]int{}
	for range n {
		p, err := b.Pick("", nil)
		if err != nil {
			t.Fatal(err)
		}
		got[p.Target]++
		b.Done(p, 0)
	}
	return got
}

func TestRoundRobinIsExact(t *testing.T) {
	for _, c := range []struct {
		specs []string
		n     int
		want  map[string]int
	}{
		{[]string{"10.0.0.1:1", "10.0.0.2:1"}, 10, map[string]int{"10.0.0.1:1": 5, "10.0.0.2:1": 5}},
		{[]string{"10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"}, 9, map[string]int{"10.0.0.1:1": 3, "10.0.0.2:1": 3, "10.0.0.3:1": 3}},
		{[]string{"10.0.0.1:1=3", "10.0.0.2:1=1"}, 12, map[string]int{"10.0.0.1:1": 9, "10.0.0.2:1": 3}},
		{[]string{"10.0.0.1:1=50", "10.0.0.2:1=150"}, 8, map[string]int{"10.0.0.1:1": 2, "10.0.0.2:1": 6}},
		{[]string{"10.0.0.1:1=0", "10.0.0.2:1=10", "10.0.0.3:1=0"}, 6, map[string]int{"10.0.0.2:1": 6}},
		{[]string{"10.0.0.1:1=7", "10.0.0.2:1=0", "10.0.0.3:1=4", "10.0.0.4:1=13"}, 48, map[string]int{"10.0.0.1:1": 14, "10.0.0.3:1": 8, "10.0.0.4:1": 26}},
	} {
		b := mustNew(t, &Store{}, &entity.Upstream{Name: "u"}, c.specs...)
		if got := counts(t, b, c.n); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%v: %v, want %v", c.specs, got, c.want)
		}
	}
}

func TestRoundRobinIsSmooth(t *testing.T) {
	b := mustNew(t, &Store{}, &entity.Upstream{Name: "u"}, "10.0.0.1:1=300", "10.0.0.2:1=100")
	var run, longest int
	for range 400 {
		p, _ := b.Pick("", nil)
		if run++; p.Target == "10.0.0.2:1" {
			run = 0
		}
		longest = max(longest, run)
	}
	if longest > 6 {
		t.Errorf("%d turns in a row for one peer at weights 3:1", longest)
	}
}

func TestPickLeavesTriedOut(t *testing.T) {
	for _, algorithm := range []string{RoundRobin, LeastConnections, ConsistentHashing, Latency} {
		b := mustNew(t, &Store{}, &entity.Upstream{Name: "u", Algorithm: algorithm}, "10.0.0.1:1", "10.0.0.2:1=1", "10.0.0.3:1")
		for range 20 {
			var tried []*Peer
			seen := map[*Peer]bool{}
			for range 3 {
				p, err := b.Pick("key", tried)
				if err != nil || seen[p] {
					t.Fatalf("%s: %v picked again, %v", algorithm, p, err)
				}
				seen[p] = true
				tried = append(tried, p)
			}
			if _, err := b.Pick("key", tried); err != nil {
				t.Errorf("%s: with all tried: %v", algorithm, err)
			}
		}
	}
}

func TestLeastConnections(t *testing.T) {
	b := mustNew(t, &Store{}, &entity.Upstream{Name: "u", Algorithm: LeastConnections}, "10.0.0.1:1=200", "10.0.0.2:1=100")
	held := map[string]int{}
	var peers []*Peer
	for range 9 {
		p, _ := b.Pick("", nil)
		held[p.Target]++
		peers = append(peers, p)
	}
	if held["10.0.0.1:1"] != 6 || held["10.0.0.2:1"] != 3 {
		t.Errorf("%v", held)
	}
	for _, p := range peers {
		b.Done(p, 0)
		if p.Active() < 0 {
			t.Error("negative count")
		}
	}
}

func TestLatencyPrefersTheFaster(t *testing.T) {
	now := time.Unix(1000, 0)
	b := mustNew(t, &Store{Now: func() time.Time { return now }}, &entity.Upstream{Name: "u", Algorithm: Latency}, "10.0.0.1:1", "10.0.0.2:1")
	for range 50 {
		p, _ := b.Pick("", nil)
		now = now.Add(time.Second)
		b.Done(p, map[string]time.Duration{"10.0.0.1:1": time.Second, "10.0.0.2:1": 10 * time.Millisecond}[p.Target])
	}
	got := counts(t, b, 20)
	if got["10.0.0.2:1"] != 20 {
		t.Errorf("%v", got)
	}
	now = now.Add(10 * time.Minute) // old latencies are forgotten
	if s := b.Peers()[0].latencyScore(now); s > 1e-9 {
		t.Errorf("score %v after ten minutes", s)
	}
}

func TestNewPeerStartsAtTheAverageLatency(t *testing.T) {
	now := time.Unix(1000, 0)
	store := &Store{Now: func() time.Time { return now }}
	u := &entity.Upstream{Name: "u", Algorithm: Latency}
	b := mustNew(t, store, u, "10.0.0.1:1")
	p, _ := b.Pick("", nil)
	now = now.Add(time.Hour)
	b.Done(p, 2*time.Second)
	next := mustNew(t, store, u, "10.0.0.1:1", "10.0.0.2:1")
	if got := next.Peers()[1].state.latency(0, now); got < 1.9 || got > 2 {
		t.Errorf("a new peer starts at %v s", got)
	}
}

func TestNoTargets(t *testing.T) {
	for _, algorithm := range []string{"", LeastConnections, ConsistentHashing, Latency} {
		for _, specs := range [][]string{nil, {"10.0.0.1:1=0"}} {
			b := mustNew(t, &Store{}, &entity.Upstream{Name: "u", Algorithm: algorithm}, specs...)
			if _, err := b.Pick("", nil); !errors.Is(err, ErrNoPeer) {
				t.Errorf("%s %v: %v", algorithm, specs, err)
			}
		}
	}
}

func TestStateOutlivesTheConfiguration(t *testing.T) {
	now := time.Unix(1000, 0)
	store := &Store{Now: func() time.Time { return now }}
	u := &entity.Upstream{Name: "u", Healthchecks: passive(1, 0, 0, 0)}
	first := mustNew(t, store, u, "10.0.0.1:1", "10.0.0.2:1")
	first.ReportStatus(first.Peers()[0], 500)
	second := mustNew(t, store, u, "10.0.0.1:1", "10.0.0.3:1")
	first.Close()
	if second.Peers()[0].Health() != Unhealthy {
		t.Error("the new configuration forgot the health")
	}
	second.Close()
	now = now.Add(stateRetention - time.Second)
	third := mustNew(t, store, u, "10.0.0.1:1")
	if third.Peers()[0].Health() != Unhealthy {
		t.Error("forgotten before its time")
	}
	third.Close()
	now = now.Add(stateRetention + time.Second)
	if fourth := mustNew(t, store, u, "10.0.0.1:1"); fourth.Peers()[0].Health() != Healthy {
		t.Error("not forgotten in time")
	}
	if n := len(store.states); n != 1 {
		t.Errorf("%d states kept", n)
	}
	unchecked := mustNew(t, store, &entity.Upstream{Name: "u"}, "10.0.0.1:1")
	if _, err := unchecked.Pick("", nil); err != nil {
		t.Error("an upstream without checks still looks at health")
	}
}

func TestParseTarget(t *testing.T) {
	for in, want := range map[string]string{
		"10.0.0.1":      "10.0.0.1:8000",
		"10.0.0.1:1":    "10.0.0.1:1",
		"a.test":        "a.test:8000",
		"a.test:81":     "a.test:81",
		"[2001:db8::1]": "[2001:db8::1]:8000",
		"2001:db8::1":   "[2001:db8::1]:8000",
		"[::1]:81":      "[::1]:81",
		"":              "", "a:b": "", "a:0": "", ":81": "", "a:70000": "",
	} {
		got, err := parseTarget(&entity.Target{Target: in})
		if (err == nil) != (want != "") || err == nil && got.String() != want {
			t.Errorf("%q: %v %v", in, got, err)
		}
	}
	if _, err := New(&Store{}, &entity.Upstream{Name: "u"}, targets("a:b"), nil); err == nil || !strings.Contains(err.Error(), `upstream "u": targets: "a:b"`) {
		t.Errorf("%v", err)
	}
	if _, err := New(&Store{}, &entity.Upstream{Name: "u", Algorithm: "x"}, nil, nil); err == nil || !strings.Contains(err.Error(), "algorithm") {
		t.Errorf("%v", err)
	}
}

func TestSingle(t *testing.T) {
	now := func() time.Time { return time.Unix(1000, 0) }
	dns := &names{addrs: map[string][]Address{}, now: now}
	b := Single(&Store{Now: now}, "svc.test", 81, dns.resolve)
	defer b.Close()
	if err := b.Prepare(t.Context()); err == nil || err.Error() != "no such name" {
		t.Errorf("an unknown name: %v", err)
	}
	ip := Single(&Store{}, "[::1]", 82, nil)
	defer ip.Close()
	if err := ip.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	p, err := ip.Pick("", nil)
	if err != nil || p.Addr.String() != "[::1]:82" || p.Host != "::1" {
		t.Errorf("%+v %v", p, err)
	}
}

func TestConcurrentUse(t *testing.T) {
	store := &Store{}
	for _, algorithm := range []string{RoundRobin, LeastConnections, ConsistentHashing, Latency} {
		u := &entity.Upstream{Name: "u", Algorithm: algorithm, Healthchecks: passive(2, 2, 2, 1)}
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				b, _ := New(store, u, targets("10.0.0.1:1", "10.0.0.2:1"), nil)
				defer b.Close()
				for j := range 500 {
					p, err := b.Pick(fmt.Sprint(j), nil)
					if err != nil {
						p = b.Peers()[i%2]
						b.ReportStatus(p, 200)
						continue
					}
					b.ReportStatus(p, 200+300*(j%2))
					b.Done(p, time.Millisecond)
				}
			})
		}
		wg.Wait()
	}
	for _, s := range store.states {
		if s.state.active.Load() != 0 || s.users != 0 {
			t.Errorf("%d requests and %d users left over", s.state.active.Load(), s.users)
		}
	}
}

func BenchmarkPick(b *testing.B) {
	var specs []string
	for i := range 50 {
		specs = append(specs, fmt.Sprintf("10.0.0.%d:80=%d", i+1, 100+i))
	}
	for _, algorithm := range []string{RoundRobin, LeastConnections, ConsistentHashing, Latency} {
		bal := mustNew(b, &Store{}, &entity.Upstream{Name: "u", Algorithm: algorithm}, specs...)
		b.Run(algorithm, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					p, _ := bal.Pick("some-session-identifier", nil)
					bal.Done(p, time.Millisecond)
				}
			})
		})
	}
}
