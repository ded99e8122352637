// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"crypto/tls"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// maxPools bounds how many pools are kept. Server names may come from clients
// (preserve_host), so that their number is not ours to choose.
const maxPools = 8192

// Pools holds the pools of a process by key. It outlives configurations. It is
// safe for concurrent use.
type Pools struct {
	dialer Dialer
	limits Limits
	now    func() time.Time
	// sessions are the TLS sessions of all pools.
	sessions tls.ClientSessionCache

	mu     sync.RWMutex
	pools  map[Key]*Pool
	closed bool
}

// NewPools returns an empty set of pools; now is the clock.
func NewPools(dialer Dialer, limits Limits, now func() time.Time) *Pools {
	return &Pools{dialer: dialer, limits: limits, now: now, pools: map[Key]*Pool{}, sessions: tls.NewLRUClientSessionCache(maxSessions)}
}

// Pool returns the pool of a key, made with config on first use. config is nil
// for plaintext. The server name of the key overrides that of config. Callers
// that keep a pool ask it whether it is Forgotten. The key is not kept.
func (s *Pools) Pool(key Key, config *tls.Config) *Pool {
	s.mu.RLock()
	p := s.pools[key]
	s.mu.RUnlock()
	if p != nil {
		return p
	}
	// The name may be a view of a request.
	key.ServerName = strings.Clone(key.ServerName)
	if config != nil {
		config = config.Clone()
		config.ServerName = key.ServerName
		if key.Proto == ProtoGRPCS {
			config.NextProtos = []string{alpnHTTP2}
		}
		config.ClientSessionCache = newPeerSessions(s.sessions, key)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.pools[key]; p != nil {
		return p
	}
	p = &Pool{key: key, tls: config, dialer: s.dialer, limits: s.limits, now: s.now}
	p.used.Store(true)
	if s.closed || len(s.pools) >= maxPools {
		// Its connections serve one request each.
		p.forgotten.Store(true)
		return p
	}
	s.pools[key] = p
	return p
}

// Retire makes all connections to an address that are open now unfit for
// reuse: idle ones are closed, busy ones when their answer is over.
func (s *Pools) Retire(address netip.AddrPort) {
	for _, p := range s.all(func(k Key) bool { return k.Address == address }) {
		p.retire()
	}
}

func (s *Pools) all(which func(Key) bool) []*Pool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	found := make([]*Pool, 0, len(s.pools))
	for key, p := range s.pools {
		if which(key) {
			found = append(found, p)
		}
	}
	return found
}

func every(Key) bool { return true }

// Sweep closes connections that idled past the limit, and those that their
// peer closed, and forgets pools that hold none and were not used since the
// last sweep. Callers run it from time to time.
func (s *Pools) Sweep() {
	now := s.now()
	for _, p := range s.all(every) {
		p.closeIdle(func(c *Conn) bool { return !p.usable(c, now) || !c.alive() })
		if p.used.Swap(false) || p.sharedConns() > 0 {
			continue
		}
		s.mu.Lock()
		p.mu.Lock()
		if len(p.idle) == 0 && !p.used.Load() {
			p.forgotten.Store(true)
			delete(s.pools, p.key)
		}
		p.mu.Unlock()
		s.mu.Unlock()
	}
}

// Close closes all idle connections; connections in use close when given back.
func (s *Pools) Close() {
	all := s.all(every)
	s.mu.Lock()
	s.pools, s.closed = map[Key]*Pool{}, true
	s.mu.Unlock()
	for _, p := range all {
		p.forget()
	}
}

// Idle returns the number of idle connections.
func (s *Pools) Idle() (n int) {
	for _, p := range s.all(every) {
		p.mu.Lock()
		n += len(p.idle)
		p.mu.Unlock()
	}
	return n
}

// Len returns the number of pools.
func (s *Pools) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.pools)
}
