// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"fmt"
	"net"
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
