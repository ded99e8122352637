// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestHTTP2Drain(t *testing.T) {
	const streams = 50
	var arrived sync.WaitGroup
	arrived.Add(streams)
	release := make(chan struct{})
	g := h2Start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived.Done()
		<-release
		h2Echo(w, r)
	}), nil)
	client, idle := h2Client(t), h2Client(t)
	h2Do(t, idle, "GET", "https://"+g.secure+"/ends", nil)
	h2Do(t, client, "GET", "https://"+g.secure+"/ends", nil)
	var wg sync.WaitGroup
	var answered atomic.Int32
	for range streams {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if resp, body := h2Do(t, client, "POST", "https://"+g.secure+"/", strings.NewReader("x")); resp.StatusCode == http.StatusOK && body == "x" {
				answered.Add(1)
			}
		}()
	}
	arrived.Wait()
	drained := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), h2Wait)
		defer cancel()
		drained <- g.Drain(ctx)
	}()
	h2Until(t, "the listener to close", func() bool {
		nc, err := net.Dial("tcp", g.secure)
		if err == nil {
			_ = nc.Close()
		}
		return err != nil
	})
	close(release)
	wg.Wait()
	if answered.Load() != streams {
		t.Errorf("%d of %d open streams were answered", answered.Load(), streams)
	}
	if err := <-drained; err != nil {
		t.Errorf("drain: %v", err)
	}
	if n := g.Connections(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

// TestHTTP2AnnouncedDrain checks that the answers of a gateway that is about to
// drain move their clients to another connection.
func TestHTTP2AnnouncedDrain(t *testing.T) {
	g := h2Start(t, http.HandlerFunc(h2Echo), nil)
	client := h2Client(t)
	h2Do(t, client, "GET", "https://"+g.secure+"/", nil)
	g.AnnounceDrain()
	for range 3 {
		h2Do(t, client, "GET", "https://"+g.secure+"/", nil)
	}
	client.CloseIdleConnections()
	h2Until(t, "the connections to close", func() bool { return g.Connections() == 0 })
	peers := map[netip.AddrPort]bool{}
	for _, f := range g.seen(t, 4) {
		peers[f.Peer] = true
	}
	if len(peers) != 3 {
		t.Errorf("4 requests came over %d connections, want 3", len(peers))
	}
}

// TestHTTP2DrainCutsOff checks that streams which do not end are cut.
func TestHTTP2DrainCutsOff(t *testing.T) {
	arrived, left := make(chan struct{}), make(chan struct{})
	g := h2Start(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(left)
	}), nil)
	failed := make(chan error, 1)
	go func() {
		_, err := h2Client(t).Get("http://" + g.plain + "/")
		failed <- err
	}()
	<-arrived
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := g.Drain(ctx); err == nil {
		t.Error("drained with an open stream")
	}
	if err := <-failed; err == nil {
		t.Error("answered")
	}
	<-left
}

// TestHTTP2KeepsInstances reloads under a stream: what it started with must not
// be closed before its log phase.
func TestHTTP2KeepsInstances(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		h2Echo(w, r)
	}))
	defer upstream.Close()
	g := h2StartAt(t, upstream.URL, nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		h2Do(t, h2Client(t), "GET", "http://"+g.plain+"/", nil)
	}()
	<-arrived
	for i := range 3 {
		if rejected := g.Apply(h2Set(t, upstream.URL, fmt.Sprint("x-id-", i))); len(rejected) > 0 {
			t.Fatal(rejected)
		}
	}
	if n := g.closed.Load(); n != 0 {
		t.Errorf("%d instances are closed under a stream", n)
	}
	close(release)
	<-done
	if f := g.seen(t, 1)[0]; f.ClosedEarly {
		t.Error("the stream's plugin was closed before its log phase")
	}
	h2Until(t, "old instances to be closed", func() bool { return g.closed.Load() == 3 })
}
