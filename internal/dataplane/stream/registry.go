// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"container/list"
	"log/slog"
	"sync"
	"time"
)

// openingShare is which part of the sessions may be such that have not said
// yet what they want (a PROXY header or ClientHello is missing, or the TLS
// handshake is not over): beyond that,
// the one that took longest is cut off. A flood of them then only hurts itself.
const openingShare = 4

// registry holds the TCP sessions. It is safe for concurrent use.
type registry struct {
	limit int

	mu      sync.Mutex
	conns   map[*conn]*list.Element // the place in opening, nil if none
	opening list.List               // of *conn, the oldest first
	emptied *sync.Cond
	closed  bool
}

// add registers a session, unless there are too many.
func (r *registry) add(c *conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || len(r.conns) >= r.limit {
		return false
	}
	if r.conns == nil {
		r.conns = map[*conn]*list.Element{}
	}
	r.conns[c] = nil
	return true
}

// remove forgets a session.
func (r *registry) remove(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leave(c)
	delete(r.conns, c)
	if len(r.conns) == 0 && r.emptied != nil {
		r.emptied.Broadcast()
	}
}

// open notes that the session has yet to say what it wants. When too many have,
// the oldest is returned, to be cut off.
func (r *registry) open(c *conn) (oldest *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns[c] = r.opening.PushBack(c)
	if r.opening.Len() <= max(1, r.limit/openingShare) {
		return nil
	}
	oldest = r.opening.Front().Value.(*conn)
	r.leave(oldest)
	return oldest
}

// opened ends open.
func (r *registry) opened(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leave(c)
}

// leave takes a session out of opening. The caller holds mu.
func (r *registry) leave(c *conn) {
	if at := r.conns[c]; at != nil {
		r.opening.Remove(at)
		r.conns[c] = nil
	}
}

// wait returns when there are no sessions.
func (r *registry) wait() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.emptied == nil {
		r.emptied = sync.NewCond(&r.mu)
	}
	for len(r.conns) > 0 {
		r.emptied.Wait()
	}
}

// closeAll cuts all sessions off and refuses new ones.
func (r *registry) closeAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for c := range r.conns {
		c.abort()
	}
}

// warnings writes a few lines a second: what clients or upstreams cause must
// not fill the log.
type warnings struct {
	mu    sync.Mutex
	since time.Time
	count int
	left  int
}

const warningsPerSecond = 5

func (w *warnings) warn(log *slog.Logger, message string, args ...any) {
	now := time.Now()
	w.mu.Lock()
	left := 0
	if now.Sub(w.since) >= time.Second {
		left = w.left
		w.since, w.count, w.left = now, 0, 0
	}
	w.count++
	if w.count > warningsPerSecond {
		w.left++
		w.mu.Unlock()
		return
	}
	w.mu.Unlock()
	if left > 0 {
		args = append(args, "left_out", left)
	}
	log.Warn(message, args...)
}
