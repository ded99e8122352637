// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
)

// At the limit of connections, those in HTTP/2 without a stream make room, too.
func TestHTTP2MakesRoom(t *testing.T) {
	const limit = 3
	up := serve(t, func(http.ResponseWriter, *http.Request) {})
	r := startRig(t, service(up.URL, ""), rigOptions{settings: func(s *engine.Settings) { s.WorkerConnections = limit }})
	var idle []*h2Raw
	for range limit {
		c := h2Dial(t, r.plain)
		id, err := c.open(true, ":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a")
		if got := c.outcome(id); err != nil || got != "200" {
			t.Fatal(got, err)
		}
		idle = append(idle, c)
		until(t, "the stream to end", func() bool { return r.Streams() == 0 })
	}
	for range 2 * limit {
		if a, _ := r.get("/"); a.StatusCode != 200 {
			t.Fatalf("got %d at the limit", a.StatusCode)
		}
	}
	if n := r.RefusedConnections(); n != 0 {
		t.Errorf("%d connections were refused", n)
	}
	if got := idle[0].outcome(99); got != "closed" {
		t.Errorf("the connection that idled longest: %s", got)
	}
}

// While it is not sure yet which protocol a client speaks, its connection makes
// room as others do.
func TestHalfAPrefaceMakesRoom(t *testing.T) {
	const limit = 2
	up := serve(t, func(http.ResponseWriter, *http.Request) {})
	r := startRig(t, service(up.URL, ""), rigOptions{settings: func(s *engine.Settings) { s.WorkerConnections = limit }})
	var slow []*wire
	for range limit {
		slow = append(slow, dialRig(t, r.plain).send("PRI * HTT"))
	}
	until(t, "the slow ones", func() bool { return r.Connections() == limit && r.Working() == limit })
	for range 2 * limit {
		if a, _ := r.get("/"); a.StatusCode != 200 {
			t.Fatalf("got %d at the limit", a.StatusCode)
		}
	}
	if n := r.RefusedConnections(); n != 0 {
		t.Errorf("%d connections were refused", n)
	}
	until(t, "their end", func() bool { return r.Connections() < limit })
	ended := make(chan bool, limit)
	for _, w := range slow {
		go func() { ended <- w.refused() }()
	}
	if !<-ended {
		t.Error("none of them made room")
	}
}

// A body that trickles in is given up in HTTP/2 as in HTTP/1, unless it is that
// of a gRPC call.
func TestHTTP2SlowBody(t *testing.T) {
	up := serve(t, func(w http.ResponseWriter, r *http.Request) { h2Echo(w, r) })
	r := startRig(t, service(up.URL, ""), rigOptions{settings: func(s *engine.Settings) {
		s.ClientBodyTimeout, s.ClientBodyMinRate = time.Second, 1<<20
	}})
	for contentType, want := range map[string]string{"text/plain": "408", "application/grpc": "200"} {
		c := h2Dial(t, r.plain)
		id, err := c.open(false, ":method", "POST", ":scheme", "http", ":path", "/", ":authority", "a", "content-type", contentType)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for range 20 {
				<-tick.C
				_ = c.WriteData(id, false, []byte("x"))
			}
			_ = c.WriteData(id, true, nil)
		}()
		if got := c.outcome(id); got != want {
			t.Errorf("%s: %s, want %s", contentType, got, want)
		}
	}
}
