// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
)

func problemOf(i int) fragment.Problem {
	return fragment.Problem{Object: fragment.ObjectRef{Kind: "Ingress", Namespace: "shop", Name: fmt.Sprintf("i-%05d", i)}, Reason: "Any"}
}

// TestProblemsComeAndGo adds up what is told to have come and gone, and compares
// with what the units say, after every one of many changes; they share problems.
func TestProblemsComeAndGo(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	s := newSummary()
	told := make(map[fragment.Problem]bool)
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
		news := s.news()
		for _, p := range news.Went {
			if !told[p] {
				t.Fatalf("round %d: %v went, and never came", round, p)
			}
			delete(told, p)
		}
		for _, p := range news.Came {
			if told[p] {
				t.Fatalf("round %d: %v came twice", round, p)
			}
			told[p] = true
		}
		want := make(map[fragment.Problem]bool)
		for _, list := range s.problems {
			for _, p := range list {
				want[p] = true
			}
		}
		if !maps.Equal(told, want) || len(s.sayers) != len(want) {
			t.Fatalf("round %d: %v, want %v", round, told, want)
		}
		if !slices.IsSortedFunc(news.Came, fragment.Problem.Compare) || !slices.IsSortedFunc(news.Went, fragment.Problem.Compare) {
			t.Fatalf("round %d: %v is not sorted", round, news)
		}
	}
}

// TestBackendsAreSpliced compares the list that is kept with one that is made
// anew, after every one of many changes; units share backends.
func TestBackendsAreSpliced(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	s := newSummary()
	var earlier, copied []fragment.Backend
	for round := range 500 {
		for range random.IntN(4) {
			o := fragment.Owner{Kind: fragment.OwnerBackend, Name: fmt.Sprint(random.IntN(12))}
			if random.IntN(4) == 0 {
				s.remove(o)
				continue
			}
			n := &unit{owner: o}
			for range random.IntN(3) {
				n.result.Backends = append(n.result.Backends, fragment.Backend{
					Service: fmt.Sprint(random.IntN(6)), Port: 80, Protocol: []string{"", "http"}[random.IntN(2)],
					ClusterIP: fmt.Sprint("10.0.0.", random.IntN(2)),
				})
			}
			s.set(n)
		}
		got, _ := s.get()
		var want []fragment.Backend
		for _, list := range s.backends {
			want = append(want, list...)
		}
		slices.SortFunc(want, fragment.Backend.Compare)
		if want = distinct(want); !reflect.DeepEqual(got.Backends, want) && len(got.Backends)+len(want) > 0 {
			t.Fatalf("round %d: %v, want %v", round, got.Backends, want)
		}
		if !reflect.DeepEqual(earlier, copied) {
			t.Fatalf("round %d: an earlier list changed", round)
		}
		earlier, copied = got.Backends, slices.Clone(got.Backends)
	}
}

// TestCostOfOneProblem holds that a changed problem is not paid for with all
// the others.
func TestCostOfOneProblem(t *testing.T) {
	const many = 20000
	s := newSummary()
	for i := range many {
		o := fragment.Owner{Kind: fragment.OwnerIngress, Name: fmt.Sprint(i)}
		s.set(&unit{owner: o, problems: []fragment.Problem{problemOf(i)}})
	}
	s.news()
	round := 0
	o := fragment.Owner{Kind: fragment.OwnerIngress, Name: "7"}
	before := allocated()
	const rounds = 50
	for range rounds {
		round++
		s.set(&unit{owner: o, problems: []fragment.Problem{problemOf(many + round)}})
		if news := s.news(); len(news.Came) != 1 || len(news.Went) != 1 {
			t.Fatalf("%+v", news)
		}
	}
	if bytes := (allocated() - before) / rounds; bytes > 16<<10 {
		t.Errorf("one problem among %d costs %d bytes", many, bytes)
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}
