// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"sync"
	"time"
)

// Lifetime is the context of one exchange after another on a connection. The
// context is made on first use, so that exchanges in which nobody waits pay
// nothing for it. It is safe for concurrent use: who notices that the client
// left is not the goroutine that serves it.
type Lifetime struct {
	parent context.Context //nolint:containedctx // descending from it is what a Lifetime is for

	mu     sync.Mutex
	ctx    context.Context //nolint:containedctx // the context of the exchange under way
	cancel context.CancelFunc
}

// NewLifetime returns a Lifetime whose contexts descend from parent.
func NewLifetime(parent context.Context) *Lifetime {
	return &Lifetime{parent: parent}
}

// Context returns the context of the exchange under way.
func (l *Lifetime) Context() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begin()
	return l.ctx
}

// begin makes the context if there is none. The caller holds mu.
func (l *Lifetime) begin() {
	if l.ctx == nil {
		l.ctx, l.cancel = context.WithCancel(l.parent)
	}
}

// Cancel ends the exchange under way: its context, asked for before or after,
// is over.
func (l *Lifetime) Cancel() {
	l.mu.Lock()
	defer l.mu.Unlock()
	// In one step: the exchange may be ending.
	l.begin()
	l.cancel()
}

// End ends the context of the exchange if there is one, and makes ready for
// the next exchange.
func (l *Lifetime) End() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cancel != nil {
		l.cancel()
	}
	l.ctx, l.cancel = nil, nil
}

// Lazy returns the context of the exchange in a form that costs nothing until
// somebody waits for its end. It must not be kept beyond the exchange.
func (l *Lifetime) Lazy() context.Context { return (*lazy)(l) }

// lazy makes the context when it is asked for more than a deadline.
type lazy Lifetime

// Deadline implements context.Context.
func (l *lazy) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context.
func (l *lazy) Done() <-chan struct{} { return (*Lifetime)(l).Context().Done() }

// Err implements context.Context.
func (l *lazy) Err() error { return (*Lifetime)(l).Context().Err() }

// Value implements context.Context.
func (l *lazy) Value(key any) any { return l.parent.Value(key) }
