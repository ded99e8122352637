// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// server is a DNS server on loopback whose zone a test sets.
type server struct {
	addr string

	mu    sync.Mutex
	zone  map[string][]string // "name. TYPE" to records without owner and class
	rcode map[string]int      // by name
	asked map[string]int      // "name. TYPE"
	gate  chan struct{}       // answers wait for it when set
	total atomic.Int32
}

func startServer(t *testing.T) *server {
	t.Helper()
	s := &server{zone: map[string][]string{}, rcode: map[string]int{}, asked: map[string]int{}}
	pc, l := listenBoth(t)
	s.addr = pc.LocalAddr().String()
	for _, d := range []*dns.Server{{PacketConn: pc, Handler: s}, {Listener: l, Handler: s}} {
		started := make(chan struct{})
		d.NotifyStartedFunc = func() { close(started) }
		go func() { _ = d.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { _ = d.Shutdown() })
	}
	return s
}

// listenBoth listens on the same port over UDP and TCP.
func listenBoth(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", pc.LocalAddr().String())
		if err == nil {
			return pc, l
		}
		_ = pc.Close() // the port is taken over TCP
	}
	t.Fatal("no port is free over both UDP and TCP")
	return nil, nil
}

func (s *server) set(name, typ string, records ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zone[name+" "+typ] = records
}

func (s *server) fail(name string, rcode int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rcode[name] = rcode
}

func (s *server) count(name, typ string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[name+" "+typ]
}

func (s *server) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gate != nil {
		gate := s.gate
		s.mu.Unlock()
		<-gate
		s.mu.Lock()
	}
	s.total.Add(1)
	name, typ := q.Question[0].Name, dns.TypeToString[q.Question[0].Qtype]
	s.asked[name+" "+typ]++
	m := new(dns.Msg)
	m.SetReply(q)
	m.Rcode = s.rcode[name]
	exists := false
	for key := range s.zone {
		exists = exists || strings.HasPrefix(key, name+" ")
	}
	if !exists && m.Rcode == 0 {
		m.Rcode = dns.RcodeNameError
	}
	if m.Rcode == 0 {
		for owner := name; owner != ""; {
			next := ""
			for _, r := range append(s.zone[owner+" CNAME"], s.zone[owner+" "+typ]...) {
				rr := mustRR(owner + " " + r)
				m.Answer = append(m.Answer, rr)
				if c, ok := rr.(*dns.CNAME); ok {
					next = c.Target
				}
			}
			owner = next
		}
	}
	if len(m.Answer) == 0 {
		m.Ns = []dns.RR{mustRR("test. 5 IN SOA ns.test. admin.test. 1 2 3 4 7")}
	}
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
		m.Truncate(dns.MinMsgSize)
	}
	_ = w.WriteMsg(m)
}

func mustRR(s string) dns.RR {
	rr, err := dns.NewRR(s)
	if err != nil {
		panic(err)
	}
	return rr
}

// clock is a settable clock.
type clock struct{ ns atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(1000, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

func newResolver(s *server, change func(*Config)) (*Resolver, *clock) {
	c := &clock{}
	config := Config{Servers: []string{s.addr}, Ndots: 1, Now: c.now}
	if change != nil {
		change(&config)
	}
	return New(config), c
}

func lookup(t *testing.T, r *Resolver, host string) (string, time.Duration, error) {
	t.Helper()
	records, expires, err := r.Lookup(t.Context(), host)
	var out []string
	for _, rec := range records {
		s := rec.Addr.String()
		if rec.Port != 0 {
			s += fmt.Sprintf(":%d*%d", rec.Port, rec.Weight)
		}
		out = append(out, s)
	}
	if err != nil {
		return "", 0, err
	}
	return strings.Join(out, " "), expires.Sub(r.config.Now()), nil
}

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

func TestCache(t *testing.T) {
	s := startServer(t)
	s.set("a.test.", "A", "10 IN A 10.0.0.1")
	r, c := newResolver(s, nil)
	for range 3 {
		if got, _, err := lookup(t, r, "a.test"); got != "10.0.0.1" {
			t.Fatal(got, err)
		}
	}
	if n := s.count("a.test.", "A"); n != 1 {
		t.Errorf("asked %d times within the TTL", n)
	}
	// Stale while revalidating: the old answer now, the new one soon.
	s.set("a.test.", "A", "10 IN A 10.0.0.2")
	c.advance(11 * time.Second)
	if got, ttl, err := lookup(t, r, "a.test"); got != "10.0.0.1" || ttl != minTTL {
		t.Errorf("expired: %s %s %v", got, ttl, err)
	}
	eventually(t, r, "a.test", "10.0.0.2")

	// The servers fail: the old answer is used until it is too old.
	s.fail("a.test.", dns.RcodeServerFailure)
	c.advance(11 * time.Second)
	for range 3 {
		if got, _, err := lookup(t, r, "a.test"); got != "10.0.0.2" {
			t.Fatal(got, err)
		}
	}
	c.advance(time.Hour)
	if _, _, err := lookup(t, r, "a.test"); err == nil || errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "SERVFAIL") {
		t.Errorf("too old: %v", err)
	}

	// A name that is gone is gone at once.
	s.fail("a.test.", dns.RcodeSuccess)
	c.advance(2 * time.Second)
	if got, _, err := lookup(t, r, "a.test"); got != "10.0.0.2" {
		t.Fatal(got, err)
	}
	s.fail("a.test.", dns.RcodeNameError)
	c.advance(11 * time.Second)
	eventually(t, r, "a.test", "")
}

// eventually waits for a refresh that runs in the background; "" means not
// found.
func eventually(t *testing.T, r *Resolver, host, want string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		got, _, err := lookup(t, r, host)
		if got == want && (want != "" || errors.Is(err, ErrNotFound)) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %q %v, want %q", host, got, err, want)
		}
		<-time.After(time.Millisecond)
	}
}

