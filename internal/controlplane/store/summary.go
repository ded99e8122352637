// SPDX-License-Identifier: Apache-2.0

package store

import (
	"maps"
	"reflect"
	"slices"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
)

// Summary is what a gateway's status and its egress scope are made from. Lists
// are sorted and must not be changed.
type Summary struct {
	// AttachedRoutes is the number of route objects, such as Ingresses, of the
	// gateway's class.
	AttachedRoutes int32
	// Problems are those of all objects.
	Problems []fragment.Problem
	// Backends are the Service ports that routes send requests to.
	Backends []fragment.Backend
	// PendingSecrets is the number of units that wait for a Secret to be read.
	PendingSecrets int
}

// SummaryChange tells what of a Summary changed.
type SummaryChange struct{ Problems, Backends, Numbers bool }

// Any reports whether anything changed.
func (c SummaryChange) Any() bool { return c != SummaryChange{} }

// summary keeps a Summary up to date, unit by unit.
type summary struct {
	problems map[fragment.Owner][]fragment.Problem
	// edits counts how often each problem came, less how often it went, since
	// current was made; again how often one is said beyond the first time.
	edits, again map[fragment.Problem]int
	backends     map[fragment.Owner][]fragment.Backend
	routes       map[fragment.Owner]struct{}
	pending      map[fragment.Owner]struct{}
	// stale is what current lacks. The lists cost a walk over all of their
	// kind, so each is made anew only when something in it changed.
	stale   SummaryChange
	current Summary
	// touched are the units whose objects' states may have changed since the
	// last delivery.
	touched map[fragment.Owner]struct{}
}

func newSummary() summary {
	return summary{
		problems: make(map[fragment.Owner][]fragment.Problem), backends: make(map[fragment.Owner][]fragment.Backend),
		edits: make(map[fragment.Problem]int), again: make(map[fragment.Problem]int),
		routes: make(map[fragment.Owner]struct{}), pending: make(map[fragment.Owner]struct{}),
		stale:   SummaryChange{true, true, true},
		touched: make(map[fragment.Owner]struct{}),
	}
}

// set takes over what a unit says.
func (s *summary) set(n *unit) {
	s.touched[n.owner] = struct{}{}
	s.setProblems(n.owner, n.allProblems())
	replaceList(&s.stale.Backends, s.backends, n.owner, n.result.Backends)
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
	replaceList(&s.stale.Backends, s.backends, o, nil)
	replaceMark(s, s.pending, o, false)
	replaceMark(s, s.routes, o, false)
}

func (s *summary) setProblems(o fragment.Owner, list []fragment.Problem) {
	old, changed := s.problems[o], false
	if replaceList(&changed, s.problems, o, list); !changed {
		return
	}
	s.stale.Problems = true
	for _, p := range old {
		s.edits[p]--
	}
	for _, p := range list {
		s.edits[p]++
	}
}

// splice returns the list of problems with the edits. It is a new one, of which
// all but what changed is copied as it is: there may be many.
func (s *summary) splice(list []fragment.Problem) []fragment.Problem {
	out := make([]fragment.Problem, 0, len(list)+len(s.edits))
	for _, p := range slices.SortedFunc(maps.Keys(s.edits), fragment.Problem.Compare) {
		i, is := slices.BinarySearchFunc(list, p, fragment.Problem.Compare)
		out, list = append(out, list[:i]...), list[i:]
		n := s.edits[p] + s.again[p]
		if is {
			list = list[1:]
			n++
		}
		if n > 0 {
			out = append(out, p)
		}
		if delete(s.again, p); n > 1 {
			s.again[p] = n - 1
		}
	}
	s.edits = make(map[fragment.Problem]int)
	return append(out, list...)
}

func replaceList[T any](stale *bool, m map[fragment.Owner][]T, o fragment.Owner, list []T) {
	if old := m[o]; len(old) == len(list) && (len(list) == 0 || reflect.DeepEqual(old, list)) {
		return
	}
	*stale = true
	if len(list) == 0 {
		delete(m, o)
		return
	}
	m[o] = list
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
	if changed.Problems {
		s.current.Problems = s.splice(s.current.Problems)
	}
	if changed.Backends {
		s.current.Backends = distinct(sorted(s.backends, fragment.Backend.Compare))
	}
	return s.current, changed
}

func sorted[T any](m map[fragment.Owner][]T, compare func(a, b T) int) []T {
	var all []T
	for _, list := range m {
		all = append(all, list...)
	}
	slices.SortFunc(all, compare)
	return all
}

// distinct drops backends that are referred to more than once: by number and by
// name, by routes and by plugins. The one that names a protocol stays.
func distinct(list []fragment.Backend) []fragment.Backend {
	return slices.CompactFunc(list, fragment.Backend.SamePort)
}
