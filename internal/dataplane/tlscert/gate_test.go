// SPDX-License-Identifier: Apache-2.0

package tlscert

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"
)

func TestGate(t *testing.T) {
	g := make(Gate, 2)
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
	<-g
	if !<-entered {
		t.Error("no place after one left")
	}
}

// However many come, no more than the gate's places are inside.
func TestGateBounds(t *testing.T) {
	const places = 3
	g := make(Gate, places)
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
			<-g
		})
	}
	all.Wait()
	if most > places || inside != 0 || len(g) != 0 {
		t.Errorf("at most %d inside, %d now, %d places taken", most, inside, len(g))
	}
}

// A socket holds its place while it computes, and only then.
func TestGatedSocket(t *testing.T) {
	g := make(Gate, 1)
	client, server := net.Pipe()
	defer func() { _, _ = client.Close(), server.Close() }()
	c, ok := g.Begin(t.Context(), server, time.Now().Add(time.Minute))
	if !ok || len(g) != 1 {
		t.Fatalf("began: %t, %d places taken", ok, len(g))
	}
	said := make(chan error)
	go func() {
		// The reader waits for this: by then it gave its place back.
		if !g.enter(t.Context(), time.Now().Add(time.Minute)) {
			t.Error("the place was not given back")
		}
		<-g
		_, err := client.Write([]byte("x"))
		said <- err
	}()
	var b [1]byte
	if n, err := c.Read(b[:]); n != 1 || err != nil || len(g) != 1 {
		t.Errorf("read %d, %v, %d places taken", n, err, len(g))
	}
	if err := <-said; err != nil {
		t.Error(err)
	}
	c.Done()
	if len(g) != 0 {
		t.Error("the place is still taken")
	}
	g <- struct{}{}
	go func() { _, err := client.Write([]byte("y")); said <- err }()
	if n, err := c.Read(b[:]); n != 1 || err != nil {
		t.Errorf("after the handshake: read %d, %v", n, err)
	}
	if err := <-said; err != nil {
		t.Error(err)
	}
}

// Without a gate nothing is bounded.
func TestNoGate(t *testing.T) {
	client, server := net.Pipe()
	defer func() { _, _ = client.Close(), server.Close() }()
	c, ok := Gate(nil).Begin(t.Context(), server, time.Now().Add(-time.Minute))
	if !ok || !c.Enter() {
		t.Error("no place")
	}
	c.Leave()
	c.Done()
}
