// SPDX-License-Identifier: Apache-2.0

package routes

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"k8s.io/client-go/util/workqueue"

	"github.com/kong/kong-istio-gateway/internal/controlplane/store"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
)

func problemOf(object, field int) fragment.Problem {
	return fragment.Problem{
		Object: fragment.ObjectRef{Kind: "Ingress", Namespace: "shop", Name: fmt.Sprintf("i-%05d", object), UID: "u"}, Field: fmt.Sprint(field),
	}
}

func (s *problemSet) all() (list []fragment.Problem) {
	s.from(fragment.Problem{}, func(p fragment.Problem) bool { list = append(list, p); return true })
	return list
}

// TestProblemSet compares the set with a sorted list, while it grows to many
// chunks and shrinks again.
func TestProblemSet(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	g := &gatewayState{}
	var want []fragment.Problem
	const rounds = 8000
	for round := range rounds {
		p := problemOf(random.IntN(1000), random.IntN(4))
		i, is := slices.BinarySearchFunc(want, p, fragment.Problem.Compare)
		if grow := round < rounds/2; random.IntN(4) > 0 == grow {
			g.problems.add(p)
			if !is {
				want = slices.Insert(want, i, p)
			}
		} else {
			g.problems.remove(p)
			if is {
				want = slices.Delete(want, i, i+1)
			}
		}
		if round%100 > 0 {
			continue
		}
		if got := g.problems.all(); !slices.Equal(got, want) || g.problems.len != len(want) {
			t.Fatalf("round %d: %d problems of %d, want %d", round, len(got), g.problems.len, len(want))
		}
		if got := g.problems.first(20); !slices.Equal(got, want[:min(20, len(want))]) {
			t.Fatalf("round %d: the first are %v", round, got)
		}
		name := p.Object.Name
		about := slices.DeleteFunc(slices.Clone(want), func(p fragment.Problem) bool { return p.Object.Name != name })
		if got := g.about(store.Key{Kind: store.KindIngress, Namespace: "shop", Name: name}); !slices.Equal(got, about) {
			t.Fatalf("round %d: about %s: %v, want %v", round, name, got, about)
		}
	}
	for _, p := range want {
		g.problems.remove(p)
	}
	if g.problems.len != 0 || len(g.problems.chunks) != 0 || len(g.problems.first(20)) != 0 {
		t.Errorf("%d problems remain", g.problems.len)
	}
}

// TestReport holds that what a source says replaces what it said before, and
// nothing else.
func TestReport(t *testing.T) {
	c, g := idle(t), &gatewayState{reported: make(map[source][]fragment.Problem)}
	one, two := source{name: reasonRejected}, source{reasonListenerNotFound, fragment.Owner{Name: "a"}}
	a, b, d := problemOf(1, 1), problemOf(2, 1), problemOf(3, 1)
	for i, step := range []struct {
		from    source
		now     []fragment.Problem
		changed bool
		want    []fragment.Problem
	}{
		{one, []fragment.Problem{b, a, b}, true, []fragment.Problem{a, b}},
		{one, []fragment.Problem{a, b}, false, []fragment.Problem{a, b}},
		{two, []fragment.Problem{d}, true, []fragment.Problem{a, b, d}},
		{one, []fragment.Problem{b}, true, []fragment.Problem{b, d}},
		{two, nil, true, []fragment.Problem{b}},
		{one, nil, true, nil},
	} {
		g.revised = false
		if changed := c.report(g, step.from, step.now); changed != step.changed || g.revised != step.changed {
			t.Errorf("step %d: changed is %t", i, changed)
		}
		if got := g.problems.all(); !slices.Equal(got, step.want) {
			t.Errorf("step %d: %v, want %v", i, got, step.want)
		}
	}
	if len(g.reported) != 0 || len(c.notices.gateways) != 0 {
		t.Errorf("%v and %v remain", g.reported, c.notices.gateways)
	}
	if c.statuses.Len() != 3 {
		t.Errorf("the statuses of %d objects are looked at", c.statuses.Len())
	}
}

// idle returns a control plane that runs nothing.
func idle(t *testing.T) *ControlPlane {
	c := &ControlPlane{notices: newNotices(), statuses: workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[store.Key]())}
	t.Cleanup(c.statuses.ShutDown)
	return c
}

// TestCostOfOneProblem holds that a changed problem is not paid for with all
// the others, neither where it is kept nor where it is told.
func TestCostOfOneProblem(t *testing.T) {
	const many, rounds = 20000, 50
	c, g := idle(t), &gatewayState{}
	for i := range many {
		c.revise(g, []fragment.Problem{problemOf(i, 1)}, nil)
	}
	clear(c.notices.since) // they have been told
	cost := func(do func()) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range rounds {
			do()
		}
		runtime.ReadMemStats(&after)
		return (after.TotalAlloc - before.TotalAlloc) / rounds
	}
	round := 0
	bytes := cost(func() {
		p := []fragment.Problem{problemOf(round%7*many/7, 2)}
		c.revise(g, p, nil)
		if tell, again := c.notices.due(c.notices.since[p[0]]); len(tell) != 0 || again == 0 {
			t.Fatalf("tells %v, again in %v", tell, again)
		}
		g.problems.first(20)
		c.revise(g, nil, p)
		round++
	})
	if all := cost(func() { g.problems.all() }); bytes > 64<<10 || bytes*20 > all {
		t.Errorf("one problem among %d costs %d bytes, all of them %d", many, bytes, all)
	}
}
