// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

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
