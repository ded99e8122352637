// SPDX-License-Identifier: Apache-2.0

package content

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

func entry(key, version int) Entry[int] {
	return Entry[int]{
		Key:   Sum([]byte(fmt.Sprint("key", key))),
		Hash:  Sum([]byte(fmt.Sprint("content", key, version))),
		Value: version,
	}
}

func build(n int) Map[int] {
	var m Map[int]
	e := m.Edit()
	for i := range n {
		e.Put(entry(i, 0))
	}
	return e.Done()
}

func TestEmptyMapHasZeroHash(t *testing.T) {
	var m Map[int]
	e := m.Edit()
	e.Put(entry(1, 1))
	e.Delete(entry(1, 1).Key)
	if got := e.Done(); got.Hash() != (Hash{}) || got.Len() != 0 {
		t.Fatalf("emptied map: hash %v, len %d", got.Hash(), got.Len())
	}
}

// TestModel runs random edits against a plain map and checks content, size,
// hash and difference; the hash must depend on the content only.
func TestModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var m Map[int]
	model := map[int]int{}
	for round := range 200 {
		before, beforeModel := m, maps.Clone(model)
		e := m.Edit()
		for range rng.IntN(40) {
			k := rng.IntN(120)
			if rng.IntN(3) == 0 {
				_, had := model[k]
				if e.Delete(entry(k, 0).Key) != had {
					t.Fatalf("round %d: Delete(%d) disagrees with the model", round, k)
				}
				delete(model, k)
				continue
			}
			v := rng.IntN(3)
			old, had := model[k]
			if e.Put(entry(k, v)) != (!had || old != v) {
				t.Fatalf("round %d: Put(%d) disagrees with the model", round, k)
			}
			model[k] = v
		}
		m = e.Done()
		checkSame(t, m, model)
		checkSame(t, before, beforeModel)
		checkDiff(t, before, m, beforeModel, model)
	}
}

func checkSame(t *testing.T, m Map[int], model map[int]int) {
	t.Helper()
	if m.Len() != len(model) {
		t.Fatalf("len %d, want %d", m.Len(), len(model))
	}
	var again Map[int]
	e := again.Edit()
	for _, k := range slices.Sorted(maps.Keys(model)) {
		got, ok := m.Get(entry(k, 0).Key)
		if !ok || got.Value != model[k] {
			t.Fatalf("key %d: %v %v, want %d", k, got.Value, ok, model[k])
		}
		e.Put(entry(k, model[k]))
	}
	if again = e.Done(); again.Hash() != m.Hash() {
		t.Fatal("equal content, other hash")
	}
	n := 0
	for range m.All() {
		n++
	}
	if n != len(model) {
		t.Fatalf("All yields %d entries, want %d", n, len(model))
	}
}

func checkDiff(t *testing.T, a, b Map[int], am, bm map[int]int) {
	t.Helper()
	put, removed := map[Hash]int{}, map[Hash]bool{}
	Diff(a, b, func(e Entry[int]) {
		if _, twice := put[e.Key]; twice {
			t.Fatal("put twice")
		}
		put[e.Key] = e.Value
	}, func(e Entry[int]) { removed[e.Key] = true })
	wantPut, wantRemoved := map[Hash]int{}, map[Hash]bool{}
	for k, v := range bm {
		if old, ok := am[k]; !ok || old != v {
			wantPut[entry(k, 0).Key] = v
		}
	}
	for k := range am {
		if _, ok := bm[k]; !ok {
			wantRemoved[entry(k, 0).Key] = true
		}
	}
	if !maps.Equal(put, wantPut) || !maps.Equal(removed, wantRemoved) {
		t.Fatalf("diff: %d put, %d removed; want %d, %d", len(put), len(removed), len(wantPut), len(wantRemoved))
	}
}

// TestLongCommonPrefix covers keys that differ only in their last bits: a chain
// of nodes that must collapse again.
func TestLongCommonPrefix(t *testing.T) {
	a, b := entry(0, 0), entry(0, 0)
	b.Key[15] ^= 1
	var m Map[int]
	e := m.Edit()
	e.Put(a)
	alone := e.Done()
	e.Put(b)
	both := e.Done()
	e.Delete(b.Key)
	if e.Done().Hash() != alone.Hash() {
		t.Fatal("the map did not collapse to its former shape")
	}
	if _, ok := both.Get(b.Key); !ok || both.Len() != 2 {
		t.Fatal("the sibling is lost")
	}
}

func FuzzEdits(f *testing.F) {
	f.Add([]byte{1, 2, 3, 0x81, 2})
	f.Fuzz(func(t *testing.T, ops []byte) {
		var m Map[int]
		e := m.Edit()
		model := map[byte]bool{}
		for _, op := range ops {
			var en Entry[int]
			en.Key[15] = op & 0x7f // collisions down to the last level
			if op&0x80 != 0 {
				e.Delete(en.Key)
				delete(model, op&0x7f)
			} else {
				e.Put(en)
				model[op] = true
			}
		}
		if e.Done().Len() != len(model) {
			t.Fatal("size differs from the model")
		}
	})
}

func BenchmarkChangeOne(b *testing.B) {
	for _, n := range []int{200, 20_000, 200_000} {
		m := build(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				en := entry(7, 0)
				binary.BigEndian.PutUint64(en.Hash[:], uint64(i)+1)
				e := m.Edit()
				e.Put(en)
				next := e.Done()
				Diff(m, next, func(Entry[int]) {}, func(Entry[int]) {})
				m = next
			}
		})
	}
}
