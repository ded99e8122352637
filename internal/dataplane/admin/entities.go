// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"slices"
	"sync"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Entities is the configuration that is shown, as it was given: with vault
// references. It is safe for concurrent use; a nil one takes nothing.
type Entities struct {
	mu     sync.RWMutex
	byKind map[entity.Kind]map[entity.ID]entity.Entity
}

// NewEntities returns an empty configuration.
func NewEntities() *Entities { return &Entities{byKind: map[entity.Kind]map[entity.ID]entity.Entity{}} }

// Replace takes a whole configuration.
func (s *Entities) Replace(set *entity.Set) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byKind = map[entity.Kind]map[entity.ID]entity.Entity{}
	for e := range set.All() {
		s.put(e)
	}
}

// Update takes a change.
func (s *Entities) Update(d entity.Delta) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range d.Removed {
		delete(s.byKind[key.Kind], key.ID)
	}
	for _, e := range d.Put {
		s.put(e)
	}
}

func (s *Entities) put(e entity.Entity) {
	kind := e.EntityKind()
	if s.byKind[kind] == nil {
		s.byKind[kind] = map[entity.ID]entity.Entity{}
	}
	s.byKind[kind][e.EntityID()] = e
}

// get returns an entity, nil if there is none.
func (s *Entities) get(kind entity.Kind, id entity.ID) entity.Entity {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byKind[kind][id]
}

// list returns the entities of a kind for which keep holds, by id.
func (s *Entities) list(kind entity.Kind, keep func(entity.Entity) bool) []entity.Entity {
	s.mu.RLock()
	var out []entity.Entity
	for _, e := range s.byKind[kind] {
		if keep == nil || keep(e) {
			out = append(out, e)
		}
	}
	s.mu.RUnlock()
	slices.SortFunc(out, func(a, b entity.Entity) int { return cmp.Compare(a.EntityID(), b.EntityID()) })
	return out
}
