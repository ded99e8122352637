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
	closing   closing

	mu sync.Mutex
	// old are the snapshots that some exchange may still use, in the order of
	// their retirement, with what no later snapshot carries.
	old []retired
	// ending are instances of snapshots that are gone, for whose log phase some
	// tunnel may still live.
	ending []*pipeline.Instance
}

type retired struct {
	snapshot *snapshot
	gone     holdings
}

// reclaimDelay is how long exchanges that end with an old snapshot are
// collected before their instances are looked at.
const reclaimDelay = 20 * time.Millisecond

// retire notes that previous was replaced, and what its successor does not
// have.
func (r *retirement) retire(previous *snapshot, gone holdings) {
	r.mu.Lock()
	r.old = append(r.old, retired{previous, gone})
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

// collect has closed what nobody uses any more. The instances that end with a
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
		r.ending = append(r.ending, r.old[free].gone.instances...)
		r.close(holdings{balancers: r.old[free].gone.balancers})
		free++
	}
	r.old = slices.Delete(r.old, 0, free)
	var over holdings
	r.ending = slices.DeleteFunc(r.ending, func(in *pipeline.Instance) bool {
		if !instances[in] {
			over.instances = append(over.instances, in)
		}
		return !instances[in]
	})
	r.close(over)
}

// inUse returns what connections publish. A tunnel publishes its instances
// before it lets its snapshot go, so a connection's snapshot is read first.
func (r *retirement) inUse() (map[*snapshot]bool, map[*pipeline.Instance]bool) {
	snapshots, instances := map[*snapshot]bool{}, map[*pipeline.Instance]bool{}
	r.engine.eachHandle(func(h *handle) {
		if s := h.using.Load(); s != nil {
			snapshots[s] = true
		}
		if picked := h.tunnelling.Load(); picked != nil {
			for _, in := range *picked {
				instances[in] = true
			}
		}
	})
	return snapshots, instances
}

// flush closes everything, when no exchange is left.
func (r *retirement) flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := holdings{instances: r.ending}
	for _, o := range r.old {
		all.add(o.gone)
	}
	current := r.engine.current.Load()
	all.add(current.holdings())
	r.old, r.ending = nil, nil
	r.close(all)
	r.closing.add(current.chosen.close)
	r.closing.wait()
}

func (h *holdings) add(other holdings) {
	h.instances = append(h.instances, other.instances...)
	h.balancers = append(h.balancers, other.balancers...)
}

// holdings returns all that the snapshot must have closed one day.
func (s *snapshot) holdings() (all holdings) {
	for in := range s.plans.Each {
		all.instances = append(all.instances, in)
	}
	for _, u := range s.upstreams.All() {
		if u.usable() {
			all.balancers = append(all.balancers, u.balancer)
		}
	}
	for _, st := range s.services.All() {
		if st.own != nil {
			all.balancers = append(all.balancers, st.own)
		}
	}
	return all
}

// close has all closed in the background.
func (r *retirement) close(all holdings) {
	var each []func()
	for _, in := range all.instances {
		if in.Phases.Close != nil {
			each = append(each, func() { r.closeInstance(in) })
		}
	}
	if len(all.balancers) > 0 {
		each = append(each, func() {
			for _, b := range all.balancers {
				b.Close()
			}
		})
	}
	r.closing.add(each...)
}

func (r *retirement) closeInstance(in *pipeline.Instance) {
	defer func() {
		if v := recover(); v != nil {
			r.engine.log.Error("plugin failed", "plugin", in.Plugin.Name, "phase", "close", "error", v)
		}
	}()
	in.Phases.Close()
}
