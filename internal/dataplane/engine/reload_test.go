// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// lives is a plugin whose instances are counted and must not be used after
// their end.
type lives struct {
	made, closed, used, misused atomic.Int64
}

func (l *lives) phases() *plugin.Phases {
	l.made.Add(1)
	var over atomic.Bool
	use := func(plugin.Exchange) {
		l.used.Add(1)
		if over.Load() {
			l.misused.Add(1)
		}
	}
	return &plugin.Phases{Access: use, HeaderFilter: use, Log: use, Close: func() {
		if over.Swap(true) {
			l.misused.Add(1)
		}
		l.closed.Add(1)
	}}
}

// load sends requests until told to stop, and reports any that failed. A
// connection may only end behind an answer that announced it.
type load struct {
	t       *testing.T
	stop    chan struct{}
	workers sync.WaitGroup
	done    atomic.Int64
	failed  atomic.Int64
	ended   atomic.Int64 // dials refused because the gateway is gone
	late    atomic.Int64 // requests sent after the time that a drain leaves
}

// A drain closes a connection without a request so long after it was opened,
// or after the last request on it was sent, at the soonest.
const (
	drainGrace      = 250 * time.Millisecond
	drainGraceFresh = time.Second
)

// lost reports a request that was not answered. The gateway owes an answer
// unless the request came after the time that a drain leaves: on a busy machine
// this process may be what was slow.
func (l *load) lost(n int, quiet time.Duration, err error) {
	if n == 0 && quiet >= drainGraceFresh || n > 0 && quiet >= drainGrace {
		l.late.Add(1)
		return
	}
	l.failed.Add(1)
	l.t.Errorf("request %d on its connection, sent %v after what came before: %v", n, quiet, err)
}

func startLoad(t *testing.T, address string, workers int) *load {
	l := &load{t: t, stop: make(chan struct{})}
	for range workers {
		l.workers.Add(1)
		go func() {
			defer l.workers.Done()
			for l.connection(address) {
			}
		}()
	}
	return l
}

