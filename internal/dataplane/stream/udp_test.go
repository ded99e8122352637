// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
)

// udpUpstream receives datagrams and sends each of what answer makes of one.
func udpUpstream(t testing.TB, answer func(text string) []string) string {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadBuffer(4 << 20)
	var done sync.WaitGroup
	t.Cleanup(func() {
		_ = c.Close()
		done.Wait()
	})
	done.Go(func() {
		buf := make([]byte, maxDatagram)
		for {
			n, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			for _, text := range answer(string(buf[:n])) {
				_, _ = c.WriteToUDPAddrPort([]byte(text), from)
			}
		}
	})
	return c.LocalAddr().String()
}

func shout(text string) []string { return []string{strings.ToUpper(text)} }

// dialUDP opens a client of a listener.
func (r *rig) dialUDP(i int, network, host string) *net.UDPConn {
	r.t.Helper()
	c, err := (&net.Dialer{}).DialContext(r.t.Context(), network, net.JoinHostPort(host, fmt.Sprint(r.ports[i])))
	if err != nil {
		r.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	r.t.Cleanup(func() { _ = c.Close() })
	return c.(*net.UDPConn)
}

// ask sends a datagram and returns the answer.
func ask(t testing.TB, c net.Conn, text string) string {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return hear(t, c)
}

func hear(t testing.TB, c net.Conn) string {
	t.Helper()
	buf := make([]byte, maxDatagram)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func TestUDP(t *testing.T) {
	r := start(t, nil, "udp")
	r.config(route("udp", udpUpstream(t, shout), "read_timeout: 1500, "))
	one, two := r.dialUDP(0, "udp", "127.0.0.1"), r.dialUDP(0, "udp", "127.0.0.1")
	for i := range 5 {
		for name, c := range map[string]*net.UDPConn{"one": one, "two": two} {
			text := fmt.Sprintf("%s-%d", name, i)
			if got := ask(t, c, text); got != strings.ToUpper(text) {
				t.Errorf("%s: got %q", text, got)
			}
		}
	}
	large := strings.Repeat("a", 60_000)
	if got := ask(t, one, large); got != strings.ToUpper(large) {
		t.Errorf("a large datagram became %d bytes", len(got))
	}
	if _, err := one.Write(nil); err != nil {
		t.Fatal(err)
	}
	if got := hear(t, one); got != "" {
		t.Errorf("an empty datagram became %q", got)
	}
	if totals := r.Stats().Totals(); totals.Active[UDP] != 2 || totals.Accepted[UDP] != 2 {
		t.Errorf("totals %+v", totals)
	}
	sessions := map[netip.AddrPort]*pipeline.Session{}
	for range 2 {
		s := r.session()
		sessions[s.ClientFacts.Peer] = s
	}
	s := sessions[netip.MustParseAddrPort(two.LocalAddr().String())]
	if s == nil || s.EndStatus != 200 || s.FromClient != 25 || s.ToUpstream != 25 || s.FromUpstream != 25 || s.ToClient != 25 || s.UsedProtocol != "udp" {
		t.Fatalf("sessions %+v", s)
	}
	if m := s.Times; m.End.Sub(m.Start) < 1500*time.Millisecond {
		t.Errorf("ended after %s", m.End.Sub(m.Start))
	}
	if got := ask(t, two, "again"); got != "AGAIN" {
		t.Errorf("a new session got %q", got)
	}
}

// Answers come from the address that the client sent to, also where the socket
// is bound to none.
func TestUDPWildcard(t *testing.T) {
	r := start(t, nil, "any udp")
	up := netip.MustParseAddrPort(udpUpstream(t, shout))
	config := fmt.Sprintf(`
plugins: [{name: probe}]
services: [{name: s, host: 127.0.0.1, port: %d, protocol: udp, routes: [{name: r, protocols: [udp], destinations: [{ip: 127.0.0.0/8}, {ip: "::1"}]}]}]
`, up.Port())
	r.config(config)
	for _, host := range []string{"127.0.0.1", "127.0.0.2", "::1"} {
		c := r.dialUDP(0, "udp", host) // connected: hears this address only
		if got := ask(t, c, "x"); got != "X" {
			t.Errorf("%s: got %q", host, got)
		}
	}
}

func TestUDPResponses(t *testing.T) {
	two := func(text string) []string { return []string{text + "1", text + "2"} }
	for _, c := range []struct {
		name                string
		responses, requests int
		answer              func(string) []string
		sends, hears        int
	}{
		{"two answers", 2, 0, two, 1, 2},
		{"none", 0, 0, func(string) []string { return nil }, 1, 0},
		{"of two requests", 1, 2, shout, 2, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, func(s *Settings) { s.ProxyResponses, s.ProxyRequests = c.responses, c.requests }, "udp")
			r.config(route("udp", udpUpstream(t, c.answer), ""))
			client := r.dialUDP(0, "udp", "127.0.0.1")
			for i := range 3 { // each in a session of its own
				for range c.sends {
					_, _ = client.Write([]byte("a"))
				}
				for range c.hears {
					hear(t, client)
				}
				if s := r.session(); s.EndStatus != 200 || s.FromClient != int64(c.sends) {
					t.Errorf("session %d: %+v", i, s)
				}
			}
			if accepted := r.Stats().Totals().Accepted[UDP]; accepted != 3 {
				t.Errorf("%d sessions", accepted)
			}
		})
	}
}

