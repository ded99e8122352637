// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"hash/maphash"
	"math/bits"
	"strings"
	"sync"
	"time"
)

const (
	shards = 64
	// sweepEvery is how often, in seconds, a shard that takes in new keys looks
	// for counters whose windows are over.
	sweepEvery = 60
	// evictionSample is how many counters are compared when a full shard needs room.
	evictionSample = 16
)

// Local counts in this process. It is bounded: when it is full, counters whose
// windows end soonest make room. It is safe for concurrent use.
type Local struct {
	seed     maphash.Seed
	perShard int
	shards   [shards]shard
}

type shard struct {
	mu sync.Mutex
	// counters are by the hash of their key.
	counters  map[uint64]*counter
	size      int
	nextSweep int64
}

// counter holds the windows of one key. The periods of all instances with the
// same key are counted together, each under its own index.
type counter struct {
	key    Key
	next   *counter // another one whose key has the same hash
	starts Windows
	counts Usage
	until  int64 // when the last window is over, in seconds since the epoch
}

// Windows holds the start of the present window of each period.
type Windows [periods]int64

// NewLocal returns a store for at most capacity keys.
func NewLocal(capacity int) *Local {
	l := &Local{seed: maphash.MakeSeed(), perShard: max(capacity/shards, 1)}
	for i := range l.shards {
		l.shards[i].counters = map[uint64]*counter{}
	}
	return l
}

// Take counts 1 in each period of limits unless one of them is used up. It
// returns what was counted before, and whether the request was counted.
func (l *Local) Take(k Key, limits *Limits, now time.Time) (Usage, bool) {
	s, hash := l.shard(&k)
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.find(hash, &k)
	var used Usage
	if c != nil {
		c.roll(limits, now)
		used = c.counts
	}
	if used.exhausts(limits) {
		return used, false
	}
	s.add(hash, &k, c, limits, now, 1, l.perShard)
	return used, true
}

// Usage returns what was counted in the present windows of limits.
func (l *Local) Usage(k Key, limits *Limits, now time.Time) Usage {
	s, hash := l.shard(&k)
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.find(hash, &k)
	if c == nil {
		return Usage{}
	}
	c.roll(limits, now)
	return c.counts
}

// Add counts n in each period of limits.
func (l *Local) Add(k Key, limits *Limits, now time.Time, n float64) {
	s, hash := l.shard(&k)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(hash, &k, s.find(hash, &k), limits, now, n, l.perShard)
}

// Len returns the number of keys.
func (l *Local) Len() int {
	n := 0
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		n += s.size
		s.mu.Unlock()
	}
	return n
}

// shard returns where a key is, and its hash.
func (l *Local) shard(k *Key) (*shard, uint64) {
	hash := bits.RotateLeft64(maphash.String(l.seed, k.Scope), 1)
	if k.Name != "" {
		hash = bits.RotateLeft64(hash^maphash.String(l.seed, k.Name), 1)
	}
	if k.ID != "" {
		hash ^= maphash.String(l.seed, k.ID)
	} else {
		hash ^= maphash.Comparable(l.seed, k.Addr)
	}
	return &l.shards[hash%shards], hash
}

func (s *shard) find(hash uint64, k *Key) *counter {
	c := s.counters[hash]
	for c != nil && c.key != *k {
		c = c.next
	}
	return c
}

func (s *shard) add(hash uint64, k *Key, c *counter, limits *Limits, now time.Time, n float64, capacity int) {
	if c == nil {
		s.makeRoom(now.Unix(), capacity)
		c = &counter{key: *k, next: s.counters[hash]}
		c.key.ID = strings.Clone(k.ID)
		s.counters[hash] = c
		s.size++
	}
	c.roll(limits, now)
	for p, limit := range limits {
		if limit > 0 {
			c.counts[p] += n
		}
	}
}

// roll begins new windows where the counter's are over. A clock that steps
// back does not bring an old window's count back.
func (c *counter) roll(limits *Limits, now time.Time) {
	for p, limit := range limits {
		if limit <= 0 {
			continue
		}
		period := Period(p)
		if start := period.Start(now); start != c.starts[p] {
			c.starts[p], c.counts[p] = start, 0
			c.until = max(c.until, period.End(start))
		}
	}
}

// makeRoom drops counters whose windows are over, at most once a minute, and
// one more if the shard is still full.
func (s *shard) makeRoom(now int64, capacity int) {
	if now >= s.nextSweep || now < s.nextSweep-sweepEvery {
		s.nextSweep = now + sweepEvery
		for hash, c := range s.counters {
			if c.until <= now {
				s.drop(hash)
			}
		}
	}
	if s.size < capacity {
		return
	}
	var victim uint64
	var worst *counter
	looked := 0
	for hash, c := range s.counters { // iteration starts at random
		if worst == nil || c.until < worst.until || c.until == worst.until && c.total() < worst.total() {
			victim, worst = hash, c
		}
		if looked++; looked == evictionSample {
			break
		}
	}
	s.drop(victim)
}

// drop takes out the newest counter with a hash.
func (s *shard) drop(hash uint64) {
	c := s.counters[hash]
	if c == nil {
		return
	}
	s.size--
	if c.next == nil {
		delete(s.counters, hash)
	} else {
		s.counters[hash] = c.next
	}
}

func (c *counter) total() float64 {
	sum := 0.0
	for _, n := range c.counts {
		sum += n
	}
	return sum
}
