// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"sync/atomic"

	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/dataplane/upstream"
)

// handle is what other goroutines touch of an exchange: who watches clients,
// swaps configurations or ends the process.
type handle struct {
	engine *Engine
	life   *pipeline.Lifetime
	// using is the snapshot of the exchange under way, nil between exchanges;
	// tunnelling the instances whose log phase a tunnel still owes.
	using      atomic.Pointer[snapshot]
	tunnelling atomic.Pointer[[]*pipeline.Instance]
	// up ends the upstream stream in use. Who ends the exchange from outside
	// takes it out and aborts it; the exchange takes it out before it releases
	// the stream.
	up       atomic.Pointer[upstream.Aborter]
	departed atomic.Bool
}

// hold publishes that the exchange uses the running snapshot, and returns it.
// Published before it is used: a reload that does not see the mark has swapped
// first, and then the second look finds the newer snapshot.
func (h *handle) hold() *snapshot {
	for {
		s := h.engine.current.Load()
		h.using.Store(s)
		if h.engine.current.Load() == s {
			return s
		}
	}
}

// let ends hold.
func (h *handle) let(s *snapshot) {
	h.using.Store(nil)
	if s.retired.Load() {
		h.engine.retiring.soon()
	}
}

// holdInstances trades the snapshot for the instances that the exchange
// picked: a tunnel outlives many configurations and needs only these.
func (h *handle) holdInstances(s *snapshot, picked []*pipeline.Instance) {
	picked = slices.Clone(picked)
	h.tunnelling.Store(&picked)
	h.let(s)
}

// letInstances ends holdInstances.
func (h *handle) letInstances() {
	h.tunnelling.Store(nil)
	h.engine.retiring.soon()
}

// leave ends the exchange because its client is gone. It does not wait.
func (h *handle) leave() {
	if !h.departed.Swap(true) {
		h.abort()
	}
}

// abort ends the exchange under way from outside. It does not wait.
func (h *handle) abort() {
	h.life.Cancel()
	if up := h.up.Swap(nil); up != nil {
		up.Abort()
	}
}

// over reports whether nobody waits for an answer any more.
func (h *handle) over() bool { return h.departed.Load() || h.engine.closing.Load() }

// drop lets go of everything, at the end of the last exchange.
func (h *handle) drop() {
	if up := h.up.Swap(nil); up != nil {
		up.Abort()
	}
	h.life.End()
	h.tunnelling.Store(nil)
	if s := h.using.Load(); s != nil {
		h.let(s)
	}
}
