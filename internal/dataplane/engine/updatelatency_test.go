// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// manyRoutes are routes besides the one that is used, to the same service.
func manyRoutes(n int, service entity.ID) (d entity.Delta) {
	for i := range n {
		d.Put = append(d.Put, &entity.Route{
			ID: testID(1, i), Service: &entity.Ref{ID: service}, Hosts: []string{"many.test"},
			Paths: []string{fmt.Sprintf("/app-%d/", i), fmt.Sprintf("~/app-%d$", i)},
		})
	}
	return d
}

// BenchmarkLatencyUnderChanges sends requests at a fixed pace over 8
// connections among 5,000 routes, by turns while nothing changes and under 10
// changes of a route a second, and reports the 99th percentiles and their ratio.
// An iteration is one such pair of a second each.
func BenchmarkLatencyUnderChanges(b *testing.B) {
	const routes, clients, pace = 5000, 8, 4 * time.Millisecond
	up := quickUpstream(b)
	r := startRig(b, service(up, ""), rigOptions{})
	base := r.decoded(service(up, ""))
	if rejected := r.Update(manyRoutes(routes, base["s"].EntityID())); len(rejected) > 0 {
		b.Fatal(rejected)
	}
	var connections []*quickClient
	for range clients {
		connections = append(connections, newQuickClient(b, r.plain))
	}
	var quiet, changing []time.Duration
	n := 0
	for b.Loop() {
		quiet = append(quiet, measure(b, connections, pace, func() {})...)
		changing = append(changing, measure(b, connections, pace, func() {
			n++
			changed := *manyRoutes(1, base["s"].EntityID()).Put[0].(*entity.Route)
			changed.ID, changed.Paths = testID(1, n%routes), []string{fmt.Sprintf("/changed-%d/", n)}
			r.Update(put(&changed))
		})...)
	}
	p99 := func(all []time.Duration) float64 {
		slices.Sort(all)
		return float64(all[len(all)*99/100])
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(p99(quiet)/1e3, "quiet-p99-µs")
	b.ReportMetric(p99(changing)/1e3, "changing-p99-µs")
	b.ReportMetric(p99(changing)/p99(quiet), "changing/quiet")
}

// measure sends requests for a second and calls change ten times meanwhile.
func measure(b *testing.B, connections []*quickClient, pace time.Duration, change func()) (all []time.Duration) {
	var mu sync.Mutex
	var done sync.WaitGroup
	for _, c := range connections {
		done.Go(func() {
			var took []time.Duration
			for tick, end := time.NewTicker(pace), time.Now().Add(time.Second); time.Now().Before(end); {
				<-tick.C
				began := time.Now()
				c.roundTrip(b)
				took = append(took, time.Since(began))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
		})
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range 10 {
		<-tick.C
		change()
	}
	done.Wait()
	return all
}

// Tunnels outlive many configurations, and hold none of them.
func TestTunnelsLetConfigurationsGo(t *testing.T) {
	up := script(t, func(_ int, c net.Conn, in *bufio.Reader) {
		readHead(in)
		_, _ = fmt.Fprint(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
		_, _ = in.ReadByte()
	})
	l := &lives{}
	r := startRig(t, withProbe(up.url, "0"), rigOptions{plugins: probes{"probe-1": l.phases}})
	base := r.decoded(withProbe(up.url, "0"))
	const reloads, every = 1000, 100
	var held []func() bool
	for n := range reloads {
		if n%every == 0 {
			w := dialRig(t, r.plain).send("GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
			if a, err := http.ReadResponse(w.in, nil); err != nil || a.StatusCode != 101 {
				t.Fatalf("%+v, %v", a, err)
			}
		}
		held = append(held, r.Watched())
		probe := *base["probe-1"].(*entity.Plugin)
		probe.Config = map[string]any{"tag": fmt.Sprint(n)}
		d := put(&probe, &entity.Route{ID: testID(1, n%20), Service: &entity.Ref{ID: base["s"].EntityID()}, Paths: []string{fmt.Sprint("/", n)}})
		if rejected := r.Update(d); len(rejected) > 0 {
			t.Fatal(rejected)
		}
	}
	until(t, "old configurations to be let go", func() bool {
		runtime.GC()
		return !slices.ContainsFunc(held, func(h func() bool) bool { return h() })
	})
	// What a tunnel still needs is its own instance.
	until(t, "the end of instances", func() bool { return l.closed.Load() == l.made.Load()-reloads/every-1 })
	if l.misused.Load() > 0 {
		t.Errorf("%d uses after the end", l.misused.Load())
	}
}
