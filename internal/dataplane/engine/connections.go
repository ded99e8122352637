// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"sync"
	"sync/atomic"
)

// connectionShards keeps adding and removing connections from contending.
const connectionShards = 32

// connections is the set of open client connections.
type connections struct {
	shards [connectionShards]connectionShard
	size   atomic.Int64
	// handled is how many there ever were.
	handled atomic.Uint64
	// leaving is how many of them are to end for others.
	leaving atomic.Int64
	// turn is where the next search begins.
	turn atomic.Uint32
}

type connectionShard struct {
	mu     sync.Mutex
	conns  map[*conn]struct{}
	closed bool
}

func (s *connections) init() {
	for i := range s.shards {
		s.shards[i].conns = map[*conn]struct{}{}
	}
}

func (s *connections) shard(c *conn) *connectionShard {
	return &s.shards[c.peer.Port()%connectionShards]
}

// add registers a connection; it returns false once all were closed.
func (s *connections) add(c *conn) bool {
	shard := s.shard(c)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if shard.closed {
		return false
	}
	shard.conns[c] = struct{}{}
	s.size.Add(1)
	s.handled.Add(1)
	return true
}

func (s *connections) remove(c *conn) {
	shard := s.shard(c)
	shard.mu.Lock()
	if _, ok := shard.conns[c]; ok {
		delete(shard.conns, c)
		s.size.Add(-1)
	}
	shard.mu.Unlock()
}

// each calls visit for every connection, which must not wait.
func (s *connections) each(visit func(*conn)) {
	for i := range s.shards {
		shard := &s.shards[i]
		shard.mu.Lock()
		for c := range shard.conns {
			visit(c)
		}
		shard.mu.Unlock()
	}
}

// count returns the number of open connections.
func (s *connections) count() int { return int(s.size.Load()) }

// staying returns the number of open connections without those that are to end
// for others.
func (s *connections) staying() int { return int(s.size.Load() - s.leaving.Load()) }

// working reports whether any connection is doing something else than waiting
// for a request.
func (s *connections) working() bool {
	working := false
	s.each(func(c *conn) { working = working || !c.waits() })
	return working
}

// closeAll closes every connection, with the upstream connection that it uses,
// and refuses new ones.
func (s *connections) closeAll() {
	for i := range s.shards {
		s.shards[i].mu.Lock()
		s.shards[i].closed = true
		s.shards[i].mu.Unlock()
	}
	s.each(func(c *conn) {
		c.abort()
		c.socket.Cut()
	})
}
