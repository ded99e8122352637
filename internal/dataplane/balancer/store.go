// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"crypto/tls"
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// stateRetention is how long the state of an address outlives its last use in a
// configuration, as in Kong's health checker.
const stateRetention = 300 * time.Second

// Store keeps what is known about the addresses of all upstreams. It is safe
// for concurrent use; the zero value is ready.
type Store struct {
	// Now is the clock; nil means time.Now. Set before first use only.
	Now func() time.Time
	// Probe asks addresses for active health checks; nil means that there are
	// none. Set before first use only.
	Probe Probe
	// Certificate returns the certificate of an entity that probes show, nil if
	// there is none; nil means that they show none. Set before first use only.
	Certificate func(entity.ID) *tls.Certificate

	mu     sync.Mutex
	states map[stateKey]*stored
	// unused are the keys whose last user went, in that order. A key may be used
	// again meanwhile, and be in it more than once.
	unused []unusedState
}

type unusedState struct {
	key  stateKey
	left time.Time
}

// stateKey is one address of one target of one upstream.
type stateKey struct {
	upstream string
	host     string
	addr     netip.AddrPort
}

type stored struct {
	state *State
	users int
	left  time.Time // when the last user went
}

func (s *Store) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// acquire returns the state of an address; created tells a new one.
func (s *Store) acquire(key stateKey) (state *State, created bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prune()
	e := s.states[key]
	if e == nil {
		if s.states == nil {
			s.states = map[stateKey]*stored{}
		}
		e = &stored{state: &State{}}
		s.states[key] = e
		created = true
	}
	e.users++
	return e.state, created
}

func (s *Store) release(key stateKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.states[key]; e != nil {
		if e.users--; e.users == 0 {
			e.left = s.now()
			s.unused = append(s.unused, unusedState{key, e.left})
		}
	}
}

// prune forgets what was not used for long. It looks only at what is due.
func (s *Store) prune() {
	limit := s.now().Add(-stateRetention)
	for len(s.unused) > 0 && s.unused[0].left.Before(limit) {
		due := s.unused[0]
		s.unused = s.unused[1:]
		if e := s.states[due.key]; e != nil && e.users == 0 && e.left.Equal(due.left) {
			delete(s.states, due.key)
		}
	}
	if len(s.unused) == 0 {
		s.unused = nil
	}
}

// State is what is known about one address. It is safe for concurrent use.
type State struct {
	active  atomic.Int64  // requests under way
	ewma    atomic.Uint64 // seconds, as float64 bits
	touched atomic.Int64  // when ewma was last updated, nanoseconds
	health  atomic.Uint32 // a Health

	mu       sync.Mutex // guards the counters
	counters [counterKinds]int
}

// latencyDecay is the time in which an old latency loses all but 1/e of its
// weight.
const latencyDecay = 10 * time.Second

// latency returns the decayed latency in seconds, with sample taken in.
func (s *State) latency(sample float64, now time.Time) float64 {
	return decay(math.Float64frombits(s.ewma.Load()), sample, now.UnixNano()-s.touched.Load())
}

func decay(old, sample float64, elapsed int64) float64 {
	w := math.Exp(-float64(max(0, elapsed)) / float64(latencyDecay))
	return old*w + sample*(1-w)
}

// observe takes a latency in.
func (s *State) observe(sample float64, now time.Time) {
	for {
		old := s.ewma.Load()
		next := decay(math.Float64frombits(old), sample, now.UnixNano()-s.touched.Load())
		if s.ewma.CompareAndSwap(old, math.Float64bits(next)) {
			s.touched.Store(now.UnixNano())
			return
		}
	}
}

func (s *State) seedLatency(seconds float64, now time.Time) {
	s.ewma.Store(math.Float64bits(seconds))
	s.touched.Store(now.UnixNano())
}
