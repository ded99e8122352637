// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestParse(t *testing.T) {
	at := netip.MustParseAddrPort
	for _, c := range []struct {
		subsystem Subsystem
		in        string
		want      []Spec
		problem   string
	}{
		{Stream, "off", nil, ""},
		{Stream, "", nil, ""},
		{Stream, "0.0.0.0:9000", []Spec{{Address: at("0.0.0.0:9000")}}, ""},
		{Stream, " 127.0.0.1:1 reuseport backlog=16384 , [::]:2 ssl proxy_protocol ipv6only=on", []Spec{
			{Address: at("127.0.0.1:1"), ReusePort: true, Backlog: 16384},
			{Address: at("[::]:2"), TLS: true, ProxyProtocol: true, IPv6Only: true},
		}, ""},
		{Stream, "*:53 udp bind", []Spec{{Address: at("0.0.0.0:53"), UDP: true}}, ""},
		{Stream, "*:1 so_keepalive=on", []Spec{{Address: at("0.0.0.0:1"), KeepAlive: KeepAlive{On: true}}}, ""},
		{Stream, "*:1 so_keepalive=off ipv6only=off", []Spec{{Address: at("0.0.0.0:1")}}, ""},
		{Stream, "*:1 so_keepalive=30m::10", []Spec{{Address: at("0.0.0.0:1"), KeepAlive: KeepAlive{On: true, Idle: 30 * time.Minute, Count: 10}}}, ""},
		{Stream, "*:1 so_keepalive=:75:", []Spec{{Address: at("0.0.0.0:1"), KeepAlive: KeepAlive{On: true, Interval: 75 * time.Second}}}, ""},
		{HTTP, "*:1 ssl http2 deferred mesh", []Spec{{Address: at("0.0.0.0:1"), TLS: true, HTTP2: true, Mesh: true}}, ""},
		{HTTP, "*:1 udp", nil, `"udp"`},
		{HTTP, "*:1 fast", nil, `proxy_listen "*:1 fast": flag "fast"`},
		{Stream, "*:1 http2", nil, `stream_listen "*:1 http2": flag "http2"`},
		{Stream, "*:1 udp ssl", nil, "ssl is for connections"},
		{Stream, "*:1 proxy_protocol udp", nil, "proxy_protocol is for connections"},
		{Stream, "*:1 udp backlog=1", nil, "backlog is for connections"},
		{Stream, "*:1 backlog=0", nil, "backlog=0"},
		{Stream, "*:1 backlog=x", nil, "backlog=x"},
		{Stream, "*:1 backlog", nil, `"backlog"`},
		{Stream, "*:1 ssl=on", nil, `"ssl=on"`},
		{Stream, "*:1 ipv6only=yes", nil, "ipv6only=yes"},
		{Stream, "*:1 so_keepalive=1:2", nil, "so_keepalive=1:2"},
		{Stream, "*:1 so_keepalive=::", nil, "so_keepalive=::"},
		{Stream, "*:1 so_keepalive=::0", nil, "so_keepalive=::0"},
		{Stream, "*:1 so_keepalive=1ms::", nil, "so_keepalive=1ms::"},
		{Stream, "*:1,", nil, "empty entry"},
		{Stream, "localhost:1", nil, "IP:PORT"},
		{Stream, "0.0.0.0:99999", nil, "IP:PORT"},
	} {
		got, err := Parse(c.subsystem, c.in)
		if c.problem != "" {
			if err == nil || !strings.Contains(err.Error(), c.problem) {
				t.Errorf("%q: got %v, want %q", c.in, err, c.problem)
			}
			continue
		}
		if err != nil || len(got) != len(c.want) {
			t.Errorf("%q: got %v, %v", c.in, got, err)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%q: got %+v, want %+v", c.in, got[i], c.want[i])
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("0.0.0.0:8000, [::]:8443 ssl reuseport backlog=1 so_keepalive=1m:2s:3")
	f.Add("off")
	f.Fuzz(func(t *testing.T, in string) {
		for _, subsystem := range []Subsystem{HTTP, Stream} {
			specs, err := Parse(subsystem, in)
			if err != nil {
				continue
			}
			for _, s := range specs {
				if !s.Address.IsValid() || s.Backlog < 0 || s.UDP && (s.TLS || s.ProxyProtocol) {
					t.Errorf("%q: %+v", in, s)
				}
			}
		}
	})
}

func TestSockets(t *testing.T) {
	loopback := netip.MustParseAddrPort("127.0.0.1:0")
	l, err := TCP(t.Context(), Spec{Address: loopback, ReusePort: true, Backlog: 7, KeepAlive: KeepAlive{On: true, Idle: 42 * time.Second, Count: 3}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	var dialer net.Dialer
	client, err := dialer.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	c, err := l.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	socket, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[int]int{unix.TCP_KEEPIDLE: 42, unix.TCP_KEEPCNT: 3} {
		got := 0
		_ = socket.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, name) })
		if err != nil || got != want {
			t.Errorf("TCP option %d: %d, %v; want %d", name, got, err, want)
		}
	}
	again, err := TCP(t.Context(), Spec{Address: netip.MustParseAddrPort(l.Addr().String()), ReusePort: true})
	if err != nil {
		t.Errorf("a second listener with reuseport: %v", err)
	} else {
		_ = again.Close()
	}
	u, err := UDP(t.Context(), Spec{Address: loopback, UDP: true})
	if err != nil {
		t.Fatal(err)
	}
	_ = u.Close()
}
