// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var start = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

func TestTakeIsExactUnderConcurrency(t *testing.T) {
	l := NewLocal(1024)
	limits := Limits{Minute: 500, Hour: 1000}
	var passed atomic.Int64
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 200 {
				if _, ok := l.Take(Key{ID: "a"}, &limits, start); ok {
					passed.Add(1)
				}
			}
		})
	}
	wait.Wait()
	if passed.Load() != 500 {
		t.Errorf("%d requests passed a limit of 500", passed.Load())
	}
	if used := l.Usage(Key{ID: "a"}, &limits, start); used[Hour] != 500 {
		t.Errorf("refused requests were counted: %v", used)
	}
}

func TestKeysOutliveTheViewTheyCameFrom(t *testing.T) {
	l := NewLocal(1024)
	limits := Limits{Year: 1}
	buffer := []byte("alice")
	l.Take(Key{ID: unsafeView(buffer)}, &limits, start)
	copy(buffer, "XXXXX")
	if _, ok := l.Take(Key{ID: "alice"}, &limits, start); ok {
		t.Error("the key changed with the buffer")
	}
}

func TestWindowsThatAreOverAreDropped(t *testing.T) {
	l := NewLocal(1 << 16)
	short, long := Limits{Second: 1}, Limits{Year: 1}
	for i := range 2000 {
		l.Take(Key{ID: fmt.Sprint("short", i)}, &short, start)
		l.Take(Key{ID: fmt.Sprint("long", i)}, &long, start)
	}
	later := start.Add(2 * time.Minute)
	for i := range 2000 { // a new key reaches every shard
		l.Take(Key{ID: fmt.Sprint("new", i)}, &long, later)
	}
	if got := l.Len(); got != 4000 {
		t.Errorf("%d counters, want the 4000 whose windows run", got)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	const capacity = 640
	l := NewLocal(capacity)
	long, short := Limits{Year: 10}, Limits{Minute: 10}
	for range 3 {
		l.Take(Key{ID: "kept"}, &long, start)
	}
	for i := range 20000 {
		l.Take(Key{ID: fmt.Sprint(i)}, &short, start)
	}
	if got := l.Len(); got > capacity {
		t.Errorf("%d counters in a store for %d", got, capacity)
	}
	if used := l.Usage(Key{ID: "kept"}, &long, start); used[Year] != 3 {
		t.Errorf("the counter with the longest window made room for short ones: %v", used)
	}
}

func TestAddMayCountFractionsAndBackwards(t *testing.T) {
	l := NewLocal(64)
	limits := Limits{Year: 10}
	for _, n := range []float64{1.5, -1, 3} {
		l.Add(Key{ID: "a"}, &limits, start, n)
	}
	if used := l.Usage(Key{ID: "a"}, &limits, start); used[Year] != 3.5 {
		t.Errorf("%v", used)
	}
}

func BenchmarkTake(b *testing.B) {
	l := NewLocal(1 << 16)
	limits := Limits{Minute: 1 << 60, Year: 1 << 60}
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			l.Take(Key{ID: "somebody"}, &limits, start)
		}
	})
}

// Keys whose hashes are equal are counted apart.
func TestKeysOfOneHash(t *testing.T) {
	s := &shard{counters: map[uint64]*counter{}}
	limits := Limits{Minute: 10}
	keys := []Key{{ID: "a"}, {ID: "b"}, {ID: "c", Name: "n"}}
	for i := range keys {
		for range i + 1 {
			s.add(7, &keys[i], s.find(7, &keys[i]), &limits, start, 1, 100)
		}
	}
	for i := range keys {
		if c := s.find(7, &keys[i]); c == nil || c.counts[Minute] != float64(i+1) {
			t.Errorf("%v: %+v, want %d", keys[i], c, i+1)
		}
	}
	if s.find(7, &Key{ID: "d"}) != nil || s.size != 3 {
		t.Errorf("%d counters", s.size)
	}
	for left := 2; left >= 0; left-- {
		if s.drop(7); s.size != left || s.find(7, &keys[0]) == nil != (left == 0) {
			t.Errorf("%d counters after a drop, want %d", s.size, left)
		}
	}
}
