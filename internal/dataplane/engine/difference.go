// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"iter"
	"reflect"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// difference is what changes from a snapshot to a whole set.
type difference struct {
	entity.Delta
	// order are the places of entities, where they are not 0.
	order map[entity.Key]int
	// twice are the entities whose id another one of the set has.
	twice []pipeline.Rejection
}

// difference compares entities by content: a file that is read again yields
// new ones. It goes through the whole set.
func (s *snapshot) difference(set *entity.Set) difference {
	d := difference{order: places(set)}
	seen := make(map[entity.Key]bool, set.Len())
	for e := range set.All() {
		key := entity.KeyOf(e)
		if key.Kind == entity.KindVault {
			continue // references are resolved before they get here
		}
		if seen[key] {
			d.twice = append(d.twice, pipeline.Rejection{
				Key: key, Name: string(key.ID), Field: "id", Reason: fmt.Sprintf("two %s have the same id; give each its own", key.Kind),
			})
			continue
		}
		seen[key] = true
		held := s.held(key)
		if held == nil || held != e && !reflect.DeepEqual(held, e) || s.orders.At(key) != d.order[key] {
			d.Put = append(d.Put, e)
		}
	}
	for e := range s.all() {
		if key := entity.KeyOf(e); !seen[key] {
			d.Removed = append(d.Removed, key)
		}
	}
	return d
}

// places returns the places of entities of which the order matters, among those
// with which they compete, where they are not 0.
func places(set *entity.Set) map[entity.Key]int {
	out := map[entity.Key]int{}
	next := map[string]int{}
	place := func(e entity.Entity, among ...any) {
		group := string(e.EntityKind()) + fmt.Sprint(among...)
		if n := next[group]; n > 0 {
			out[entity.KeyOf(e)] = n
		}
		next[group]++
	}
	for _, p := range set.Plugins {
		place(p, p.Name, "\x00", idOf(p.Route), "\x00", idOf(p.Service), "\x00", idOf(p.Consumer), "\x00", idOf(p.ConsumerGroup))
	}
	for _, t := range set.Targets {
		place(t, idOf(t.Upstream))
	}
	for _, c := range set.Credentials {
		place(c, c.Type, "\x00", idOf(c.Consumer))
	}
	for _, n := range set.SNIs {
		place(n, strings.ToLower(strings.TrimSuffix(n.Name, ".")))
	}
	return out
}

func idOf(ref *entity.Ref) entity.ID {
	if ref == nil {
		return ""
	}
	return ref.ID
}

// held returns the entity that a snapshot holds under a key, nil without one.
func (s *snapshot) held(key entity.Key) entity.Entity {
	switch key.Kind {
	case entity.KindService:
		if st := s.services.At(key.ID); st != nil {
			return st.sparse
		}
	case entity.KindRoute:
		if st := s.routes.At(key.ID); st != nil {
			return st.entity
		}
	case entity.KindUpstream:
		if st := s.upstreams.At(key.ID); st != nil {
			return st.sparse
		}
	case entity.KindTarget:
		return orNil(s.targets.At(key.ID))
	case entity.KindPlugin:
		if in := s.plans.Instance(key.ID); in != nil {
			return in.Plugin
		}
	case entity.KindCertificate:
		return orNil(s.certificates.At(key.ID))
	case entity.KindSNI:
		return orNil(s.snis.At(key.ID))
	case entity.KindCACertificate:
		return orNil(s.cacertificates.At(key.ID))
	default:
		return s.people.held(key)
	}
	return nil
}

// orNil returns e as an entity that is nil if e is.
func orNil[T any, E interface {
	*T
	entity.Entity
}](e E) entity.Entity {
	if e == nil {
		return nil
	}
	return e
}

// all yields every entity that the snapshot holds.
func (s *snapshot) all() iter.Seq[entity.Entity] {
	return func(yield func(entity.Entity) bool) {
		for _, st := range s.services.All() {
			if !yield(st.sparse) {
				return
			}
		}
		for _, st := range s.routes.All() {
			if !yield(st.entity) {
				return
			}
		}
		for _, st := range s.upstreams.All() {
			if !yield(st.sparse) {
				return
			}
		}
		_ = each(s.targets.All(), yield) && each(s.certificates.All(), yield) && each(s.snis.All(), yield) &&
			each(s.cacertificates.All(), yield) && s.eachPlugin(yield) && s.people.each(yield)
	}
}

func each[E entity.Entity](entities iter.Seq2[entity.ID, E], yield func(entity.Entity) bool) bool {
	for _, e := range entities {
		if !yield(e) {
			return false
		}
	}
	return true
}

func (s *snapshot) eachPlugin(yield func(entity.Entity) bool) bool {
	for in := range s.plans.Each {
		if !yield(in.Plugin) {
			return false
		}
	}
	return true
}
