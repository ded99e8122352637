// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
)

// retirement closes plugin instances after the last exchange that captured
// them. Each connection publishes the snapshot that it is using; requests pay
// one store for that, and only reloads look through all connections.
type retirement struct {
	engine *Engine
	// scheduled is set while a later look is due: exchanges that end with an
	// old snapshot ask for one, and many ask at once.
	scheduled atomic.Bool

	mu sync.Mutex
	// old are the snapshots that some exchange may still use, in the order of
	// their retirement, with the instances that no later snapshot carries.
	old []retired
	// ending are instances of snapshots that are gone, for whose log phase some
	// tunnel may still live.
	ending []*pipeline.Instance
}

type retired struct {
	snapshot  *snapshot
	instances []*pipeline.Instance
}

// reclaimDelay is how long exchanges that end with an old snapshot are
// collected before their instances are looked at.
const reclaimDelay = 20 * time.Millisecond

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
	// From here on, an exchange that ends with previous asks for a look.
	previous.retired.Store(true)
	r.collect()
}

// soon has collect run in a moment.
func (r *retirement) soon() {
	if !r.scheduled.Swap(true) {
		time.AfterFunc(reclaimDelay, func() {
			r.scheduled.Store(false)
			r.collect()
		})
	}
}

// collect closes what nobody uses any more. The instances that end with a
// snapshot may be carried by an earlier one that is still in use, so the order
// of retirement is kept.
func (r *retirement) collect() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.old) == 0 && len(r.ending) == 0 {
		return
	}
	snapshots, instances := r.inUse()
	free := 0
	for free < len(r.old) && !snapshots[r.old[free].snapshot] {
		r.ending = append(r.ending, r.old[free].instances...)
		r.old[free].snapshot.close()
		free++
	}
	r.old = slices.Delete(r.old, 0, free)
	r.ending = slices.DeleteFunc(r.ending, func(in *pipeline.Instance) bool {
		if instances[in] {
			return false
		}
		r.close(in)
		return true
	})
}

// inUse returns what connections publish. A tunnel publishes its instances
// before it lets its snapshot go, so a connection's snapshot is read first.
func (r *retirement) inUse() (map[*snapshot]bool, map[*pipeline.Instance]bool) {
	snapshots, instances := map[*snapshot]bool{}, map[*pipeline.Instance]bool{}
	note := func(c *conn) {
		if s := c.using.Load(); s != nil {
			snapshots[s] = true
		}
		if picked := c.tunnelling.Load(); picked != nil {
			for _, in := range *picked {
				instances[in] = true
			}
		}
	}
	r.engine.conns.each(note)
	r.engine.streams.each(note)
	return snapshots, instances
}

// flush closes all instances, when no exchange is left.
func (r *retirement) flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range r.old {
		r.ending = append(r.ending, o.instances...)
		o.snapshot.close()
	}
	current := r.engine.current.Load()
	for _, in := range current.instances {
		r.ending = append(r.ending, in)
	}
	current.close()
	for _, in := range r.ending {
		r.close(in)
	}
	r.old, r.ending = nil, nil
}

func (r *retirement) close(in *pipeline.Instance) {
	if in.Phases.Close == nil {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			r.engine.log.Error("plugin failed", "plugin", in.Plugin.Name, "phase", "close", "error", v)
		}
	}()
	in.Phases.Close()
}
