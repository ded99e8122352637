// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/asynctest"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

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
