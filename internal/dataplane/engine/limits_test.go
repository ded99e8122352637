// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
)

const plainGet = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

// holding is an upstream that answers /hold once it is released.
func holding(t *testing.T) (url string, held *atomic.Int32, release func()) {
	hold := make(chan struct{})
	held = &atomic.Int32{}
	up := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			held.Add(1)
			<-hold
		}
		_, _ = io.WriteString(w, "ok")
	})
	release = sync.OnceFunc(func() { close(hold) })
	t.Cleanup(release)
	return up.URL, held, release
}

// refused reports whether the connection ends without a byte.
func (w *wire) refused() bool {
	w.t.Helper()
	_, err := w.in.ReadByte()
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
}

// At the limit new connections are refused at once while those that are being
// served go on; a connection that waits for a request makes room.
func TestWorkerConnections(t *testing.T) {
	url, held, release := holding(t)
	const limit = 4
	r := startRig(t, service(url, ""), rigOptions{settings: func(s *engine.Settings) { s.WorkerConnections = limit }})
	idle := make([]*wire, limit)
	for i := range idle {
		idle[i] = dialRig(t, r.plain).send(plainGet)
		idle[i].answer("GET")
		until(t, "the wait for another request", func() bool { return r.Working() == 0 })
	}
	// Each takes the place of the one that has waited longest.
	busy := make([]*wire, limit)
	for i := range busy {
		busy[i] = dialRig(t, r.plain).send("GET /hold HTTP/1.1\r\nHost: h\r\n\r\n")
		idle[i].ended()
		until(t, "its request", func() bool { return int(held.Load()) == i+1 && r.Connections() == limit })
	}
	const flood = 50
	for range flood {
		if !dialRig(t, r.plain).refused() {
			t.Fatal("a connection beyond the limit was served")
		}
	}
	if n := r.RefusedConnections(); n != flood {
		t.Errorf("%d connections were refused, want %d", n, flood)
	}
	if n := strings.Count(r.log.String(), "connections are refused"); n != 1 {
		t.Errorf("a flood of %d was logged %d times", flood, n)
	}
	release()
	for _, w := range busy {
		if a, _ := w.answer("GET"); a.StatusCode != 200 {
			t.Errorf("got %d on a connection that was there before the flood", a.StatusCode)
		}
	}
	if a, _ := r.get("/"); a.StatusCode != 200 {
		t.Errorf("got %d after the flood", a.StatusCode)
	}
}

// Connections that were answered and only go on sending make room, each for one.
func TestLingeringMakesRoom(t *testing.T) {
	url, _, _ := holding(t)
	const limit = 4
	for name, request := range map[string]string{
		"refused head": "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\nContent-Length: 11\r\n\r\n",
		"refused body": "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			r := startRig(t, service(url, ""), rigOptions{settings: func(s *engine.Settings) {
				s.WorkerConnections, s.ClientMaxBodySize, s.LingeringTime, s.LingeringTimeout = limit, 10, time.Hour, time.Hour
			}})
			lingering := make([]*wire, limit)
			for i := range lingering {
				lingering[i] = dialRig(t, r.plain).send(request)
				lingering[i].answer("POST")
				lingering[i].ended() // of what the gateway sends
				lingering[i].send("x")
			}
			until(t, "lingering", func() bool { return r.Lingering() == limit })
			for range limit {
				w := dialRig(t, r.plain).send(plainGet)
				if a, _ := w.answer("GET"); a.StatusCode != 200 {
					t.Errorf("a newcomer got %d", a.StatusCode)
				}
			}
			until(t, "the end of those that lingered", func() bool { return r.Lingering() == 0 })
			if n := r.RefusedConnections(); n != 0 {
				t.Errorf("%d connections were refused", n)
			}
		})
	}
}

