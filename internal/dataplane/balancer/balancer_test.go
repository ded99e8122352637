// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/asynctest"
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

func TestXXHash32(t *testing.T) {
	for in, want := range map[string]uint32{
		"":    0x02CC5D05,
		"a":   0x550D7456,
		"abc": 0x32D153FF,
		"Nobody inspects the spammish repetition": 0xE2293B2F,
	} {
		if got := xxhash32(in); got != want {
			t.Errorf("%q: %08x", in, got)
		}
	}
}

func TestConsistentHashingIsStable(t *testing.T) {
	u := &entity.Upstream{Name: "u", Algorithm: ConsistentHashing}
	var specs []string
	for i := range 10 {
		specs = append(specs, fmt.Sprintf("10.0.0.%d:80", i+1))
	}
	where := func(b *Balancer, key string) string {
		p, err := b.Pick(key, nil)
		if err != nil {
			t.Fatal(err)
		}
		return p.Target
	}
	all := mustNew(t, &Store{}, u, specs...)
	reversed := append([]string(nil), specs...)
	for i, j := 0, len(specs)-1; i < j; i, j = i+1, j-1 {
		reversed[i], reversed[j] = reversed[j], reversed[i]
	}
	other := mustNew(t, &Store{}, u, reversed...)
	fewer := mustNew(t, &Store{}, u, specs[:9]...)
	load := map[string]int{}
	moved := 0
	const keys = 5000
	for i := range keys {
		key := fmt.Sprintf("key-%d", i)
		at := where(all, key)
		load[at]++
		if where(other, key) != at {
			t.Fatalf("%s depends on the order of the targets", key)
		}
		if at != specs[9] && where(fewer, key) != at {
			moved++
		}
	}
	for target, n := range load {
		if n < keys/20 || n > keys/5 {
			t.Errorf("%s has %d of %d keys", target, n, keys)
		}
	}
	if moved > keys/20 {
		t.Errorf("%d keys of other targets moved when one went", moved)
	}
}

func TestConsistentHashingKeepsTheWheelWhenAPeerFails(t *testing.T) {
	u := &entity.Upstream{Name: "u", Algorithm: ConsistentHashing, Healthchecks: passive(1, 0, 0, 0)}
	b := mustNew(t, &Store{}, u, "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")
	before := map[string]*Peer{}
	for i := range 300 {
		key := fmt.Sprint(i)
		before[key], _ = b.Pick(key, nil)
	}
	down := b.Peers()[0]
	b.ReportStatus(down, 500)
	for key, was := range before {
		p, err := b.Pick(key, nil)
		if err != nil || p == down || was != down && p != was {
			t.Fatalf("%s moved from %v to %v", key, was.Target, p.Target)
		}
	}
}

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

// names is a Resolve whose answers a test sets.
type names struct {
	mu    sync.Mutex
	addrs map[string][]Address
	ttl   time.Duration
	now   func() time.Time
	asked atomic.Int32
}

func (n *names) set(host string, addrs ...Address) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addrs[host] = addrs
}

func (n *names) resolve(_ context.Context, host string) ([]Address, time.Time, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	defer n.asked.Add(1)
	if addrs, known := n.addrs[host]; known && addrs == nil {
		return nil, time.Time{}, gone{}
	}
	if len(n.addrs[host]) == 0 {
		return nil, time.Time{}, errors.New("no such name")
	}
	return n.addrs[host], n.now().Add(n.ttl), nil
}

// gone is the error of a name that the DNS does not have.
type gone struct{}

func (gone) Error() string  { return "gone" }
func (gone) NotFound() bool { return true }

func address(s string, port uint16, weight int) Address {
	return Address{Addr: netip.MustParseAddr(s), Port: port, Weight: weight}
}

func TestNames(t *testing.T) {
	var clock atomic.Int64
	clock.Store(1000)
	now := func() time.Time { return time.Unix(clock.Load(), 0) }
	dns := &names{addrs: map[string][]Address{}, ttl: 10 * time.Second, now: now}
	store := &Store{Now: now}
	b, err := New(store, &entity.Upstream{Name: "u"}, targets("a.test:80", "srv.test:80=10", "10.0.0.9:1"), dns.resolve)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	dns.set("a.test", address("10.0.0.1", 0, 0), address("10.0.0.2", 0, 0), address("10.0.0.1", 0, 0))
	dns.set("srv.test", address("10.0.0.3", 8081, 7))
	if err := b.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	list := func() string {
		var out []string
		for _, p := range b.Peers() {
			out = append(out, fmt.Sprintf("%s@%s*%d", p.Host, p.Addr, p.Weight))
		}
		return strings.Join(out, " ")
	}
	want := "a.test@10.0.0.1:80*100 a.test@10.0.0.2:80*100 srv.test@10.0.0.3:8081*7 10.0.0.9@10.0.0.9:1*100"
	if list() != want {
		t.Fatalf("%s", list())
	}
	kept := b.Peers()[0]
	asked := dns.asked.Load()
	if err := b.Prepare(t.Context()); err != nil || dns.asked.Load() != asked {
		t.Error("asked again within the TTL", err)
	}

	dns.set("a.test", address("10.0.0.1", 0, 0))
	dns.set("srv.test", []Address{}...) // now fails: its addresses stay
	clock.Add(11)
	expires := b.expires.Load()
	if err := b.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	for b.expires.Load() == expires { // set when the refresh in the background ends
		runtime.Gosched()
	}
	if got := list(); got != "a.test@10.0.0.1:80*100 srv.test@10.0.0.3:8081*7 10.0.0.9@10.0.0.9:1*100" {
		t.Errorf("after the change: %s", got)
	}
	if b.Peers()[0] != kept {
		t.Error("a peer that stayed lost its identity")
	}

	dns.set("srv.test") // is gone
	clock.Add(11)
	asynctest.Until(t, "the addresses of a name that is gone are", func() bool {
		if err := b.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		return list() == "a.test@10.0.0.1:80*100 10.0.0.9@10.0.0.9:1*100"
	})
}

