// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"context"
	"time"
)

// CoalesceFor is how long a burst of changes is gathered at most.
const CoalesceFor = 10 * time.Millisecond

// Burst decides when changes are handed on: the first one at once, what follows
// closely together with what comes within the window. It is a value without a
// clock of its own. The zero Burst has seen nothing.
type Burst struct {
	last    time.Time // when changes were handed on last
	pending bool
}

// Changed notes a change and returns when to hand it on.
func (b *Burst) Changed(now time.Time) time.Time {
	b.pending = true
	if due := b.last.Add(CoalesceFor); due.After(now) {
		return due
	}
	return now
}

// Take reports whether there is anything to hand on now, and notes that it was.
func (b *Burst) Take(now time.Time) bool {
	if !b.pending || now.Before(b.last.Add(CoalesceFor)) {
		return false
	}
	b.pending, b.last = false, now
	return true
}

// Coalesce calls publish after changes, as Burst decides, until ctx ends or
// changes is closed. It is one goroutine: publish is never called twice at once.
func Coalesce(ctx context.Context, changes <-chan struct{}, publish func()) {
	var b Burst
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-changes:
			if !ok {
				return
			}
			now := time.Now()
			timer.Reset(b.Changed(now).Sub(now))
		case <-timer.C:
		}
		if b.Take(time.Now()) {
			publish()
		}
	}
}