func TestConnectionsPerAddress(t *testing.T) {
	url, _, _ := holding(t)
	for _, c := range []struct {
		name    string
		trusted string
		refused bool
	}{{"client", "", true}, {"trusted peer", "127.0.0.1/32", false}} {
		t.Run(c.name, func(t *testing.T) {
			r := startRig(t, service(url, ""), rigOptions{settings: func(s *engine.Settings) {
				s.ConnectionsPerAddress = 3
				if c.trusted != "" {
					setting(t, s, "KONG_TRUSTED_IPS", c.trusted)
				}
			}})
			var open []*wire
			for range 3 {
				w := dialRig(t, r.plain).send(plainGet)
				w.answer("GET")
				open = append(open, w)
			}
			fourth := dialRig(t, r.plain)
			if !c.refused {
				if a, _ := fourth.send(plainGet).answer("GET"); a.StatusCode != 200 {
					t.Errorf("got %d", a.StatusCode)
				}
				return
			}
			if !fourth.refused() {
				t.Error("the fourth connection was served")
			}
			_ = open[0].Close()
			until(t, "the end of the first", func() bool { return r.Connections() == 2 })
			if a, _ := r.get("/"); a.StatusCode != 200 {
				t.Errorf("got %d in the first's place", a.StatusCode)
			}
		})
	}
}

// setting reads one variable into s.
func setting(t *testing.T, s *engine.Settings, name, value string) {
	t.Helper()
	read, err := engine.ReadSettings(func(n string) (string, bool) { return value, n == name })
	if err != nil {
		t.Fatal(err)
	}
	s.TrustedIPs = read.TrustedIPs
}

// Clients that send their heads a byte at a time take neither the places of
// others nor much memory.
func TestSlowloris(t *testing.T) {
	url, _, _ := holding(t)
	const clients, limit = 1000, 600
	r := startRig(t, service(url, ""), rigOptions{settings: func(s *engine.Settings) { s.WorkerConnections = limit }})
	good := dialRig(t, r.plain)
	ask := func() {
		t.Helper()
		if a, _ := good.send(plainGet).answer("GET"); a.StatusCode != 200 {
			t.Fatalf("the good client got %d", a.StatusCode)
		}
	}
	ask()
	before := heap()
	slow := make([]net.Conn, 0, clients)
	for n := range clients {
		c, err := net.Dial("tcp", r.plain)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\nX-Slow: ")
		slow = append(slow, c)
		if n%100 == 0 {
			ask()
		}
	}
	for range 5 {
		for _, c := range slow {
			_, _ = io.WriteString(c, "x")
		}
		ask()
	}
	// One whose next byte came just then may stay.
	until(t, "the end of those beyond the limit", func() bool { return r.Connections() <= limit+limit/50 })
	const each = 32 << 10
	if grown := heap() - before; grown > limit*each {
		t.Errorf("%d slow clients take %d KiB each", limit, grown/limit>>10)
	}
	// A head that has not come for a while gives way to a new connection.
	until(t, "a place for another client", func() bool {
		w := dialRig(t, r.plain)
		_, _ = io.WriteString(w, plainGet)
		a, err := http.ReadResponse(w.in, nil)
		_ = w.Close()
		return err == nil && a.StatusCode == 200
	})
	ask()
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// trickle writes parts with a pause between them until one fails.
func trickle(w *wire, pause time.Duration, part string) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		if _, err := io.WriteString(w, part); err != nil {
			return
		}
	}
}

// What comes before a request is complete has one deadline, however it trickles
// in.
func TestTricklingHeads(t *testing.T) {
	url, _, _ := holding(t)
	r := startRig(t, service(url, ""), rigOptions{settings: func(s *engine.Settings) { s.ClientHeaderTimeout = 300 * time.Millisecond }})
	for _, c := range []struct{ name, address, start, part string }{
		{"request line", r.plain, "", "G"},
		{"header", r.plain, "GET / HTTP/1.1\r\nHost: h\r\nA: ", "b"},
		{"headers", r.plain, "GET / HTTP/1.1\r\nHost: h\r\n", "A: b\r\n"},
		{"HTTP/2 preface", r.plain, "", "PRI * HTTP/2.0"},
		{"empty lines", r.plain, "", "\r"},
		{"second request", r.plain, plainGet, "G"},
		{"TLS handshake", r.secure, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "\x00"},
		{"plain HTTP for TLS", r.secure, "GET / HTTP/1.1\r\nA: ", "b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := dialRig(t, c.address)
			began := time.Now()
			w.send(c.start)
			go trickle(w, 20*time.Millisecond, c.part)
			_, _ = io.Copy(io.Discard, w.in)
			if took := time.Since(began); took > patience/4 {
				t.Errorf("the connection lived for %v", took)
			}
		})
	}
}

