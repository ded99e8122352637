// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"errors"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

func stickyUpstream() *entity.Upstream {
	return &entity.Upstream{
		Name: "up", Algorithm: StickySessions, StickySessionsCookie: "sid",
		Healthchecks: &entity.Healthchecks{Passive: &entity.PassiveHealthcheck{Unhealthy: &entity.HealthStatuses{TCPFailures: ptr(1)}}},
	}
}

// visit picks a peer for a client with a cookie, and returns the cookie that it
// has afterwards.
func visit(t *testing.T, b *Balancer, u *entity.Upstream, cookie string) (*Peer, string) {
	t.Helper()
	p, err := b.Pick(cookie, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.Done(p, 0)
	if set := SessionCookie(u, p, cookie); set != nil {
		if set.Name != "sid" || set.Path != "/" || set.Value == "" {
			t.Errorf("cookie %+v", set)
		}
		return p, set.Value
	}
	return p, cookie
}

func TestStickySessions(t *testing.T) {
	u := stickyUpstream()
	store := &Store{}
	b := mustNew(t, store, u, "10.0.0.1:80=300", "10.0.0.2:80=100")
	// Clients without a cookie take turns by weight, and so do those whose cookie
	// says nothing.
	got := map[string]int{}
	for i := range 400 {
		p, cookie := visit(t, b, u, []string{"", "forged"}[i%2])
		got[p.Target]++
		if again, kept := visit(t, b, u, cookie); again != p || kept != cookie {
			t.Fatalf("%s came back to %s with %s", p.Target, again.Target, kept)
		}
		if strings.Contains(cookie, "10.0") {
			t.Errorf("the cookie %q tells the address", cookie)
		}
	}
	if got["10.0.0.1:80"] != 300 || got["10.0.0.2:80"] != 100 {
		t.Errorf("%v", got)
	}
	// Another process makes the same of it.
	p, cookie := visit(t, b, u, "")
	other := mustNew(t, &Store{}, u, "10.0.0.2:80", "10.0.0.1:80")
	for range 10 {
		if same, _ := visit(t, other, u, cookie); same.Target != p.Target {
			t.Fatalf("%s, elsewhere %s", p.Target, same.Target)
		}
	}
}

func TestStickySessionsMoveOn(t *testing.T) {
	u := stickyUpstream()
	store := &Store{}
	b := mustNew(t, store, u, "10.0.0.1:80", "10.0.0.2:80")
	p, cookie := visit(t, b, u, "")
	// An attempt that failed is followed by one at another peer, and so is a
	// peer that is not well.
	if next, err := b.Pick(cookie, []*Peer{p}); err != nil || next == p || SessionCookie(u, next, cookie) == nil {
		t.Fatalf("after a failed attempt: %v, %v", next, err)
	}
	b.ReportFailure(p, FailureTCP)
	next, moved := visit(t, b, u, cookie)
	if next == p || moved == cookie {
		t.Fatalf("a client stays at a peer that is not well")
	}
	// A target that is being drained keeps its clients, and gets no others.
	drained := next.Target + "=0"
	b = mustNew(t, store, u, "10.0.0.3:80", drained)
	for range 20 {
		if p, _ := visit(t, b, u, moved); p.Target != next.Target {
			t.Fatalf("a drained target lost its client to %s", p.Target)
		}
		if p, _ := visit(t, b, u, ""); p.Target != "10.0.0.3:80" {
			t.Fatalf("a drained target got a client")
		}
	}
	// One that is gone has none, and where there is no other, there is none.
	b = mustNew(t, store, u, "10.0.0.3:80")
	if p, again := visit(t, b, u, moved); p.Target != "10.0.0.3:80" || again == moved {
		t.Errorf("a client of a target that is gone: %s", p.Target)
	}
	b = mustNew(t, store, u, "10.0.0.4:80=0")
	if _, err := b.Pick("", nil); !errors.Is(err, ErrNoPeer) {
		t.Errorf("only drained targets: %v", err)
	}
}
