// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

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

// publish makes next the running configuration.
func (e *Engine) publish(previous, next *snapshot) {
	e.current.Store(next)
	e.certs.Use(next.certs)
	e.retiring.retire(previous, next)
}

// discard gives back what a snapshot that will not run does not share with the
// running one.
func (e *Engine) discard(running, dropped *snapshot) {
	for id, in := range dropped.instances {
		if running.instances[id] != in {
			e.retiring.close(in)
		}
	}
	dropped.close()
}
