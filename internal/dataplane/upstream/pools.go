// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"crypto/tls"
	"net/netip"
	"sync"
	"time"
)

// Pools holds the pools of a process by key. It outlives configurations. It is
// safe for concurrent use.
type Pools struct {
	dialer Dialer
	limits Limits
	now    func() time.Time

	mu    sync.RWMutex
	pools map[Key]*Pool
}

// NewPools returns an empty set of pools; now is the clock.
func NewPools(dialer Dialer, limits Limits, now func() time.Time) *Pools {
	return &Pools{dialer: dialer, limits: limits, now: now, pools: map[Key]*Pool{}}
}

// Pool returns the pool of a key, made with config on first use. config is nil
// for plaintext.
func (s *Pools) Pool(key Key, config *tls.Config) *Pool {
	s.mu.RLock()
	p := s.pools[key]
	s.mu.RUnlock()
	if p != nil {
		return p
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.pools[key]; p != nil {
		return p
	}
	p = &Pool{key: key, tls: config, dialer: s.dialer, limits: s.limits, now: s.now}
	s.pools[key] = p
	return p
}

// Retire makes all connections to an address that are open now unfit for
// reuse: idle ones are closed, busy ones when their answer is over.
func (s *Pools) Retire(address netip.AddrPort) {
	for _, p := range s.at(address) {
		p.retire()
	}
}

func (s *Pools) at(address netip.AddrPort) []*Pool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var found []*Pool
	for key, p := range s.pools {
		if key.Address == address {
			found = append(found, p)
		}
	}
	return found
}

// Sweep closes connections that idled past the limit and forgets pools that
// hold none. Callers run it from time to time.
func (s *Pools) Sweep() {
	now := s.now()
	s.mu.Lock()
	all := make([]*Pool, 0, len(s.pools))
	for _, p := range s.pools {
		all = append(all, p)
	}
	s.mu.Unlock()
	for _, p := range all {
		p.closeIdle(func(c *Conn) bool { return now.Sub(c.idleSince) >= p.limits.IdleTimeout })
	}
}

// Close closes all idle connections; connections in use close when given back.
func (s *Pools) Close() {
	s.mu.Lock()
	pools := s.pools
	s.pools = map[Key]*Pool{}
	s.mu.Unlock()
	for _, p := range pools {
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		p.closeIdle(func(*Conn) bool { return true })
	}
}

// Idle returns the number of idle connections.
func (s *Pools) Idle() (n int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, p := range s.pools {
		p.mu.Lock()
		n += len(p.idle)
		p.mu.Unlock()
	}
	return n
}