// connection uses one connection until it ends; false ends the worker.
func (l *load) connection(address string) bool {
	began := time.Now()
	c, err := net.Dial("tcp", address)
	if err != nil {
		l.ended.Add(1)
		return false
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(c)
	for n := 0; ; n++ {
		select {
		case <-l.stop:
			return false
		default:
		}
		request := "GET /load HTTP/1.1\r\nHost: h\r\n\r\n"
		if n%3 == 1 {
			request = "POST /load HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
		}
		previous := began
		began = time.Now()
		_, err := io.WriteString(c, request)
		quiet := time.Since(previous)
		if err != nil {
			l.lost(n, quiet, err)
			return true
		}
		a, err := http.ReadResponse(in, nil)
		if err != nil {
			l.lost(n, quiet, err)
			return true
		}
		_, err = io.Copy(io.Discard, a.Body)
		if err != nil || a.StatusCode != 200 {
			l.failed.Add(1)
			l.t.Errorf("request %d: %d %v", n, a.StatusCode, err)
			return false
		}
		l.done.Add(1)
		if a.Close {
			return true
		}
	}
}

func (l *load) end() {
	close(l.stop)
	l.workers.Wait()
}

func withProbe(url, tag string) string {
	return service(url, fmt.Sprintf("plugins: [{name: probe-1, config: {tag: %q}}]\n", tag))
}

// No request is lost by reloads under load, and each instance is closed exactly
// once, after its last use.
func TestReloadUnderLoad(t *testing.T) {
	up := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	l := &lives{}
	r := startRig(t, withProbe(up.URL, "0"), rigOptions{plugins: probes{"probe-1": l.phases}})
	traffic := startLoad(t, r.plain, 8)
	const reloads = 100
	for n := 1; n <= reloads; n++ {
		before := traffic.done.Load()
		// Every second reload changes nothing: the instance is carried over.
		if rejected := r.apply(withProbe(up.URL, fmt.Sprint(n/2))); len(rejected) > 0 {
			t.Fatal(rejected)
		}
		until(t, "traffic", func() bool { return traffic.done.Load() > before+8 })
	}
	traffic.end()
	if l.made.Load() != reloads/2+1 {
		t.Errorf("%d instances, want %d", l.made.Load(), reloads/2+1)
	}
	until(t, "the end of old instances", func() bool { return l.closed.Load() == l.made.Load()-1 })
	if err := r.drain(patience); err != nil {
		t.Error(err)
	}
	if l.closed.Load() != l.made.Load() || l.misused.Load() > 0 {
		t.Errorf("%d made, %d closed, %d uses after the end", l.made.Load(), l.closed.Load(), l.misused.Load())
	}
	if l.used.Load() < 3*traffic.done.Load() {
		t.Errorf("%d uses in %d requests", l.used.Load(), traffic.done.Load())
	}
}

func (r *rig) drain(limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	r.drained = true
	return r.Drain(ctx)
}

// A request keeps the configuration that it started with, and its instances.
func TestReloadDuringARequest(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	up := serve(t, func(http.ResponseWriter, *http.Request) {
		close(entered)
		<-leave
	})
	l := &lives{}
	r := startRig(t, withProbe(up.URL, "old"), rigOptions{plugins: probes{"probe-1": l.phases}})
	w := dialRig(t, r.plain).send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	<-entered
	for n := range 10 {
		r.apply(withProbe(up.URL, fmt.Sprint("new", n)))
	}
	if n := l.closed.Load(); n != 0 {
		t.Errorf("%d instances were closed while the oldest is in use", n)
	}
	close(leave)
	if a, _ := w.answer("GET"); a.StatusCode != 200 {
		t.Errorf("got %d", a.StatusCode)
	}
	until(t, "the end of old instances", func() bool { return l.closed.Load() == 10 })
	if l.misused.Load() > 0 {
		t.Errorf("%d uses after the end", l.misused.Load())
	}
}

// Draining under load loses nothing: every request that was sent is answered.
func TestDrainUnderLoad(t *testing.T) {
	up := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	for range 3 {
		r := startRig(t, service(up.URL, ""), rigOptions{})
		traffic := startLoad(t, r.plain, 16)
		until(t, "traffic", func() bool { return traffic.done.Load() > 200 })
		if err := r.drain(patience); err != nil {
			t.Errorf("drain: %v", err)
		}
		traffic.workers.Wait()
		if traffic.ended.Load() != 16 {
			t.Errorf("%d workers ended because nobody listens, want 16", traffic.ended.Load())
		}
		if n := r.Connections(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
		if late := traffic.late.Load(); late > 0 {
			t.Logf("%d requests came too late, as this machine is busy", late)
		}
	}
}

func TestDrain(t *testing.T) {
	hold := make(chan struct{})
	var busy atomic.Int32
	up := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			busy.Add(1)
			<-hold
		}
		_, _ = io.WriteString(w, "ok")
	})
	l := &lives{}
	r := startRig(t, withProbe(up.URL, "0"), rigOptions{plugins: probes{"probe-1": l.phases}})
	slow := dialRig(t, r.plain).send("GET /hold HTTP/1.1\r\nHost: h\r\n\r\n")
	until(t, "the slow request", func() bool { return busy.Load() == 1 })
	idle := dialRig(t, r.plain).send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	idle.answer("GET")
	again := dialRig(t, r.plain).send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	again.answer("GET")
	fresh, announced := dialRig(t, r.plain), dialRig(t, r.plain)
	r.AnnounceDrain()
	if a, _ := announced.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").answer("GET"); !a.Close {
		t.Error("an answer during the drain keeps its connection")
	}
	done := make(chan error, 1)
	go func() { done <- r.drain(patience) }()
	// A connection that was opened before may still send its request.
	if a, _ := fresh.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").answer("GET"); a.StatusCode != 200 || !a.Close {
		t.Errorf("got %d, close %t", a.StatusCode, a.Close)
	}
	// While a request is under way nobody has to hurry.
	until(t, "the end of the listener", func() bool {
		c, err := net.Dial("tcp", r.plain)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	_ = idle.SetReadDeadline(time.Now().Add(2 * drainGrace))
	if _, err := idle.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("an idle connection got %v while a request is under way", err)
	}
	_ = idle.SetReadDeadline(time.Now().Add(patience))
	if a, _ := again.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").answer("GET"); a.StatusCode != 200 || !a.Close {
		t.Errorf("got %d, close %t", a.StatusCode, a.Close)
	}
	select {
	case err := <-done:
		t.Fatalf("drained while a request is under way: %v", err)
	default:
	}
	close(hold)
	if a, body := slow.answer("GET"); a.StatusCode != 200 || body != "ok" || !a.Close {
		t.Errorf("got %d %q, close %t", a.StatusCode, body, a.Close)
	}
	_ = slow.Close()
	idle.ended()
	if err := <-done; err != nil {
		t.Errorf("drain: %v", err)
	}
	if _, err := net.Dial("tcp", r.plain); err == nil {
		t.Error("the gateway still listens")
	}
	if l.closed.Load() != 1 || l.misused.Load() > 0 {
		t.Errorf("%d instances closed, %d uses after the end", l.closed.Load(), l.misused.Load())
	}
}

