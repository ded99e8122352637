// SPDX-License-Identifier: Apache-2.0

package meshscope

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// serve returns what of a change is to be applied now; with released also what
// was held and may be served.
func (g *Gate) serve(d entity.Delta, left []entity.Key, released bool) (out entity.Delta) {
	keys := slices.Clone(left)
	for _, key := range d.Removed {
		if routing(key.Kind) {
			keys = append(keys, key)
		} else {
			out.Removed = append(out.Removed, key)
		}
	}
	for _, e := range d.Put {
		if routing(e.EntityKind()) {
			keys = append(keys, entity.KeyOf(e))
		} else {
			out.Put = append(out.Put, e)
		}
	}
	if released {
		keys = slices.AppendSeq(keys, maps.Keys(g.held))
	}
	decided := group{}
	for _, key := range keys {
		if decided[key] {
			continue
		}
		near := group{}
		near.around(key, false, g.next, g.applied)
		if !g.waitsIn(near) {
			g.emit(&out, key, g.next.all[key])
			continue
		}
		whole := group{}
		whole.around(key, true, g.next, g.applied)
		want := map[entity.Key]entity.Entity{}
		for e := range Hold(g.applied.part(whole), g.next.part(whole), g.waits).All() {
			want[entity.KeyOf(e)] = e
		}
		for key := range whole {
			decided[key] = true
			g.emit(&out, key, want[key])
		}
	}
	return out
}

func (g *Gate) waits(a netip.AddrPort) bool { return g.named[a] > 0 && !g.ready[a] }

// waitsIn reports whether something of a group waits or is held.
func (g *Gate) waitsIn(near group) bool {
	if len(g.held) == 0 && len(g.waiting) == 0 {
		return false
	}
	for key := range near {
		if _, is := g.held[key]; is || key.Kind == entity.KindService && len(g.heldBy[key.ID]) > 0 {
			return true
		}
		if a, ok := addressIn(g.next.all[key]); ok && g.waits(a) {
			return true
		}
	}
	return false
}

// emit adds to a delta that an entity is to be served as e, or no more if that
// is nil.
func (g *Gate) emit(out *entity.Delta, key entity.Key, e entity.Entity) {
	if old := g.applied.all[key]; old != e {
		g.applied.set(key, e)
		if e != nil {
			out.Put = append(out.Put, e)
		} else {
			out.Removed = append(out.Removed, key)
		}
	}
	g.noteHeld(key)
}

// noteHeld notes whether what runs of an entity is not what should.
func (g *Gate) noteHeld(key entity.Key) {
	for _, service := range g.held[key] {
		g.heldBy.set(service, key.ID, false)
	}
	delete(g.held, key)
	if g.applied.all[key] == g.next.all[key] {
		return
	}
	var services []entity.ID
	for _, m := range []*model{g.applied, g.next} {
		if r, ok := m.all[key].(*entity.Route); ok && r.Service != nil {
			services = append(services, r.Service.ID)
			g.heldBy.set(r.Service.ID, key.ID, true)
		}
	}
	g.held[key] = services
}
