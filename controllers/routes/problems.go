// SPDX-License-Identifier: Apache-2.0

package routes

import (
	"slices"
	"time"

	"github.com/kong/kong-istio-gateway/internal/controlplane/store"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
)

// problemSet is a sorted set of problems, kept in chunks so that a change costs
// the same however many there are. Its zero value is empty.
type problemSet struct {
	chunks [][]fragment.Problem // none is empty
	len    int
}

// maxChunk is how many problems a chunk may hold.
const maxChunk = 128

// find returns the place of a problem, or the one where it would be.
func (s *problemSet) find(p fragment.Problem) (chunk, at int, found bool) {
	chunk, found = slices.BinarySearchFunc(s.chunks, p, func(c []fragment.Problem, p fragment.Problem) int { return c[0].Compare(p) })
	if found || chunk == 0 {
		return chunk, 0, found
	}
	chunk--
	at, found = slices.BinarySearchFunc(s.chunks[chunk], p, fragment.Problem.Compare)
	return chunk, at, found
}

func (s *problemSet) add(p fragment.Problem) {
	i, at, found := s.find(p)
	if found {
		return
	}
	s.len++
	if len(s.chunks) == 0 {
		s.chunks = [][]fragment.Problem{{p}}
		return
	}
	s.chunks[i] = slices.Insert(s.chunks[i], at, p)
	if n := len(s.chunks[i]); n > maxChunk {
		rest := slices.Clone(s.chunks[i][n/2:])
		clear(s.chunks[i][n/2:])
		s.chunks[i] = s.chunks[i][:n/2]
		s.chunks = slices.Insert(s.chunks, i+1, rest)
	}
}

func (s *problemSet) remove(p fragment.Problem) {
	i, at, found := s.find(p)
	if !found {
		return
	}
	s.len--
	if s.chunks[i] = slices.Delete(s.chunks[i], at, at+1); len(s.chunks[i]) == 0 {
		s.chunks = slices.Delete(s.chunks, i, i+1)
	}
}

// from calls f with the problems that are not before p, until it returns false.
func (s *problemSet) from(p fragment.Problem, f func(fragment.Problem) bool) {
	i, at, _ := s.find(p)
	for ; i < len(s.chunks); i, at = i+1, 0 {
		for _, q := range s.chunks[i][at:] {
			if !f(q) {
				return
			}
		}
	}
}

// first returns the first n problems.
func (s *problemSet) first(n int) (list []fragment.Problem) {
	s.from(fragment.Problem{}, func(p fragment.Problem) bool {
		if len(list) < n {
			list = append(list, p)
		}
		return len(list) < n
	})
	return list
}

// source is where problems of a gateway come from that are not of translation.
// What two sources say is never the same.
type source struct {
	name  string // a reason
	owner fragment.Owner
}

// report replaces the problems that a source says, and reports whether they are
// others than before.
func (c *ControlPlane) report(g *gatewayState, from source, now []fragment.Problem) bool {
	slices.SortFunc(now, fragment.Problem.Compare)
	now = slices.Compact(now)
	came, went := differing(g.reported[from], now)
	if len(now) == 0 {
		delete(g.reported, from)
	} else {
		g.reported[from] = now
	}
	c.revise(g, came, went)
	return len(came)+len(went) > 0
}

// revise takes over problems that came and that went: the statuses of their
// objects are looked at again, and tell tells of what is new.
func (c *ControlPlane) revise(g *gatewayState, came, went []fragment.Problem) {
	now := time.Now()
	for _, p := range went {
		g.problems.remove(p)
		c.notices.remove(p)
		c.enqueueObject(p.Object)
	}
	for _, p := range came {
		g.problems.add(p)
		c.notices.add(p, now)
		c.enqueueObject(p.Object)
	}
	g.revised = g.revised || len(came)+len(went) > 0
}

// differing returns what only the second, and what only the first, of two sorted
// lists holds.
func differing(before, now []fragment.Problem) (came, went []fragment.Problem) {
	for len(before) > 0 && len(now) > 0 {
		switch order := before[0].Compare(now[0]); {
		case order < 0:
			went, before = append(went, before[0]), before[1:]
		case order > 0:
			came, now = append(came, now[0]), now[1:]
		default:
			before, now = before[1:], now[1:]
		}
	}
	return append(came, now...), append(went, before...)
}

// about returns the problems of one object.
func (g *gatewayState) about(key store.Key) (list []fragment.Problem) {
	first := fragment.Problem{Object: fragment.ObjectRef{Kind: string(key.Kind), Namespace: key.Namespace, Name: key.Name}}
	g.problems.from(first, func(p fragment.Problem) bool {
		is := p.Object.Kind == first.Object.Kind && p.Object.Namespace == key.Namespace && p.Object.Name == key.Name
		if is {
			list = append(list, p)
		}
		return is
	})
	return list
}
