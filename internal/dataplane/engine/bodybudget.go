// SPDX-License-Identifier: Apache-2.0

package engine

import "sync/atomic"

// budget bounds how many bytes of request bodies the process holds in memory
// for request_buffering. It is safe for concurrent use.
type budget struct {
	limit int64
	used  atomic.Int64
}

// take reserves n bytes if they are left.
func (b *budget) take(n int64) bool {
	if b.used.Add(n) <= b.limit {
		return true
	}
	b.used.Add(-n)
	return false
}

// force reserves n bytes whether they are left or not.
func (b *budget) force(n int64) { b.used.Add(n) }

// give returns n bytes.
func (b *budget) give(n int64) { b.used.Add(-n) }

// budgetStep is how much an exchange reserves at a time. What fits the buffer
// that bodies are read through anyway is not counted.
const budgetStep = bodyBuffer

// reserve makes room for n more bytes of the body in stash. It returns false
// when the process holds as many as it may, unless the bytes must be held.
func (ex *exchange) reserve(n int, must bool) bool {
	need := int64(len(ex.stash)+n) - budgetStep - ex.reserved
	if need <= 0 {
		return true
	}
	need = (need + budgetStep - 1) / budgetStep * budgetStep
	if must {
		ex.engine.buffering.force(need)
	} else if !ex.engine.buffering.take(need) {
		return false
	}
	ex.reserved += need
	return true
}

// unreserve gives back what the exchange reserved.
func (ex *exchange) unreserve() {
	if ex.reserved > 0 {
		ex.engine.buffering.give(ex.reserved)
		ex.reserved = 0
	}
}