// What does not end by itself is cut off when the time is over.
func TestDrainCutsOff(t *testing.T) {
	hold := make(chan struct{})
	up := script(t, func(_ int, c net.Conn, in *bufio.Reader) {
		switch head := readHead(in); {
		case strings.Contains(head, "websocket"):
			_, _ = io.WriteString(c, upgradeAnswer)
			_, _ = io.Copy(c, in)
		default:
			<-hold
		}
	})
	defer close(hold)
	l := &lives{}
	r := startRig(t, withProbe(up.url, "0"), rigOptions{plugins: probes{"probe-1": l.phases}})
	tunnel := dialRig(t, r.plain).send(upgradeRequest)
	readHead(tunnel.in)
	waiting := dialRig(t, r.plain).send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	uploading := dialRig(t, r.plain).send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 20000))
	until(t, "the upstream connections", func() bool { return up.connections() == 3 })
	began := time.Now()
	if err := r.drain(100 * time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("drain: %v", err)
	}
	if took := time.Since(began); took > patience/4 {
		t.Errorf("the drain took %v", took)
	}
	for _, w := range []*wire{tunnel, waiting, uploading} {
		_, _ = io.Copy(io.Discard, w.in)
	}
	if n := r.Connections(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
	if l.closed.Load() != 1 || l.misused.Load() > 0 {
		t.Errorf("%d instances closed, %d uses after the end", l.closed.Load(), l.misused.Load())
	}
}

const upgradeRequest = "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

func TestTunnel(t *testing.T) {
	up := script(t, func(_ int, c net.Conn, in *bufio.Reader) {
		readHead(in)
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nwelcome ")
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				_, _ = io.WriteString(c, "bye")
				return
			}
			_, _ = io.WriteString(c, "echo "+line)
		}
	})
	l := &lives{}
	r := startRig(t, withProbe(up.url, "0"), rigOptions{plugins: probes{"probe-1": l.phases}})
	w := dialRig(t, r.plain).send(upgradeRequest + "early\n")
	head := readHead(w.in)
	for _, want := range []string{"HTTP/1.1 101 Switching Protocols\r\n", "Connection: upgrade\r\n", "Upgrade: websocket\r\n", "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"} {
		if !strings.Contains(head, want) {
			t.Errorf("%q is missing in %q", want, head)
		}
	}
	expect := func(want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(w.in, got); err != nil || string(got) != want {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
	}
	expect("welcome echo early\n")
	// A tunnel lets its configuration go, not the instances that log it.
	for n := range 20 {
		r.apply(withProbe(up.url, fmt.Sprint("new", n)))
	}
	w.send("late\n")
	expect("echo late\n")
	until(t, "the end of the instances in between", func() bool { return l.closed.Load() == 19 })
	if half, ok := w.Conn.(*net.TCPConn); !ok || half.CloseWrite() != nil {
		t.Fatal("half-close failed")
	}
	expect("bye")
	w.ended()
	until(t, "the end of the tunnel's instance", func() bool { return l.closed.Load() == 20 })
	if l.misused.Load() > 0 {
		t.Errorf("%d uses after the end", l.misused.Load())
	}
	until(t, "the log line", func() bool { return strings.Contains(r.access.String(), "\"GET /ws HTTP/1.1\" 101 ") })
}

// A tunnel ends when nothing moves either way; one direction keeps it alive.
func TestTunnelIdles(t *testing.T) {
	ended := make(chan time.Duration, 1)
	up := script(t, func(_ int, c net.Conn, in *bufio.Reader) {
		readHead(in)
		_, _ = io.WriteString(c, upgradeAnswer)
		began := time.Now()
		_, _ = io.Copy(io.Discard, in)
		ended <- time.Since(began)
	})
	config := fmt.Sprintf("services:\n- {name: s, url: %q, read_timeout: 300, routes: [{name: r, paths: [/]}]}\n", up.url)
	r := startRig(t, config, rigOptions{})
	w := dialRig(t, r.plain).send(upgradeRequest)
	readHead(w.in)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 20 {
		<-tick.C
		w.send("x")
	}
	if took := <-ended; took < time.Second {
		t.Errorf("the tunnel ended after %v although bytes went through it", took)
	}
	_, _ = io.Copy(io.Discard, w.in)
}