// A peer where nobody listens says so by ICMP: the datagram goes to another.
func TestUDPRetries(t *testing.T) {
	gone, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	up := udpUpstream(t, shout)
	r := start(t, nil, "udp")
	r.config(fmt.Sprintf(`
plugins: [{name: probe}]
upstreams: [{name: many.test, targets: [{target: %q}, {target: %q}]}]
services: [{name: s, host: many.test, port: 1, protocol: udp, read_timeout: 50, routes: [{name: r, protocols: [udp], destinations: [{port: PORT0}]}]}]
`, gone.LocalAddr(), up))
	retried := 0
	for range 4 {
		if got := ask(t, r.dialUDP(0, "udp", "127.0.0.1"), "x"); got != "X" {
			t.Errorf("got %q", got)
		}
		s := r.session()
		if last := s.Attempts[len(s.Attempts)-1]; s.EndStatus != 200 || last.Address.String() != up {
			t.Errorf("%+v", s.Attempts)
		}
		retried += len(s.Attempts) - 1
	}
	if retried == 0 {
		t.Error("no session met the closed port")
	}
	r.config(route("udp", gone.LocalAddr().String(), ""))
	if _, err := r.dialUDP(0, "udp", "127.0.0.1").Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if s := r.session(); s.EndStatus != 502 || len(s.Attempts) != 3 {
		t.Errorf("status %d, %+v", s.EndStatus, s.Attempts)
	}
}

func TestUDPPlugins(t *testing.T) {
	r := start(t, nil, "udp")
	var got atomic.Int64
	up := udpUpstream(t, func(string) []string { got.Add(1); return nil })
	r.config(strings.Replace(route("udp", up, ""), "{name: probe}", "{name: probe}, {name: ip-restriction, config: {deny: [127.0.0.1]}}", 1))
	if _, err := r.dialUDP(0, "udp", "127.0.0.1").Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if s := r.session(); s.EndStatus != 403 || got.Load() != 0 {
		t.Errorf("status %d, %d datagrams came through", s.EndStatus, got.Load())
	}
	r.config("")
	if _, err := r.dialUDP(0, "udp", "127.0.0.1").Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	until(t, "a session without a route ends", func() bool { return r.Stats().Totals().Ended[UDP][3] == 1 })
}

