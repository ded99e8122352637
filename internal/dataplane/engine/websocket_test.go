// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// upgradeAnswer accepts upgradeRequest.
const upgradeAnswer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

// Only a WebSocket handshake can become a tunnel: any other request goes upstream
// without its Upgrade, and a 101 to it is refused.
func TestUpgrades(t *testing.T) {
	const head = "Host: h\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
	for _, c := range []struct {
		name, request, answer string
		upgrades              bool // the upstream is asked to switch
		status                int
	}{
		{"websocket", upgradeRequest, upgradeAnswer, true, 101},
		{"without case", "GET / HTTP/1.1\r\n" + head + "Connection: keep-alive, UPGRADE\r\nUpgrade: WebSocket\r\n\r\n", upgradeAnswer, true, 101},
		{"no", upgradeRequest, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", true, 403},
		{"wrong accept", upgradeRequest, strings.Replace(upgradeAnswer, "s3pP", "s3pQ", 1), true, 502},
		{"two accepts", upgradeRequest, strings.Replace(upgradeAnswer, "\r\n\r\n", "\r\nSec-WebSocket-Accept: other\r\n\r\n", 1), true, 502},
		{"no accept", upgradeRequest, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", true, 101},
		{"no key", "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", upgradeAnswer, true, 502},
		{"another protocol in the answer", upgradeRequest, strings.Replace(upgradeAnswer, "Upgrade: websocket", "Upgrade: h2c", 1), true, 502},
		{"no Connection in the answer", upgradeRequest, strings.Replace(upgradeAnswer, "Connection: Upgrade\r\n", "", 1), true, 502},
		{"h2c", "GET / HTTP/1.1\r\n" + head + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n", upgradeAnswer, false, 502},
		{"h2c and websocket", "GET / HTTP/1.1\r\n" + head + "Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n\r\n", upgradeAnswer, false, 502},
		{"websocket and h2c", "GET / HTTP/1.1\r\n" + head + "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n", upgradeAnswer, false, 502},
		{"without Connection", "GET / HTTP/1.1\r\n" + head + "Upgrade: websocket\r\n\r\n", upgradeAnswer, false, 502},
		{"POST", "POST / HTTP/1.1\r\n" + head + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", upgradeAnswer, false, 502},
		{"with a body", "GET / HTTP/1.1\r\n" + head + "Content-Length: 1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nx", upgradeAnswer, false, 502},
		{"HTTP/1.0", "GET / HTTP/1.0\r\n" + head + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", upgradeAnswer, false, 502},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked := make(chan string, 1)
			up := script(t, func(_ int, conn net.Conn, in *bufio.Reader) {
				asked <- strings.ToLower(readHead(in))
				_, _ = io.WriteString(conn, c.answer)
				_, _ = io.Copy(conn, in)
			})
			r := startRig(t, service(up.url, ""), rigOptions{})
			w := dialRig(t, r.plain).send(c.request)
			a, _ := w.answer("GET")
			if a.StatusCode != c.status {
				t.Errorf("got %d, want %d", a.StatusCode, c.status)
			}
			head := <-asked
			if got := strings.Contains(head, "\r\nupgrade: websocket\r\n") && strings.Contains(head, "\r\nconnection: keep-alive, upgrade\r\n"); got != c.upgrades || strings.Contains(head, "h2c") {
				t.Errorf("the upstream was asked:\n%s", head)
			}
			if c.status == 101 {
				w.send("echo")
				got := make([]byte, 4)
				if _, err := io.ReadFull(w.in, got); err != nil || string(got) != "echo" {
					t.Errorf("through the tunnel: %q, %v", got, err)
				}
			}
		})
	}
}

// Open tunnels keep nothing of the configurations that come and go.
func TestTunnelsDoNotPinConfigurations(t *testing.T) {
	up := script(t, func(_ int, c net.Conn, in *bufio.Reader) {
		readHead(in)
		_, _ = io.WriteString(c, upgradeAnswer)
		_, _ = io.Copy(c, in)
	})
	l := &lives{}
	config := func(n int) string {
		var out strings.Builder
		out.WriteString(withProbe(up.url, fmt.Sprint(n)))
		out.WriteString("consumers:\n")
		for i := range 50 {
			_, _ = fmt.Fprintf(&out, "- {username: c-%d-%d}\n", n, i)
		}
		return out.String()
	}
	r := startRig(t, config(0), rigOptions{plugins: probes{"probe-1": l.phases}})
	reload := func(from, to int) {
		for n := from; n < to; n++ {
			r.apply(config(n))
			if n%50 == 0 {
				// Each tunnel began with another configuration.
				w := dialRig(t, r.plain).send(upgradeRequest)
				if head := readHead(w.in); !strings.HasPrefix(head, "HTTP/1.1 101 ") {
					t.Fatalf("got %q", head)
				}
			}
		}
	}
	reload(1, 200)
	until(t, "the end of older instances", func() bool { return l.closed.Load() >= 190 })
	before := liveHeap()
	reload(200, 1000)
	until(t, "the end of older instances", func() bool { return l.closed.Load() >= 970 })
	if grown := liveHeap() - before; grown > 2<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	if l.misused.Load() > 0 {
		t.Errorf("%d uses after the end", l.misused.Load())
	}
}

// liveHeap is what live objects take.
func liveHeap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
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
