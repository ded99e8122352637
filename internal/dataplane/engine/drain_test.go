// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kong/kong-istio-gateway/internal/dataplane/listener"
)

// deafClient is a TCP client that does not hear the answer to its request for a
// connection until it is told to.
type deafClient struct {
	t    *testing.T
	file *os.File
}

func dialDeaf(t *testing.T, address string) *deafClient {
	t.Helper()
	to := netip.MustParseAddrPort(address)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	nothing := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing[0]}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); !errors.Is(err, unix.EINPROGRESS) {
		t.Fatalf("connect: %v", err)
	}
	d := &deafClient{t: t, file: os.NewFile(uintptr(fd), "client")}
	t.Cleanup(func() { _ = d.file.Close() })
	return d
}

// hear lets the handshake end: the server repeats its half.
func (d *deafClient) hear() *wire {
	d.t.Helper()
	if err := unix.SetsockoptInt(int(d.file.Fd()), unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0); err != nil {
		d.t.Fatal(err)
	}
	fds := []unix.PollFd{{Fd: int32(d.file.Fd()), Events: unix.POLLOUT}}
	if n, err := unix.Poll(fds, int(patience.Milliseconds())); n != 1 || err != nil {
		d.t.Fatalf("the handshake does not end: %d, %v", n, err)
	}
	c, err := net.FileConn(d.file)
	if err != nil {
		d.t.Fatal(err)
	}
	_ = d.file.Close()
	return wrap(d.t, c)
}

// A handshake that was half-way when the listener was to close is completed,
// and its connection served: the client cannot know that it came last.
func TestDrainCompletesHandshakes(t *testing.T) {
	up := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	r := startRig(t, service(up.URL, ""), rigOptions{})
	port := netip.MustParseAddrPort(r.plain).Port()
	client := dialDeaf(t, r.plain)
	until(t, "the handshake", func() bool { n, err := listener.HalfOpen(port); return err == nil && n == 1 })
	done := make(chan error, 1)
	go func() { done <- r.drain(patience) }()
	until(t, "the drain", func() bool { return r.Draining() })
	w := client.hear()
	if a, body := w.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").answer("GET"); a.StatusCode != 200 || body != "ok" || !a.Close {
		t.Errorf("got %d %q, close %t", a.StatusCode, body, a.Close)
	}
	_ = w.Close()
	if err := <-done; err != nil {
		t.Errorf("drain: %v", err)
	}
}

// A client that never ends its handshake does not hold up the drain.
func TestDrainLeavesDeadHandshakes(t *testing.T) {
	r := startRig(t, service("http://127.0.0.1:1", ""), rigOptions{})
	port := netip.MustParseAddrPort(r.plain).Port()
	for range 20 {
		dialDeaf(t, r.plain)
	}
	until(t, "the handshakes", func() bool { n, err := listener.HalfOpen(port); return err == nil && n == 20 })
	began := time.Now()
	if err := r.drain(patience); err != nil {
		t.Errorf("drain: %v", err)
	}
	if took := time.Since(began); took > patience/2 {
		t.Errorf("the drain took %v", took)
	}
}

// What waits in the queues of the listeners when they are to close is accepted
// and served, each connection as its own listener says.
func TestDrainEmptiesQueues(t *testing.T) {
	const queued = 20
	up := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	r := startRig(t, service(up.URL, ""), rigOptions{queueing: true})
	const request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
	var waiting []*wire
	for range queued {
		waiting = append(waiting, dialRig(t, r.plain).send(request))
	}
	secured := dialRig(t, r.secure)
	if n := r.Connections(); n != 0 {
		t.Fatalf("%d connections were accepted before the drain", n)
	}
	done := make(chan error, 1)
	go func() { done <- r.drain(patience) }()
	waiting = append(waiting, wrap(t, tls.Client(secured.Conn, &tls.Config{InsecureSkipVerify: true})).send(request))
	for i, w := range waiting {
		if a, body := w.answer("GET"); a.StatusCode != 200 || body != "ok" || !a.Close {
			t.Errorf("connection %d: got %d %q, close %t", i, a.StatusCode, body, a.Close)
		}
		_ = w.Close()
	}
	if err := <-done; err != nil {
		t.Errorf("drain: %v", err)
	}
	if _, err := net.Dial("tcp", r.plain); err == nil {
		t.Error("the gateway still listens")
	}
}

// A connection without a request was opened to send one, and has the longer last
// look: also behind a handshake or a PROXY header.
func TestDrainLooksLongerWithoutRequest(t *testing.T) {
	handshake := func(r *rig) *wire {
		c, err := tls.Dial("tcp", r.secure, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		return wrap(t, c)
	}
	for _, c := range []struct {
		name    string
		proxied bool
		open    func(r *rig) *wire
	}{
		{"plain", false, func(r *rig) *wire { return dialRig(t, r.plain) }},
		{"TLS", false, handshake},
		{"PROXY header", true, func(r *rig) *wire { return dialRig(t, r.plain).send(header1) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := startRig(t, service("http://127.0.0.1:1", ""), rigOptions{proxied: c.proxied, settings: believing("127.0.0.1/32", "proxy_protocol")})
			w := c.open(r)
			until(t, "the connection", func() bool { return r.Connections() == 1 })
			began := time.Now()
			done := make(chan error, 1)
			go func() { done <- r.drain(patience) }()
			w.ended()
			if took := time.Since(began); took < drainGraceFresh {
				t.Errorf("closed after %v", took)
			}
			if err := <-done; err != nil {
				t.Errorf("drain: %v", err)
			}
		})
	}
}

// What ctx leaves is left to idle connections, too: a request that is on its
// way when a long one uses up the drain is answered.
func TestDrainLooksAtIdleConnectionsBeforeTheEnd(t *testing.T) {
	hold := make(chan struct{})
	up := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			<-hold
		}
	})
	defer close(hold)
	r := startRig(t, service(up.URL, ""), rigOptions{})
	dialRig(t, r.plain).send("GET /hold HTTP/1.1\r\nHost: h\r\n\r\n")
	idle := dialRig(t, r.plain).send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	idle.answer("GET")
	done := make(chan error, 1)
	go func() { done <- r.drain(2 * time.Second) }()
	idle.ended()
	select {
	case err := <-done:
		t.Errorf("the idle connection was closed with the rest, at the end: %v", err)
	default:
	}
	if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("drain: %v", err)
	}
}

func (r *rig) drain(limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	r.drained = true
	return r.Drain(ctx)
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
