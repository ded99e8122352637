// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"sync"

	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
)

// retirement closes plugin instances after the last exchange that captured
// them. Each connection publishes the snapshot that it is using; requests pay
// one store for that, and only a reload looks through all connections.
type retirement struct {
	engine *Engine
	mu     sync.Mutex
	// old are the snapshots that some exchange may still use, with the
	// instances that no later snapshot carries.
	old []retired
}

type retired struct {
	snapshot  *snapshot
	instances []*pipeline.Instance
}

// retire notes which instances end with previous.
func (r *retirement) retire(previous, next *snapshot) {
	var ending []*pipeline.Instance
	for id, in := range previous.instances {
		if next.instances[id] != in {
			ending = append(ending, in)
		}
	}
	r.mu.Lock()
	r.old = append(r.old, retired{previous, ending})
	r.mu.Unlock()
	// From here on, an exchange that ends with previous calls collect.
	previous.retired.Store(true)
	r.collect()
}

// collect closes the instances of snapshots that nobody uses any more. Those
// of a snapshot may be carried by an earlier one that is still in use, so the
// order of retirement is kept.
func (r *retirement) collect() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.old) == 0 {
		return
	}
	used := map[*snapshot]bool{}
	r.engine.conns.each(func(c *conn) {
		if s := c.using.Load(); s != nil {
			used[s] = true
		}
	})
	free := 0
	for free < len(r.old) && !used[r.old[free].snapshot] {
		closeInstances(r.old[free].instances)
		for _, b := range r.old[free].snapshot.balancers {
			b.Close()
		}
		free++
	}
	r.old = append(r.old[:0], r.old[free:]...)
}

// flush closes all instances, when no exchange is left.
func (r *retirement) flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range r.old {
		closeInstances(o.instances)
	}
	r.old = nil
	for _, in := range r.engine.current.Load().instances {
		closeInstances([]*pipeline.Instance{in})
	}
}

func closeInstances(instances []*pipeline.Instance) {
	for _, in := range instances {
		if in.Phases.Close != nil {
			in.Phases.Close()
		}
	}
}

// reclaim is called by an exchange whose snapshot was retired meanwhile.
func (e *Engine) reclaim() { e.retiring.collect() }
