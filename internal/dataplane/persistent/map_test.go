// SPDX-License-Identifier: Apache-2.0

package persistent

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
)

// check compares a version with what it should hold.
func check(t *testing.T, m Map[int, int], want map[int]int, universe int) {
	t.Helper()
	if m.Len() != len(want) || !maps.Equal(maps.Collect(m.All()), want) {
		t.Fatalf("holds %d entries, want %d", m.Len(), len(want))
	}
	for k := range universe {
		got, found := m.Get(k)
		if v, ok := want[k]; got != v || found != ok {
			t.Fatalf("key %d: %d %t, want %d %t", k, got, found, v, ok)
		}
	}
}

// TestVersions keeps every version of a map through random changes: none of
// them may see those that came later.
func TestVersions(t *testing.T) {
	const universe = 300
	r := rand.New(rand.NewPCG(1, 2))
	type version struct {
		m    Map[int, int]
		want map[int]int
	}
	var versions []version
	var m Map[int, int]
	want := map[int]int{}
	e := m.Edit()
	for n := range 4000 {
		k := r.IntN(universe)
		if r.IntN(3) == 0 {
			_, there := want[k]
			if e.Delete(k) != there {
				t.Fatalf("deleting %d says %t", k, !there)
			}
			delete(want, k)
		} else {
			e.Put(k, n)
			want[k] = n
		}
		if e.Len() != len(want) || e.At(k) != want[k] {
			t.Fatalf("the edit holds %d entries, want %d", e.Len(), len(want))
		}
		if r.IntN(40) == 0 {
			versions = append(versions, version{e.Done(), maps.Clone(want)})
			if r.IntN(2) == 0 {
				// Go on from an older version.
				v := versions[r.IntN(len(versions))]
				e, want = v.m.Edit(), maps.Clone(v.want)
			}
		}
	}
	for _, v := range versions {
		check(t, v.m, v.want, universe)
	}
}

func TestSingleChanges(t *testing.T) {
	var m Map[string, int]
	if m.At("a") != 0 || m.Without("a").Len() != 0 {
		t.Error("an empty map holds something")
	}
	one := m.With("a", 1)
	two := one.With("b", 2)
	if two.Without("a").At("b") != 2 || two.Without("a").Len() != 1 || one.Len() != 1 || m.Len() != 0 {
		t.Error("a version changed")
	}
	for range two.All() {
		break
	}
}

// TestSharedHash has entries whose hashes agree to the last bit.
func TestSharedHash(t *testing.T) {
	const hash = 0x0123456789abcdef
	m := Map[int, int]{}
	e := m.Edit()
	e.begin()
	for k := range 5 {
		e.root = e.put(e.root, slot[int, int]{key: k, value: k * k}, hash, lastShift)
	}
	e.root = e.put(e.root, slot[int, int]{key: 3, value: 7}, hash, lastShift)
	if e.size != 5 {
		t.Fatalf("%d entries", e.size)
	}
	e.root = e.remove(e.root, 1, hash, lastShift)
	var got []string
	e.root.walk(func(k, v int) bool { got = append(got, fmt.Sprintf("%d=%d", k, v)); return true })
	if want := "[0=0 2=4 3=7 4=16]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	at := &node[int, int]{bitmap: 0, slots: e.root.slots}
	for shift := uint(lastShift); shift > 0; shift -= branchBits {
		at = &node[int, int]{bitmap: branch(hash, shift-branchBits), slots: []slot[int, int]{{child: at}}}
	}
	if v, found := at.get(4, hash); !found || v != 16 {
		t.Errorf("got %d, %t", v, found)
	}
	if _, found := at.get(1, hash); found {
		t.Error("a key that was removed is found")
	}
}

func TestReadingDoesNotAllocate(t *testing.T) {
	e := Map[string, int]{}.Edit()
	for n := range 1000 {
		e.Put(fmt.Sprint("key-", n), n)
	}
	m := e.Done()
	if n := testing.AllocsPerRun(100, func() { m.At("key-500") }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkGet(b *testing.B) {
	for _, size := range []int{100, 5000, 20000} {
		e := Map[string, int]{}.Edit()
		plain := map[string]int{}
		for n := range size {
			e.Put(fmt.Sprint("key-", n), n)
			plain[fmt.Sprint("key-", n)] = n
		}
		m := e.Done()
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.At("key-50")
			}
		})
		b.Run(fmt.Sprint("builtin-", size), func(b *testing.B) {
			for b.Loop() {
				_ = plain["key-50"]
			}
		})
	}
}

func BenchmarkWith(b *testing.B) {
	for _, size := range []int{100, 1000, 5000, 20000} {
		e := Map[string, int]{}.Edit()
		for n := range size {
			e.Put(fmt.Sprint("key-", n), n)
		}
		m := e.Done()
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.With("key-50", 1)
			}
		})
	}
}
