// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Update makes a change of the running configuration and returns everything
// that cannot run then, not only what is new. Its cost depends on the change
// and on what depends on that. Requests under way keep the configuration they
// started with.
func (e *Engine) Update(d entity.Delta) []pipeline.Rejection {
	e.applying.Lock()
	defer e.applying.Unlock()
	previous := e.current.Load()
	next := previous
	if !d.Empty() {
		next = e.change(previous, d, nil)
		e.publish(previous, next)
	}
	return next.rejections(nil)
}

// ApplyWhole is Apply for a configuration that counts as a whole: when any of
// it cannot run, nothing changes.
func (e *Engine) ApplyWhole(set *entity.Set) []pipeline.Rejection {
	e.applying.Lock()
	defer e.applying.Unlock()
	previous := e.current.Load()
	next, rejected := e.build(previous, set)
	if len(rejected) > 0 {
		e.discard(previous, next)
		return rejected
	}
	e.publish(previous, next)
	return nil
}

// build makes a snapshot of a set. What previous, which may be nil, holds with
// the same content is carried over. Entities that cannot run are reported;
// what depends on them answers an error.
func (e *Engine) build(previous *snapshot, set *entity.Set) (*snapshot, []pipeline.Rejection) {
	if previous == nil {
		previous = emptySnapshot(e.settings.RouterFlavor)
	}
	d := previous.difference(set)
	next := previous
	if !d.Empty() {
		next = e.change(previous, d.Delta, d.order)
	}
	return next, append(next.rejections(set), d.twice...)
}

// publish makes next the running configuration.
func (e *Engine) publish(previous, next *snapshot) {
	if next == previous {
		return
	}
	gone, outdated := next.displaced, next.outdated
	next.made, next.displaced = holdings{}, holdings{}
	e.current.Store(next)
	e.certs.Use(next.certs)
	e.retiring.retire(previous, gone)
	if outdated {
		e.retiring.closing.add(next.forgetOutdated)
	}
}

// discard gives back what a snapshot that will not run does not share with the
// running one.
func (e *Engine) discard(running, dropped *snapshot) {
	if dropped != running {
		e.retiring.close(dropped.made)
	}
}
