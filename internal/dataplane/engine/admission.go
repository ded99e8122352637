// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"math"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// reservedDescriptors are left to what is neither a client's nor an
	// upstream's connection: listeners, files, plugins, the Status API.
	reservedDescriptors = 256
	// connectionsPerCore is Kong's bound of worker_connections; Kong runs
	// a worker on each core.
	connectionsPerCore = 16384
	// candidates is how many connections are looked at to find one that may be
	// ended for a new one.
	candidates = 64
	// headPatience is how long the head of a further request may take before its
	// connection may be ended for a new one.
	headPatience = time.Second
	// lingerPatience is for how long a connection that was answered, and discards
	// what is still sent, counts as one that has earned its place.
	lingerPatience = time.Second
	// refusalLog is how often refused connections are logged.
	refusalLog = 10 * time.Second
)

// connectionLimit returns how many client connections there may be, given the
// setting (0 for "auto") and the limit of descriptors. Each may need another
// one to its upstream, which clients must not be able to use up.
func connectionLimit(setting int, descriptors uint64) int {
	if setting > 0 {
		return setting
	}
	descriptors = min(descriptors, math.MaxInt32)
	left := max(int(descriptors)-reservedDescriptors, int(descriptors)/2)
	return max(1, min(left/2, connectionsPerCore*runtime.GOMAXPROCS(0)))
}

// descriptorLimit is RLIMIT_NOFILE, which the Go runtime has raised as far as
// it may.
func descriptorLimit() uint64 {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 1024
	}
	return limit.Cur
}

// admission decides which connections are taken.
type admission struct {
	limit     int
	addresses addresses

	mu      sync.Mutex
	refused uint64
	logged  time.Time
}

// admit registers a connection. At the limit, one that has waited for a request
// makes room for it; where none does, the new one is refused: those that are
// being served go on.
func (e *Engine) admit(c *conn) bool {
	if !e.hasRoom() {
		e.refused("worker_connections are used up", c)
		return false
	}
	if !e.admission.addresses.enter(c) {
		e.refused("the client's address has too many connections", c)
		return false
	}
	if !e.conns.add(c) {
		e.admission.addresses.leave(c)
		return false
	}
	return true
}

// hasRoom reports whether there is room for one more connection, and makes it
// where it can.
func (e *Engine) hasRoom() bool {
	over := e.conns.staying() - e.admission.limit
	if over < 0 {
		return true
	}
	now := time.Now()
	if !e.conns.makeRoom(now) {
		return false
	}
	if over > 0 {
		// One that was to leave stayed, since its request had come.
		e.conns.makeRoom(now)
	}
	return true
}

// dismiss undoes admit.
func (e *Engine) dismiss(c *conn) {
	e.conns.remove(c)
	c.stay()
	e.admission.addresses.leave(c)
}

// refused counts a connection that was not taken, and says so now and then.
func (e *Engine) refused(reason string, c *conn) {
	a := &e.admission
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refused++
	if now := time.Now(); now.Sub(a.logged) >= refusalLog {
		a.logged = now
		e.log.Warn("connections are refused", "reason", reason, "peer", c.peer, "connections", e.conns.count(),
			"limit", a.limit, "refused", a.refused)
	}
}

// RefusedConnections returns how many client connections were closed at once
// because of a limit.
func (e *Engine) RefusedConnections() uint64 {
	e.admission.mu.Lock()
	defer e.admission.mu.Unlock()
	return e.admission.refused
}

// makeRoom ends a connection that waits for a request, or whose request's head
// is slow to come, or that has its last answer: one that has not sent any
// request yet if it meets such a one, and of several the one that has waited
// longest. It reports whether it found any. A request that has arrived on it is
// answered still.
func (s *connections) makeRoom(now time.Time) bool {
	var chosen *conn
	var best claim
	left := candidates
	first := int(s.turn.Add(1))
	for i := range s.shards {
		shard := &s.shards[(first+i)%connectionShards]
		shard.mu.Lock()
		for c := range shard.conns {
			if left--; left < 0 {
				break
			}
			if its, may := c.claim(now); may && (chosen == nil || its.less(best)) {
				chosen, best = c, its
			}
		}
		shard.mu.Unlock()
		if left < 0 {
			break
		}
	}
	return chosen != nil && chosen.giveWay(now)
}

// claim is what a waiting connection has to keep its place for.
type claim struct {
	proven bool // has sent a request before, and does not linger for long
	waited time.Duration
}

// less reports whether a connection with the claim gives way before another.
func (a claim) less(b claim) bool {
	if a.proven != b.proven {
		return b.proven
	}
	return a.waited > b.waited
}

// claim returns the connection's claim; may is false while it must not be ended
// for another one. Any goroutine may call it.
func (c *conn) claim(now time.Time) (its claim, may bool) {
	c.idleMu.Lock()
	defer c.idleMu.Unlock()
	return c.its(now)
}

func (c *conn) its(now time.Time) (its claim, may bool) {
	if h := c.streams.Load(); h != nil {
		since, idle := h.session.IdleSince()
		return claim{h.session.Opened() > 0, now.Sub(since)}, !c.leaving && idle
	}
	its = claim{c.proven, now.Sub(c.since)}
	if c.lingering {
		// A client that is about to read its answer keeps its place before one
		// that has none to read.
		its.proven = its.waited < lingerPatience
		return its, !c.leaving
	}
	slow := c.heading && (!c.proven || its.waited >= headPatience)
	return its, !c.leaving && (c.idle || slow)
}

// giveWay ends the connection if it still may be.
func (c *conn) giveWay(now time.Time) bool {
	c.idleMu.Lock()
	defer c.idleMu.Unlock()
	if _, may := c.its(now); !may {
		return false
	}
	c.leaving = true
	c.engine.conns.leaving.Add(1)
	if h := c.streams.Load(); h != nil {
		h.session.Drain()
		return true
	}
	_ = c.socket.SetReadDeadline(time.Unix(1, 0))
	return true
}

// stay undoes giveWay.
func (c *conn) stay() {
	c.idleMu.Lock()
	defer c.idleMu.Unlock()
	c.stayLocked()
}

// stayLocked is stay for a caller that holds idleMu.
func (c *conn) stayLocked() {
	if c.leaving {
		c.leaving = false
		c.engine.conns.leaving.Add(-1)
		// The deadline was not set by armRead.
		c.readDeadline = time.Time{}
	}
}

// addresses counts connections by client address. The zero value counts
// nothing.
type addresses struct {
	limit int

	mu    sync.Mutex
	count map[netip.Addr]int
}

// prefixIPv6 is what one client has of IPv6.
const prefixIPv6 = 64

// key is the address that a connection counts for; ok is false for those that
// are not limited: trusted peers stand for many clients.
func (a *addresses) key(c *conn) (key netip.Addr, ok bool) {
	if a.limit <= 0 || c.spec.Mesh || c.engine.settings.trusted(c.peer.Addr()) {
		return netip.Addr{}, false
	}
	key = c.peer.Addr().WithZone("")
	if key.Is6() {
		key = netip.PrefixFrom(key, prefixIPv6).Masked().Addr()
	}
	return key, true
}

func (a *addresses) enter(c *conn) bool {
	key, limited := a.key(c)
	if !limited {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.count == nil {
		a.count = map[netip.Addr]int{}
	}
	if a.count[key] >= a.limit {
		return false
	}
	a.count[key]++
	return true
}

func (a *addresses) leave(c *conn) {
	key, limited := a.key(c)
	if !limited {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.count[key]--; a.count[key] == 0 {
		delete(a.count, key)
	}
}
