// SPDX-License-Identifier: Apache-2.0

package session

import "time"

// waiter lets one goroutine wait for another. Waking is remembered.
type waiter struct {
	ch    chan struct{}
	timer *time.Timer
}

func newWaiter() waiter { return waiter{ch: make(chan struct{}, 1)} }

func (w *waiter) wake() {
	select {
	case w.ch <- struct{}{}:
	default:
	}
}

func (w *waiter) clear() {
	select {
	case <-w.ch:
	default:
	}
}

// wait returns false when nobody woke it for so long.
func (w *waiter) wait(d time.Duration) bool {
	select {
	case <-w.ch:
		return true
	default:
	}
	if w.timer == nil {
		w.timer = time.NewTimer(d)
	} else {
		w.timer.Reset(d)
	}
	select {
	case <-w.ch:
		w.timer.Stop()
		return true
	case <-w.timer.C:
		return false
	}
}