// A body may be slow, not endlessly slow.
func TestTricklingBodies(t *testing.T) {
	up := serve(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	r := startRig(t, service(up.URL, ""), rigOptions{settings: func(s *engine.Settings) {
		s.ClientBodyTimeout, s.ClientBodyMinRate = 2*time.Second, 10000
	}})
	for name, head := range map[string]string{
		"length":           "Content-Length: 5000\r\n\r\n",
		"chunked":          "Transfer-Encoding: chunked\r\n\r\n",
		"length, streamed": "Content-Length: 50000\r\n\r\n" + strings.Repeat("x", 9000),
	} {
		part := "x"
		if strings.Contains(head, "chunked") {
			part = "1\r\nx\r\n"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := dialRig(t, r.plain).send("POST / HTTP/1.1\r\nHost: h\r\n" + head)
			began := time.Now()
			go trickle(w, 50*time.Millisecond, part)
			a, _ := w.answer("POST")
			took := time.Since(began)
			if a.StatusCode != 408 || !a.Close || took > patience/2 {
				t.Errorf("got %d after %v, close %t", a.StatusCode, took, a.Close)
			}
		})
	}
	t.Run("at the least rate", func(t *testing.T) {
		t.Parallel()
		w := dialRig(t, r.plain).send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 180000\r\n\r\n")
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for range 30 {
			w.send(strings.Repeat("x", 6000))
			<-tick.C
		}
		if a, _ := w.answer("POST"); a.StatusCode != 200 {
			t.Errorf("got %d", a.StatusCode)
		}
	})
}

// A client that does not read its answer is given up, and with it the upstream
// connection.
func TestSlowReader(t *testing.T) {
	given := make(chan error, 2)
	up := serve(t, func(w http.ResponseWriter, r *http.Request) {
		piece := make([]byte, 64<<10)
		for range 4096 {
			if _, err := w.Write(piece); err != nil {
				given <- err
				return
			}
		}
		given <- nil
	})
	r := startRig(t, service(up.URL, ""), rigOptions{settings: func(s *engine.Settings) { s.SendTimeout = 200 * time.Millisecond }})
	for name, address := range map[string]string{"plain": r.plain, "TLS": r.secure} {
		t.Run(name, func(t *testing.T) {
			w := dialRig(t, address)
			if name == "TLS" {
				w = wrap(t, secured(t, address, ""))
			}
			w.send(plainGet)
			if err := <-given; err == nil {
				t.Error("the upstream sent all of 256 MiB to nobody")
			}
		})
	}
	until(t, "the end of the connections", func() bool { return r.Connections() == 0 })
}

// Without keep-alive an answer says that it is the last one: a client that took
// the connection for open would lose its next request.
func TestNoKeepAlive(t *testing.T) {
	url, _, _ := holding(t)
	r := startRig(t, service(url, ""), rigOptions{settings: func(s *engine.Settings) { s.KeepaliveTimeout = 0 }})
	for name, address := range map[string]string{"plain": r.plain, "TLS": r.secure} {
		t.Run(name, func(t *testing.T) {
			w := dialRig(t, address)
			if name == "TLS" {
				w = wrap(t, secured(t, address, ""))
			}
			if a, body := w.send(plainGet).answer("GET"); a.StatusCode != 200 || body != "ok" || !a.Close {
				t.Errorf("got %d %q, close %t", a.StatusCode, body, a.Close)
			}
			w.ended()
		})
	}
}

// The connection is kept for as long as the client sends what nobody reads, but
// not longer than lingering_time.
func TestLingering(t *testing.T) {
	url, _, _ := holding(t)
	r := startRig(t, service(url, ""), rigOptions{settings: func(s *engine.Settings) {
		s.ClientMaxBodySize, s.LingeringTime, s.LingeringTimeout = 10, 500*time.Millisecond, 100*time.Millisecond
	}})
	for name, pause := range map[string]time.Duration{"time": 20 * time.Millisecond, "timeout": patience} {
		t.Run(name, func(t *testing.T) {
			w := dialRig(t, r.plain).send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n")
			began := time.Now()
			if a, _ := w.answer("POST"); a.StatusCode != 413 {
				t.Fatalf("got %d", a.StatusCode)
			}
			go trickle(w, pause, "x")
			until(t, "the end of the connection", func() bool { return r.Connections() == 0 })
			if took := time.Since(began); took > patience/4 || took < 100*time.Millisecond {
				t.Errorf("the connection lingered for %v", took)
			}
		})
	}
}
