// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"cmp"
	"slices"

	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/dataplane/router"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Prepared is a configuration that was built and does not run yet. Either
// Publish or Discard is called, once.
type Prepared struct {
	server *Server
	set    *entity.Set
	next   *snapshot
}

// Prepare builds the stream half of a configuration and returns what of it
// cannot run. No other is prepared until this one is published or discarded.
func (s *Server) Prepare(set *entity.Set) (*Prepared, []pipeline.Rejection) {
	s.applying.Lock()
	next := s.build(s.current.Load(), set)
	return &Prepared{server: s, set: set, next: next}, next.rejected
}

// Publish makes the configuration the running one. Sessions that are open keep
// the plan that they began with.
func (p *Prepared) Publish() {
	defer p.server.applying.Unlock()
	p.server.known, p.server.base = nil, p.set
	p.server.publish(p.next)
}

// Discard gives back what was built.
func (p *Prepared) Discard() {
	defer p.server.applying.Unlock()
	p.next.release()
}

// publish makes next the running configuration. The caller holds applying.
func (s *Server) publish(next *snapshot) {
	if previous := s.current.Swap(next); previous != nil {
		previous.release()
	}
}

// Apply makes a configuration the running one and returns what of it cannot
// run: routes whose service cannot be used close their sessions.
func (s *Server) Apply(set *entity.Set) []pipeline.Rejection {
	p, rejected := s.Prepare(set)
	p.Publish()
	return rejected
}

// Update makes a change of the running configuration and returns everything
// that cannot run then, not only what is new. A change that is not about stream
// routes or what they use costs no more than a look at it.
func (s *Server) Update(d entity.Delta) []pipeline.Rejection {
	s.applying.Lock()
	defer s.applying.Unlock()
	s.note(d)
	current := s.current.Load()
	if !current.concerns(d) {
		return current.rejected
	}
	next := s.build(current, s.configuration())
	s.publish(next)
	return next.rejected
}

// placed is an entity with its place in the order in which they came: of two
// plugins with the same scope the later one runs.
type placed struct {
	entity.Entity
	place int
}

// note takes a change into what is known. The caller holds applying.
func (s *Server) note(d entity.Delta) {
	if s.known == nil {
		s.known = map[entity.Key]placed{}
		for e := range s.base.All() {
			s.put(e)
		}
		s.base = nil
	}
	for _, key := range d.Removed {
		delete(s.known, key)
	}
	for _, e := range d.Put {
		s.put(e)
	}
}

func (s *Server) put(e entity.Entity) {
	key := entity.KeyOf(e)
	place := s.known[key].place
	if place == 0 {
		s.places++
		place = s.places
	}
	s.known[key] = placed{e, place}
}

// configuration returns what is known and may concern streams, in order. The
// caller holds applying.
func (s *Server) configuration() *entity.Set {
	all := make([]placed, 0, len(s.known))
	for _, e := range s.known {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b placed) int { return cmp.Compare(a.place, b.place) })
	set := &entity.Set{}
	for _, p := range all {
		switch e := p.Entity.(type) {
		case *entity.Route:
			set.Routes = append(set.Routes, e)
		case *entity.Service:
			set.Services = append(set.Services, e)
		case *entity.Upstream:
			set.Upstreams = append(set.Upstreams, e)
		case *entity.Target:
			set.Targets = append(set.Targets, e)
		case *entity.Plugin:
			set.Plugins = append(set.Plugins, e)
		case *entity.Certificate:
			set.Certificates = append(set.Certificates, e)
		case *entity.CACertificate:
			set.CACertificates = append(set.CACertificates, e)
		}
	}
	return set
}

// concerns reports whether a change makes a difference for the snapshot.
func (s *snapshot) concerns(d entity.Delta) bool {
	return slices.ContainsFunc(d.Removed, func(key entity.Key) bool { return s.uses[key] }) ||
		slices.ContainsFunc(d.Put, s.concernedBy)
}

func (s *snapshot) concernedBy(e entity.Entity) bool {
	if s.uses[entity.KeyOf(e)] {
		return true
	}
	switch e := e.(type) {
	case *entity.Route:
		return router.StreamRoute(e)
	case *entity.Upstream:
		return s.hosts[e.Name]
	case *entity.Target:
		return e.Upstream != nil && s.uses[entity.Key{Kind: entity.KindUpstream, ID: e.Upstream.ID}]
	case *entity.Plugin:
		return len(s.uses) > 0 && pipeline.RunsOnStream(e, s.server.options.Schemas)
	}
	return false
}