func TestNegativeCache(t *testing.T) {
	s := startServer(t)
	s.set("noaddr.test.", "TXT", `60 IN TXT "x"`)
	r, c := newResolver(s, nil)
	for _, host := range []string{"none.test", "noaddr.test"} {
		for range 3 {
			var e *Error
			if _, _, err := lookup(t, r, host); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), host) || !errors.As(err, &e) || !e.NotFound() {
				t.Errorf("%s: %v", host, err)
			}
		}
		if n := s.count(host+".", "A"); n != 1 {
			t.Errorf("%s: asked %d times", host, n)
		}
	}
	s.set("none.test.", "A", "60 IN A 10.0.0.1")
	c.advance(6 * time.Second) // the SOA says 5
	if got, _, err := lookup(t, r, "none.test"); got != "10.0.0.1" {
		t.Error(got, err)
	}
	if _, _, err := lookup(t, r, strings.Repeat("x", 70)+".test"); !errors.Is(err, ErrNotFound) {
		t.Errorf("an impossible name: %v", err)
	}
}

func TestOneQuestionForManyCallers(t *testing.T) {
	s := startServer(t)
	s.set("a.test.", "A", "10 IN A 10.0.0.1")
	gate := make(chan struct{})
	s.mu.Lock()
	s.gate = gate
	s.mu.Unlock()
	r, _ := newResolver(s, nil)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if got, _, err := lookup(t, r, "a.test"); got != "10.0.0.1" {
				t.Error(got, err)
			}
		})
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := r.Lookup(gone, "a.test"); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that left: %v", err)
	}
	close(gate)
	wg.Wait()
	if n := s.count("a.test.", "A"); n != 1 {
		t.Errorf("asked %d times", n)
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

func TestCacheIsBounded(t *testing.T) {
	s := startServer(t)
	r, _ := newResolver(s, func(c *Config) { c.MaxEntries = 10 })
	for i := range 50 {
		if _, _, err := lookup(t, r, fmt.Sprintf("n%d.test", i)); !errors.Is(err, ErrNotFound) {
			t.Fatal(err)
		}
	}
	if n := len(r.cache); n > 10 {
		t.Errorf("%d names in the cache", n)
	}
}

func TestSystemConfig(t *testing.T) {
	dir := t.TempDir()
	resolv, hosts := filepath.Join(dir, "resolv.conf"), filepath.Join(dir, "hosts")
	write(t, resolv, []byte("search ns.svc.test svc.test\nnameserver 10.0.0.10\nnameserver 2001:db8::53\noptions ndots:5 timeout:3 attempts:4\n"))
	write(t, hosts, []byte("# local\n127.0.0.1 localhost Box # me\n::1 localhost\nbroken line\n\n"))
	c, err := SystemConfig(resolv, hosts)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(c.Servers, c.Search, c.Ndots, c.Attempts, c.Timeout, c.Hosts)
	want := "[10.0.0.10:53 [2001:db8::53]:53] [ns.svc.test svc.test] 5 4 3s map[box:[127.0.0.1] localhost:[127.0.0.1 ::1]]"
	if got != want {
		t.Errorf("%s", got)
	}
	if c, err := SystemConfig(filepath.Join(dir, "none"), filepath.Join(dir, "none")); err != nil || len(c.Servers) != 0 {
		t.Errorf("absent files: %v %v", c, err)
	}
}

func write(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCandidates(t *testing.T) {
	c := Config{Search: []string{"a.test", "b.test."}, Ndots: 2}
	for name, want := range map[string]string{
		"x":     "x.a.test. x.b.test. x.",
		"x.y":   "x.y.a.test. x.y.b.test. x.y.",
		"x.y.Z": "x.y.z. x.y.z.a.test. x.y.z.b.test.",
		"X.":    "x.",
	} {
		if got := strings.Join(c.candidates(name), " "); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func FuzzParseHosts(f *testing.F) {
	f.Add("127.0.0.1 a b # c\n")
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseHosts(strings.NewReader(s))
		for name, addrs := range m {
			if err == nil && (name != strings.ToLower(name) || len(addrs) == 0) {
				t.Errorf("%q: %v", name, addrs)
			}
		}
	})
}
