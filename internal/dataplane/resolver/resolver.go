// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Record is one address of a name.
type Record struct {
	Addr   netip.Addr
	Port   uint16 // of an SRV record, else 0
	Weight int    // of an SRV record, at least 1; else 0
	Name   string // that an SRV record leads to; else empty
}

// ErrNotFound means that the name does not exist or has no address.
var ErrNotFound = errors.New("name not found")

// Error is a failed look-up.
type Error struct {
	Name string
	Err  error // ErrNotFound, or the last failure of the servers
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("resolving %q: %v", e.Name, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Timeout reports whether no server answered in time (net.Error).
func (e *Error) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.As(e.Err, &t) && t.Timeout()
}

// NotFound reports whether the DNS says that there is no such name, or that it
// has no address.
func (e *Error) NotFound() bool { return errors.Is(e.Err, ErrNotFound) }

// minTTL keeps a record with TTL 0 from being asked for at every request.
const minTTL = time.Second

// staticTTL is how long addresses that never change are said to last.
const staticTTL = time.Hour

// Resolver resolves names. It is safe for concurrent use.
type Resolver struct {
	config Config

	mu    sync.Mutex
	cache map[string]*entry
}

// entry is what is known of a name. done is closed when the first answer is
// there; the fields behind it are guarded by Resolver.mu.
type entry struct {
	done       chan struct{}
	records    []Record
	err        error
	expires    time.Time // when to ask again
	staleUntil time.Time // until when records may be given
	refreshing bool
	last       uint16 // the type of record that had the answer
}

// New returns a resolver.
func New(c Config) *Resolver {
	c.setDefaults()
	return &Resolver{config: c, cache: map[string]*entry{}}
}

// Lookup returns the addresses of host and when they should be asked for again.
// An address stands for itself. The slice is shared: do not change it. The
// error is an *Error, or ctx's.
func (r *Resolver) Lookup(ctx context.Context, host string) ([]Record, time.Time, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []Record{{Addr: addr}}, r.config.Now().Add(staticTTL), nil
	}
	if addrs := r.config.Hosts[canonical(host)]; len(addrs) > 0 {
		records := make([]Record, len(addrs))
		for i, a := range addrs {
			records[i].Addr = a
		}
		return records, r.config.Now().Add(staticTTL), nil
	}
	return r.cached(ctx, host)
}

func (r *Resolver) cached(ctx context.Context, host string) ([]Record, time.Time, error) {
	key := strings.ToLower(host)
	now := r.config.Now()
	r.mu.Lock()
	e := r.cache[key]
	if e != nil && e.known() && !e.usable(now) {
		e = nil
	}
	switch {
	case e == nil:
		r.makeRoom(now)
		e = &entry{done: make(chan struct{})}
		r.cache[key] = e
		go r.fill(key, host, e, 0)
	case e.known() && now.After(e.expires) && !e.refreshing:
		e.refreshing = true
		go r.fill(key, host, e, e.last)
	}
	r.mu.Unlock()
	select {
	case <-e.done:
	case <-ctx.Done():
		return nil, time.Time{}, ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.err != nil {
		return nil, time.Time{}, e.err
	}
	expires := e.expires
	if soon := now.Add(minTTL); expires.Before(soon) {
		expires = soon // an old answer, whose successor is being asked for
	}
	return e.records, expires, nil
}

// known reports whether an answer is there. r.mu is held.
func (e *entry) known() bool {
	select {
	case <-e.done:
		return true
	default:
		return false
	}
}

// usable reports whether the answer may still be given. r.mu is held.
func (e *entry) usable(now time.Time) bool {
	if e.err != nil {
		return now.Before(e.expires)
	}
	return now.Before(e.staleUntil)
}

// fill asks for a name and stores the answer. It runs apart from any caller's
// context, as its answer is for all.
func (r *Resolver) fill(key, host string, e *entry, last uint16) {
	ctx, cancel := context.WithTimeout(context.Background(), r.deadline())
	defer cancel()
	a := r.query(ctx, host, last, 0)
	now := r.config.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	first := !e.known()
	e.refreshing = false
	if a.kind != 0 {
		e.last = a.kind
	}
	e.expires = now.Add(a.ttl)
	// When the servers fail, the old answer stays for as long as it may.
	if first || a.err == nil || errors.Is(a.err, ErrNotFound) {
		e.records, e.err, e.staleUntil = a.records, a.err, e.expires.Add(r.config.StaleTTL)
	}
	if first {
		close(e.done)
	}
}

// deadline bounds one look-up over all servers, candidates and types.
func (r *Resolver) deadline() time.Duration {
	return r.config.Timeout * time.Duration(r.config.Attempts*max(1, len(r.config.Servers))*2)
}

// makeRoom drops what has expired, then anything, when the cache is full. r.mu
// is held.
func (r *Resolver) makeRoom(now time.Time) {
	if len(r.cache) < r.config.MaxEntries {
		return
	}
	for k, e := range r.cache {
		if e.known() && now.After(e.expires) {
			delete(r.cache, k)
		}
	}
	for k, e := range r.cache {
		if len(r.cache) < r.config.MaxEntries {
			return
		}
		if e.known() {
			delete(r.cache, k)
		}
	}
}