// A flood from made-up addresses makes way for clients that are answered, and
// never takes more than its share.
func TestUDPSessionsAreLimited(t *testing.T) {
	const limit = 20
	r := start(t, func(s *Settings) { s.WorkerConnections = limit }, "udp")
	r.config(route("udp", udpUpstream(t, func(text string) []string {
		if text == "flood" {
			return nil
		}
		return shout(text)
	}), ""))
	genuine := r.dialUDP(0, "udp", "127.0.0.1")
	if got := ask(t, genuine, "x"); got != "X" {
		t.Fatalf("got %q", got)
	}
	goroutines := runtime.NumGoroutine()
	for i := range 200 {
		_, _ = r.dialUDP(0, "udp", "127.0.0.1").Write([]byte("flood"))
		until(t, "the datagram is taken", func() bool { return r.Stats().Totals().Accepted[UDP] == uint64(i+2) })
	}
	until(t, "the oldest made way", func() bool { return r.Stats().Totals().Active[UDP] <= limit })
	if got := ask(t, genuine, "y"); got != "Y" {
		t.Errorf("got %q", got)
	}
	if totals := r.Stats().Totals(); totals.Refused[UDP] < 200-limit || totals.Accepted[UDP] != 201 {
		t.Errorf("totals %+v", totals)
	}
	until(t, "sessions hold no goroutine", func() bool { return runtime.NumGoroutine() <= goroutines+2 })
}

// Many clients at once, each hears its own answers.
func TestUDPConcurrently(t *testing.T) {
	r := start(t, nil, "udp")
	r.config(route("udp", udpUpstream(t, shout), "read_timeout: 100, "))
	var all sync.WaitGroup
	for i := range 50 {
		c := r.dialUDP(0, "udp", "127.0.0.1")
		all.Go(func() {
			for j := range 20 {
				text := fmt.Sprintf("c%d-%d", i, j)
				buf := make([]byte, 100)
				for {
					// A datagram may be lost; the next try is another one.
					_, _ = c.Write([]byte(text))
					_ = c.SetReadDeadline(time.Now().Add(time.Second))
					n, err := c.Read(buf)
					if err == nil && !bytes.HasPrefix(buf[:n], fmt.Appendf(nil, "C%d-", i)) {
						t.Errorf("%s: got %q", text, buf[:n])
					}
					if err == nil {
						break
					}
				}
			}
		})
	}
	all.Wait()
	until(t, "all sessions end", func() bool { return r.Stats().Totals().Active[UDP] == 0 })
	if left := len(r.poller.sessions); left != 0 {
		t.Errorf("%d sockets are left", left)
	}
}

// What is under way in a drain goes on, new clients are not taken.
func TestUDPDrain(t *testing.T) {
	r := start(t, nil, "udp")
	r.config(route("udp", udpUpstream(t, shout), ""))
	c := r.dialUDP(0, "udp", "127.0.0.1")
	ask(t, c, "x")
	begin := time.Now()
	r.drained = true
	drained := make(chan error, 1)
	go func() { drained <- r.Drain(t.Context()) }()
	until(t, "the drain begins", func() bool { return r.udp[0].draining.Load() })
	if got := ask(t, c, "y"); got != "Y" {
		t.Errorf("got %q", got)
	}
	if _, err := r.dialUDP(0, "udp", "127.0.0.1").Write([]byte("z")); err != nil {
		t.Fatal(err)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took < drainPatience/2 || took > 30*time.Second {
		t.Errorf("an answered client kept the drain for %s", took)
	}
	if accepted := r.Stats().Totals().Accepted[UDP]; accepted != 1 {
		t.Errorf("%d sessions", accepted)
	}
}

func TestDestinationOf(t *testing.T) {
	for _, text := range []string{"192.0.2.1", "2001:db8::1"} {
		addr := netip.MustParseAddr(text)
		// What is sent with a datagram is what comes with one, but for IPv4, where
		// our own address has a place of its own.
		oob := appendSource(nil, addr)
		if addr.Is4() {
			copy(oob[headSize+pktinfo4Dest:], oob[headSize+pktinfo4Local:headSize+pktinfo4Dest])
		}
		if got, ok := destinationOf(oob); !ok || got != addr {
			t.Errorf("%s: %s, %t", text, got, ok)
		}
		if _, ok := destinationOf(oob[:headSize]); ok {
			t.Error("a message that is cut short is read")
		}
	}
}

func FuzzDestinationOf(f *testing.F) {
	f.Add(appendSource(nil, netip.MustParseAddr("192.0.2.1")))
	f.Add(appendSource(nil, netip.MustParseAddr("2001:db8::1")))
	f.Fuzz(func(t *testing.T, oob []byte) {
		if addr, ok := destinationOf(oob); ok && !addr.IsValid() {
			t.Errorf("%x", oob)
		}
	})
}
