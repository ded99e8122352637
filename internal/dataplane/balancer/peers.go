// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sort"
	"sync/atomic"
	"time"
)

// Peer is one address of one target. Its identity is the pointer.
type Peer struct {
	Target string         // host:port as configured, the port filled in
	Host   string         // what Host and SNI are made of: the target's host, or that of its SRV record with use_srv_name
	Addr   netip.AddrPort // where to connect
	Weight int

	key     stateKey
	state   *State
	checked bool   // health counts
	session string // what a sticky session's cookie holds
}

// Health returns what the health checks say about the peer.
func (p *Peer) Health() Health { return Health(p.state.health.Load()) }

// Active returns the number of requests under way.
func (p *Peer) Active() int64 { return p.state.active.Load() }

func (p *Peer) available() bool { return p.Weight > 0 && p.well() }

func (p *Peer) well() bool { return !p.checked || p.Health().Available() }

// peerSet is the peers of a balancer at one time. It is immutable but for the
// counter.
type peerSet struct {
	peers []*Peer
	ends  []uint64 // running sums of the reduced weights
	total uint64
	step  uint64
	wheel *wheel // for consistent hashing
	// sessions are the peers by what cookies hold, for sticky sessions.
	sessions map[string]*Peer
	next     atomic.Uint64
}

func newPeerSet(peers []*Peer, algorithm string, slots int) *peerSet {
	s := &peerSet{peers: peers, ends: make([]uint64, len(peers))}
	divisor := uint64(0)
	for _, p := range peers {
		divisor = gcd(divisor, uint64(p.Weight))
	}
	for i, p := range peers {
		if p.Weight > 0 {
			s.total += uint64(p.Weight) / divisor
		}
		s.ends[i] = s.total
	}
	s.step = goldenStep(s.total)
	if s.total > 0 {
		s.next.Store(rand.Uint64N(s.total))
	}
	switch algorithm {
	case ConsistentHashing:
		s.wheel = newWheel(peers, slots)
	case StickySessions:
		s.sessions = make(map[string]*Peer, len(peers))
		for _, p := range peers {
			s.sessions[p.session] = p
		}
	}
	return s
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// goldenStep returns a number near total divided by the golden ratio that has
// no divisor in common with it. Walking a ring of total places in such steps
// visits every place once per round and spreads the visits of every stretch
// evenly: a weighted round-robin without a stored wheel.
func goldenStep(total uint64) uint64 {
	step := max(1, uint64(float64(total)*0.6180339887))
	for gcd(total, step) > 1 {
		step++
	}
	return step
}

// turn returns the peer whose turn it is in the weighted round-robin.
func (s *peerSet) turn() *Peer {
	n := s.next.Add(1) % s.total
	hi, lo := bits.Mul64(n, s.step)
	_, place := bits.Div64(hi, lo, s.total)
	return s.peers[sort.Search(len(s.ends), func(i int) bool { return s.ends[i] > place })]
}

// roundRobin takes turns until one falls to an eligible peer. A long run of
// misses means that few are left: then these take turns among themselves.
func (s *peerSet) roundRobin(tried []*Peer) *Peer {
	if s.total == 0 {
		return nil
	}
	for range 2 * len(s.peers) {
		if p := s.turn(); p.available() && !slices.Contains(tried, p) {
			return p
		}
	}
	var sum uint64
	for _, p := range s.peers {
		if p.available() && !slices.Contains(tried, p) {
			sum += uint64(p.Weight)
		}
	}
	if sum == 0 {
		return nil
	}
	n := rand.Uint64N(sum)
	for _, p := range s.peers {
		if p.available() && !slices.Contains(tried, p) {
			if n < uint64(p.Weight) {
				return p
			}
			n -= uint64(p.Weight)
		}
	}
	return nil
}

// leastConnections returns the eligible peer with the lowest (active+1)/weight.
func (s *peerSet) leastConnections(tried []*Peer) *Peer {
	var best *Peer
	var bestScore float64
	offset := int(s.next.Add(1) % uint64(len(s.peers))) // ties take turns
	for i := range s.peers {
		p := s.peers[(i+offset)%len(s.peers)]
		if !p.available() || slices.Contains(tried, p) {
			continue
		}
		if score := float64(p.Active()+1) / float64(p.Weight); best == nil || score < bestScore {
			best, bestScore = p, score
		}
	}
	return best
}

// latency returns the better of two eligible peers picked at random: the lower
// decayed latency by weight.
func (s *peerSet) latency(tried []*Peer, now time.Time) *Peer {
	a := s.random(tried, nil)
	if a == nil {
		return nil
	}
	b := s.random(tried, a)
	if b == nil || a.latencyScore(now) <= b.latencyScore(now) {
		return a
	}
	return b
}

func (p *Peer) latencyScore(now time.Time) float64 {
	return p.state.latency(0, now) / float64(p.Weight)
}

// random returns any eligible peer but other.
func (s *peerSet) random(tried []*Peer, other *Peer) *Peer {
	offset := rand.IntN(len(s.peers))
	for i := range s.peers {
		p := s.peers[(i+offset)%len(s.peers)]
		if p != other && p.available() && !slices.Contains(tried, p) {
			return p
		}
	}
	return nil
}

// hashed returns the eligible peer for the key.
func (s *peerSet) hashed(key string, tried []*Peer) *Peer {
	i := s.wheel.pick(key, func(i int32) bool {
		p := s.peers[i]
		return p.available() && !slices.Contains(tried, p)
	})
	if i < 0 {
		return nil
	}
	return s.peers[i]
}

// share returns the percentage of the weight that is available.
func (s *peerSet) share() float64 {
	available, total := 0, 0
	for _, p := range s.peers {
		total += p.Weight
		if p.available() {
			available += p.Weight
		}
	}
	if total == 0 {
		return 0
	}
	return float64(available) / float64(total) * 100
}