// TestUseSRVName: Host is what the SRV record leads to, if the upstream wants
// so (Kong docs, use_srv_name).
func TestUseSRVName(t *testing.T) {
	now := func() time.Time { return time.Unix(1000, 0) }
	for use, want := range map[bool]string{false: "srv.test", true: "node-1.test"} {
		dns := &names{addrs: map[string][]Address{}, ttl: time.Second, now: now}
		dns.set("srv.test", Address{Addr: netip.MustParseAddr("10.0.0.1"), Port: 81, Weight: 1, Name: "node-1.test"})
		b, err := New(&Store{Now: now}, &entity.Upstream{Name: "u", UseSRVName: &use}, targets("srv.test:80"), dns.resolve)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		if p := b.Peers()[0]; p.Host != want || p.Target != "srv.test:80" {
			t.Errorf("use_srv_name %v: %+v", use, p)
		}
		b.Close()
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

type facts map[string]string

func (f facts) ConsumerOrCredentialID() string { return f["consumer"] }
func (f facts) ClientIP() string               { return f["ip"] }
func (f facts) Header(n string) string         { return f["header:"+n] }
func (f facts) Cookie(n string) string         { return f["cookie:"+n] }
func (f facts) Path() string                   { return f["path"] }
func (f facts) QueryArg(n string) string       { return f["arg:"+n] }
func (f facts) URICapture(n string) string     { return f["capture:"+n] }

func TestHashKey(t *testing.T) {
	for _, c := range []struct {
		u      entity.Upstream
		f      facts
		key    string
		cookie *Cookie
	}{
		{entity.Upstream{}, facts{"ip": "1"}, "", nil},
		{entity.Upstream{HashOn: "none"}, facts{"ip": "1"}, "", nil},
		{entity.Upstream{HashOn: "consumer"}, facts{"consumer": "c"}, "c", nil},
		{entity.Upstream{HashOn: "ip"}, facts{"ip": "1"}, "1", nil},
		{entity.Upstream{HashOn: "path"}, facts{"path": "/p"}, "/p", nil},
		{entity.Upstream{HashOn: "header", HashOnHeader: "X"}, facts{"header:X": "v"}, "v", nil},
		{entity.Upstream{HashOn: "query_arg", HashOnQueryArg: "k"}, facts{"arg:k": "1"}, "1", nil},
		{entity.Upstream{HashOn: "uri_capture", HashOnURICapture: "id"}, facts{"capture:id": "7"}, "7", nil},
		{entity.Upstream{HashOn: "header", HashOnHeader: "X"}, facts{}, "", nil},
		{entity.Upstream{HashOn: "header", HashOnHeader: "X", HashFallback: "header", HashFallbackHeader: "Y"}, facts{"header:Y": "w"}, "w", nil},
		{entity.Upstream{HashOn: "header", HashOnHeader: "X", HashFallback: "ip"}, facts{"ip": "9"}, "9", nil},
		{entity.Upstream{HashOn: "query_arg", HashOnQueryArg: "k", HashFallback: "query_arg", HashFallbackQueryArg: "l"}, facts{"arg:l": "2"}, "2", nil},
		{entity.Upstream{HashOn: "uri_capture", HashOnURICapture: "a", HashFallback: "uri_capture", HashFallbackURICapture: "b"}, facts{"capture:b": "2"}, "2", nil},
		{entity.Upstream{HashOn: "cookie", HashOnCookie: "c"}, facts{"cookie:c": "mine"}, "mine", nil},
		{entity.Upstream{HashOn: "cookie", HashOnCookie: "c"}, facts{}, "new", &Cookie{"c", "new", "/"}},
		{entity.Upstream{HashOn: "header", HashOnHeader: "X", HashFallback: "cookie", HashOnCookie: "c", HashOnCookiePath: "/p"}, facts{}, "new", &Cookie{"c", "new", "/p"}},
		{entity.Upstream{HashOn: "header", HashOnHeader: "X-K", HashFallback: "cookie", HashOnCookie: "c"}, facts{"header:X-K": "v"}, "v", &Cookie{"c", "new", "/"}},
		{entity.Upstream{HashOn: "header", HashOnHeader: "X-K", HashFallback: "cookie", HashOnCookie: "c"}, facts{"header:X-K": "v", "cookie:c": "old"}, "v", nil},
		{entity.Upstream{HashOn: "header", HashOnHeader: "X", HashFallback: "cookie", HashOnCookie: "c"}, facts{"header:X": "v"}, "v", nil},
	} {
		key, cookie := HashKey(&c.u, c.f, func() string { return "new" })
		if key != c.key || fmt.Sprint(cookie) != fmt.Sprint(c.cookie) {
			t.Errorf("%+v: %q %v", c.u, key, cookie)
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
