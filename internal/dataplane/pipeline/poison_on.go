// SPDX-License-Identifier: Apache-2.0

//go:build poison

package pipeline

import "sync/atomic"

// guard makes a plugin fail that uses an exchange after it is over.
type guard struct{ over *atomic.Bool }

func (g guard) use() {
	if g.over != nil && g.over.Load() {
		panic("exchange used after it was over") //nolint:forbidigo // what this build is for
	}
}

// Release returns the exchange to use for the next request. The old one is
// never used again, so that whoever kept it is found out.
func (x *Exchange) Release() *Exchange {
	next := NewExchange(x.life)
	next.RequestHeader, next.MatchCaptures = x.RequestHeader, x.MatchCaptures
	next.over = &atomic.Bool{}
	if x.over == nil {
		x.over = &atomic.Bool{}
	}
	x.over.Store(true)
	return next
}
