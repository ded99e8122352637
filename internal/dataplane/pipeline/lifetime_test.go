// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"sync"
	"testing"
)

func TestLifetime(t *testing.T) {
	l := NewLifetime(t.Context())
	first := l.Context()
	if l.Context() != first {
		t.Error("one exchange has two contexts")
	}
	l.End()
	if first.Err() == nil {
		t.Error("the context outlives its exchange")
	}
	if l.Context().Err() != nil {
		t.Error("the next exchange starts with a context that is over")
	}
	l.End()
	l.Cancel()
	if l.Context().Err() == nil {
		t.Error("a context asked for after Cancel is not over")
	}
}

// TestLifetimeEndsTwice lets a watcher end an exchange that is ending.
func TestLifetimeEndsTwice(t *testing.T) {
	for range 1000 {
		l := NewLifetime(t.Context())
		l.Context()
		var wg sync.WaitGroup
		wg.Go(l.Cancel)
		wg.Go(l.End)
		wg.Wait()
	}
}

func TestLazyContext(t *testing.T) {
	type key struct{}
	l := NewLifetime(context.WithValue(t.Context(), key{}, "value"))
	ctx := l.Lazy()
	if _, bounded := ctx.Deadline(); bounded || ctx.Err() != nil || ctx.Value(key{}) != "value" {
		t.Errorf("deadline %t, error %v, value %v", bounded, ctx.Err(), ctx.Value(key{}))
	}
	l.Cancel()
	<-ctx.Done()
	if ctx.Err() == nil {
		t.Error("the context goes on after the exchange")
	}
	if n := testing.AllocsPerRun(100, func() { _ = l.Lazy() }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
