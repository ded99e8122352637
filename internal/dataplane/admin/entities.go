// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Entities is the configuration that is shown, as it was given: with vault
// references. It is safe for concurrent use; a nil one takes nothing.
type Entities struct {
	now func() time.Time

	mu     sync.RWMutex
	byKind map[entity.Kind]map[entity.ID]given
}

// given is an entity and since when it is here, and is what it is.
type given struct {
	entity.Entity
	created, updated time.Time
}

// NewEntities returns an empty configuration that is given entities at the
// times of now.
func NewEntities(now func() time.Time) *Entities {
	return &Entities{now: now, byKind: map[entity.Kind]map[entity.ID]given{}}
}

// Replace takes a whole configuration. What was there before keeps its times.
func (s *Entities) Replace(set *entity.Set) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before, now := s.byKind, s.now()
	s.byKind = map[entity.Kind]map[entity.ID]given{}
	for e := range set.All() {
		s.put(e, before[e.EntityKind()][e.EntityID()], now)
	}
}

// Update takes a change.
func (s *Entities) Update(d entity.Delta) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for _, key := range d.Removed {
		delete(s.byKind[key.Kind], key.ID)
	}
	for _, e := range d.Put {
		s.put(e, s.byKind[e.EntityKind()][e.EntityID()], now)
	}
}

// put notes an entity, which takes the place of old.
func (s *Entities) put(e entity.Entity, old given, now time.Time) {
	kind, g := e.EntityKind(), given{e, old.created, old.updated}
	if old.Entity == nil {
		g.created = now
	}
	if old.Entity == nil || !reflect.DeepEqual(old.Entity, e) {
		g.updated = now
	}
	if s.byKind[kind] == nil {
		s.byKind[kind] = map[entity.ID]given{}
	}
	s.byKind[kind][e.EntityID()] = g
}

// times returns since when an entity is here, and is what it is.
func (s *Entities) times(e entity.Entity) (created, updated time.Time) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	g := s.byKind[e.EntityKind()][e.EntityID()]
	return g.created, g.updated
}

// get returns an entity, nil if there is none.
func (s *Entities) get(kind entity.Kind, id entity.ID) entity.Entity {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byKind[kind][id].Entity
}

// list returns the entities of a kind for which keep holds, by id.
func (s *Entities) list(kind entity.Kind, keep func(entity.Entity) bool) []entity.Entity {
	s.mu.RLock()
	var out []entity.Entity
	for _, g := range s.byKind[kind] {
		if keep == nil || keep(g.Entity) {
			out = append(out, g.Entity)
		}
	}
	s.mu.RUnlock()
	slices.SortFunc(out, func(a, b entity.Entity) int { return cmp.Compare(a.EntityID(), b.EntityID()) })
	return out
}
