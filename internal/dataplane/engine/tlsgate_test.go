// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"sync"
	"testing"
	"time"
)

func TestGate(t *testing.T) {
	g := make(gate, 2)
	later := time.Now().Add(time.Minute)
	for range 2 {
		if !g.enter(t.Context(), later) {
			t.Fatal("no place in a gate that has one")
		}
	}
	if g.enter(t.Context(), time.Now().Add(time.Millisecond)) {
		t.Error("a third place")
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if g.enter(ended, later) {
		t.Error("a place after the end")
	}
	entered := make(chan bool)
	go func() { entered <- g.enter(t.Context(), later) }()
	select {
	case <-entered:
		t.Error("did not wait")
	case <-time.After(10 * time.Millisecond):
	}
	g.leave()
	if !<-entered {
		t.Error("no place after one left")
	}
}

// However many come, no more than the gate's places are inside.
func TestGateBounds(t *testing.T) {
	const places = 3
	g := make(gate, places)
	var mu sync.Mutex
	var inside, most int
	count := func(by int) {
		mu.Lock()
		defer mu.Unlock()
		inside += by
		most = max(most, inside)
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if !g.enter(t.Context(), time.Now().Add(time.Minute)) {
				t.Error("no place")
				return
			}
			count(1)
			count(-1)
			g.leave()
		})
	}
	all.Wait()
	if most > places || inside != 0 || len(g) != 0 {
		t.Errorf("at most %d inside, %d now, %d places taken", most, inside, len(g))
	}
}
