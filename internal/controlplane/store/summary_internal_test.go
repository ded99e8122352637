// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
)

func problemOf(i int) fragment.Problem {
	return fragment.Problem{Object: fragment.ObjectRef{Kind: "Ingress", Namespace: "shop", Name: fmt.Sprintf("i-%05d", i)}, Reason: "Any"}
}

// TestProblemsAreSpliced compares the list that is kept with one that is made
// anew, after every one of many changes; objects share problems.
func TestProblemsAreSpliced(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	s := newSummary()
	var earlier, copied []fragment.Problem
	for round := range 500 {
		for range random.IntN(4) {
			o := fragment.Owner{Kind: fragment.OwnerIngress, Name: fmt.Sprint(random.IntN(12))}
			if random.IntN(4) == 0 {
				s.remove(o)
				continue
			}
			n := &unit{owner: o}
			for range random.IntN(4) {
				n.problems = append(n.problems, problemOf(random.IntN(15)))
			}
			s.set(n)
		}
		before := s.current.Problems
		got, changed := s.get()
		want := slices.Compact(sorted(s.problems, fragment.Problem.Compare))
		if !slices.Equal(got.Problems, want) {
			t.Fatalf("round %d: %v, want %v", round, got.Problems, want)
		}
		if !changed.Problems && !slices.Equal(before, got.Problems) {
			t.Fatalf("round %d: a change was not told", round)
		}
		if !slices.Equal(earlier, copied) {
			t.Fatalf("round %d: an earlier list changed", round)
		}
		earlier, copied = got.Problems, slices.Clone(got.Problems)
	}
}

// TestCostOfOneProblem holds that a changed problem is not paid for with all
// the others: what one costs among many is copying them, a small part of what
// sorting costs.
func TestCostOfOneProblem(t *testing.T) {
	const many = 20000
	s := newSummary()
	for i := range many {
		o := fragment.Owner{Kind: fragment.OwnerIngress, Name: fmt.Sprint(i)}
		s.set(&unit{owner: o, problems: []fragment.Problem{problemOf(i)}})
	}
	s.get()
	round := 0
	o := fragment.Owner{Kind: fragment.OwnerIngress, Name: "7"}
	if allocs := testing.AllocsPerRun(20, func() {
		round++
		s.set(&unit{owner: o, problems: []fragment.Problem{problemOf(many + round)}})
		s.get()
	}); allocs > 20 {
		t.Errorf("one problem among %d costs %.0f allocations", many, allocs)
	}
	one := best(func() {
		round++
		s.set(&unit{owner: o, problems: []fragment.Problem{problemOf(many + round)}})
		s.get()
	})
	all := best(func() { sorted(s.problems, fragment.Problem.Compare) })
	t.Logf("one change %s, sorting all %s", one, all)
	if one*4 > all {
		t.Errorf("one problem among %d costs %s, sorting all %s", many, one, all)
	}
}

// best returns the least time of some calls: what else runs adds to the others.
func best(do func()) time.Duration {
	least := time.Hour
	for range 15 {
		start := time.Now()
		do()
		least = min(least, time.Since(start))
	}
	return least
}
