// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestLookup(t *testing.T) {
	s := startServer(t)
	s.set("a.test.", "A", "60 IN A 10.0.0.1", "30 IN A 10.0.0.2")
	s.set("six.test.", "AAAA", "40 IN AAAA 2001:db8::1")
	s.set("zero.test.", "A", "0 IN A 10.0.0.3")
	s.set("alias.test.", "CNAME", "20 IN CNAME a.test.")
	s.set("_http._tcp.a.test.", "SRV", "50 IN SRV 1 7 8081 a.test.", "50 IN SRV 1 0 8082 six.test.", "50 IN SRV 2 9 9 zero.test.")
	s.set("short.ns.svc.test.", "A", "60 IN A 10.0.0.9")
	var many []string
	for i := range 60 {
		many = append(many, fmt.Sprintf("60 IN A 10.1.0.%d", i))
	}
	s.set("many.test.", "A", many...)
	r, _ := newResolver(s, func(c *Config) {
		c.Search = []string{"ns.svc.test", "svc.test."}
		c.Ndots = 2
		c.Hosts = map[string][]netip.Addr{"box": {netip.MustParseAddr("192.0.2.1")}}
	})
	for _, c := range []struct {
		host, want string
		ttl        time.Duration
	}{
		{"a.test.", "10.0.0.1 10.0.0.2", 30 * time.Second},
		{"A.Test", "10.0.0.1 10.0.0.2", 30 * time.Second}, // after the search domains
		{"six.test", "2001:db8::1", 40 * time.Second},
		{"zero.test", "10.0.0.3", minTTL},
		{"alias.test", "10.0.0.1 10.0.0.2", 20 * time.Second},
		{"_http._tcp.a.test", "10.0.0.1:8081*7 10.0.0.2:8081*7 2001:db8::1:8082*1", 30 * time.Second},
		{"short", "10.0.0.9", 60 * time.Second},
		{"BOX", "192.0.2.1", staticTTL},
		{"10.9.9.9", "10.9.9.9", staticTTL},
		{"::1", "::1", staticTTL},
	} {
		got, ttl, err := lookup(t, r, c.host)
		if err != nil || got != c.want || ttl != c.ttl {
			t.Errorf("%s: %q for %s, %v", c.host, got, ttl, err)
		}
	}
	if got, _, err := lookup(t, r, "many.test"); err != nil || strings.Count(got, " ") != 59 {
		t.Errorf("a long answer: %q %v", got, err)
	}
}

func TestOrder(t *testing.T) {
	s := startServer(t)
	s.set("both.test.", "SRV", "60 IN SRV 1 1 81 a.test.")
	s.set("both.test.", "A", "60 IN A 10.0.0.1")
	s.set("a.test.", "A", "60 IN A 10.0.0.2")
	for order, want := range map[string]string{"SRV A": "10.0.0.2:81*1", "A SRV": "10.0.0.1", "": "10.0.0.2:81*1"} {
		r, _ := newResolver(s, func(c *Config) { c.Order = strings.Fields(order) })
		if got, _, err := lookup(t, r, "both.test"); got != want {
			t.Errorf("%s: %s %v", order, got, err)
		}
	}
}

// TestOrderRemembers: what had an answer is asked for first the next time.
func TestOrderRemembers(t *testing.T) {
	s := startServer(t)
	s.set("a.test.", "A", "10 IN A 10.0.0.1")
	s.set("svc.test.", "SRV", "10 IN SRV 1 1 81 svc.test.", "10 IN SRV 1 1 82 svc.test.")
	s.set("svc.test.", "A", "10 IN A 10.0.0.2")
	r, c := newResolver(s, nil)
	for _, name := range []string{"a.test", "svc.test"} {
		if _, _, err := lookup(t, r, name); err != nil {
			t.Fatal(err)
		}
	}
	// Records that lead to the name itself, as Kubernetes has them, say nothing.
	if got, _, err := lookup(t, r, "svc.test"); got != "10.0.0.2" {
		t.Errorf("%q, %v", got, err)
	}
	s.set("a.test.", "A", "10 IN A 10.0.0.3")
	c.advance(11 * time.Second)
	eventually(t, r, "a.test", "10.0.0.3")
	if n := s.count("a.test.", "SRV"); n != 1 {
		t.Errorf("SRV was asked for %d times", n)
	}
	// Without it, the others have their turn.
	s.set("a.test.", "A")
	s.set("a.test.", "AAAA", "10 IN AAAA ::3")
	c.advance(11 * time.Second)
	eventually(t, r, "a.test", "::3")
}

// TestServersThatFail: an answer that is an error leaves the others their turn,
// a server that cannot be reached ends it.
func TestServersThatFail(t *testing.T) {
	s := startServer(t)
	s.set("a.test.", "A", "10 IN A 10.0.0.1")
	s.fail("a.test.search.", dns.RcodeServerFailure)
	r, _ := newResolver(s, func(c *Config) { c.Search, c.Ndots = []string{"search"}, 2 })
	if got, _, err := lookup(t, r, "a.test"); got != "10.0.0.1" {
		t.Errorf("%q, %v", got, err)
	}
	nobody, _ := newResolver(&server{addr: "127.0.0.1:1"}, func(c *Config) { c.Attempts = 1 })
	if _, _, err := lookup(t, nobody, "a.test"); err == nil || errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("nobody: %v", err)
	}
}

func TestServersInTurn(t *testing.T) {
	good, bad := startServer(t), startServer(t)
	good.set("a.test.", "A", "10 IN A 10.0.0.1")
	bad.fail("a.test.", dns.RcodeServerFailure)
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	r, _ := newResolver(good, func(c *Config) {
		c.Servers = []string{silent.LocalAddr().String(), bad.addr, good.addr}
		c.Timeout = 50 * time.Millisecond
	})
	if got, _, err := lookup(t, r, "a.test"); got != "10.0.0.1" {
		t.Error(got, err)
	}
	r, _ = newResolver(good, func(c *Config) {
		c.Servers = []string{silent.LocalAddr().String()}
		c.Timeout = 20 * time.Millisecond
	})
	var timeout *Error
	if _, _, err := lookup(t, r, "a.test"); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("a silent server: %v", err)
	}
	if _, _, err := New(Config{}).Lookup(t.Context(), "a.test"); err == nil || !strings.Contains(err.Error(), "no DNS server") {
		t.Errorf("no server: %v", err)
	}
}
