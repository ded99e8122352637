// SPDX-License-Identifier: Apache-2.0

package store

import (
	"reflect"
	"slices"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
)

// Summary is what a gateway's status and its egress scope are made from. The
// list is sorted and must not be changed.
type Summary struct {
	// AttachedRoutes is the number of route objects, such as Ingresses, of the
	// gateway's class.
	AttachedRoutes int32
	// Backends are the Service ports that routes send requests to.
	Backends []fragment.Backend
	// PendingSecrets is the number of units that wait for a Secret to be read.
	PendingSecrets int
}

// SummaryChange tells what of a Summary changed.
type SummaryChange struct{ Backends, Numbers bool }

// Any reports whether anything changed.
func (c SummaryChange) Any() bool { return c != SummaryChange{} }

// Problems are what became wrong with a gateway's objects, and what is not wrong
// any more. Both are sorted; what several units say is named once.
type Problems struct{ Came, Went []fragment.Problem }

// Any reports whether anything changed.
func (p Problems) Any() bool { return len(p.Came)+len(p.Went) > 0 }

// summary keeps a Summary up to date, unit by unit.
type summary struct {
	problems map[fragment.Owner][]fragment.Problem
	// sayers counts the units that say a problem; known tells of those whose
	// number changed since the last delivery whether it was said then.
	sayers map[fragment.Problem]int
	known  map[fragment.Problem]bool
	// backends are those of each unit, all those of all of them, sorted; come and
	// gone are what all lacks, and has too much.
	backends   map[fragment.Owner][]fragment.Backend
	all        []fragment.Backend
	come, gone []fragment.Backend
	routes     map[fragment.Owner]struct{}
	pending    map[fragment.Owner]struct{}
	// stale is what current lacks.
	stale   SummaryChange
	current Summary
	// touched are the units whose objects' states may have changed since the
	// last delivery.
	touched map[fragment.Owner]struct{}
}

func newSummary() summary {
	return summary{
		problems: make(map[fragment.Owner][]fragment.Problem), backends: make(map[fragment.Owner][]fragment.Backend),
		sayers: make(map[fragment.Problem]int), known: make(map[fragment.Problem]bool),
		routes: make(map[fragment.Owner]struct{}), pending: make(map[fragment.Owner]struct{}),
		stale:   SummaryChange{true, true},
		touched: make(map[fragment.Owner]struct{}),
	}
}

// set takes over what a unit says.
func (s *summary) set(n *unit) {
	s.touched[n.owner] = struct{}{}
	s.setProblems(n.owner, n.allProblems())
	s.setBackends(n.owner, n.result.Backends)
	replaceMark(s, s.pending, n.owner, n.pending)
	replaceMark(s, s.routes, n.owner, isRoute(n.owner.Kind) && n.root)
}

// isRoute reports whether units of the kind are made of route objects.
func isRoute(kind fragment.OwnerKind) bool {
	return kind == fragment.OwnerIngress || kind == fragment.OwnerTCPIngress || kind == fragment.OwnerUDPIngress
}

// remove forgets a unit.
func (s *summary) remove(o fragment.Owner) {
	s.touched[o] = struct{}{}
	s.setProblems(o, nil)
	s.setBackends(o, nil)
	replaceMark(s, s.pending, o, false)
	replaceMark(s, s.routes, o, false)
}

func (s *summary) setProblems(o fragment.Owner, list []fragment.Problem) {
	old, changed := replaceList(s.problems, o, list)
	if !changed {
		return
	}
	for _, p := range old {
		s.say(p, -1)
	}
	for _, p := range list {
		s.say(p, 1)
	}
}

// say notes that more or fewer units say a problem.
func (s *summary) say(p fragment.Problem, more int) {
	if _, noted := s.known[p]; !noted {
		s.known[p] = s.sayers[p] > 0
	}
	if s.sayers[p] += more; s.sayers[p] == 0 {
		delete(s.sayers, p)
	}
}

func (s *summary) setBackends(o fragment.Owner, list []fragment.Backend) {
	if old, changed := replaceList(s.backends, o, list); changed {
		s.stale.Backends = true
		s.gone, s.come = append(s.gone, old...), append(s.come, list...)
	}
}

// replaceList returns the old list, and whether the new one is another.
func replaceList[T any](m map[fragment.Owner][]T, o fragment.Owner, list []T) (old []T, changed bool) {
	if old = m[o]; len(old) == len(list) && (len(list) == 0 || reflect.DeepEqual(old, list)) {
		return old, false
	}
	if len(list) == 0 {
		delete(m, o)
	} else {
		m[o] = list
	}
	return old, true
}

func replaceMark(s *summary, m map[fragment.Owner]struct{}, o fragment.Owner, on bool) {
	if _, was := m[o]; was == on {
		return
	}
	s.stale.Numbers = true
	if !on {
		delete(m, o)
		return
	}
	m[o] = struct{}{}
}

// get returns the summary and in what it differs from the last one.
func (s *summary) get() (Summary, SummaryChange) {
	changed := s.stale
	s.stale = SummaryChange{}
	s.current.AttachedRoutes, s.current.PendingSecrets = int32(len(s.routes)), len(s.pending) // #nosec G115 -- far below 2^31
	if changed.Backends {
		s.all = splice(splice(s.all, s.come, true), s.gone, false) // some came and went again
		s.gone, s.come = nil, nil
		s.current.Backends = distinct(slices.Clone(s.all))
	}
	return s.current, changed
}

// news returns which problems came and went since the last call.
func (s *summary) news() (p Problems) {
	for problem, was := range s.known {
		switch is := s.sayers[problem] > 0; {
		case is && !was:
			p.Came = append(p.Came, problem)
		case was && !is:
			p.Went = append(p.Went, problem)
		}
	}
	s.known = make(map[fragment.Problem]bool)
	slices.SortFunc(p.Came, fragment.Problem.Compare)
	slices.SortFunc(p.Went, fragment.Problem.Compare)
	return p
}

// splice adds elements to a sorted list, or takes them out, each once. The list
// is a new one, of which all but what changed is copied as it is: an egress scope
// is one object and made of the whole list, so that a walk over it is not saved,
// but sorting is.
func splice(list, elements []fragment.Backend, add bool) []fragment.Backend {
	if len(elements) == 0 {
		return list
	}
	slices.SortFunc(elements, fragment.Backend.Compare)
	out := make([]fragment.Backend, 0, len(list)+len(elements))
	for _, e := range elements {
		i, is := slices.BinarySearchFunc(list, e, fragment.Backend.Compare)
		out, list = append(out, list[:i]...), list[i:]
		switch {
		case add:
			out = append(out, e)
		case is:
			list = list[1:]
		}
	}
	return append(out, list...)
}

// distinct drops backends that are referred to more than once: by number and by
// name, by routes and by plugins. The one that names a protocol stays.
func distinct(list []fragment.Backend) []fragment.Backend {
	return slices.CompactFunc(list, fragment.Backend.SamePort)
}
