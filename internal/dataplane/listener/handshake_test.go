// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// dialDeaf opens a connection whose client does not hear the listener's answer:
// its handshake stays half-way.
func dialDeaf(t *testing.T, to netip.AddrPort) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	nothing := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing[0]}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().Unmap().As4()}); !errors.Is(err, unix.EINPROGRESS) {
		t.Fatalf("connect: %v", err)
	}
}

func TestHalfOpen(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::]:0"} {
		l, err := TCP(t.Context(), Spec{Address: netip.MustParseAddrPort(address)})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		port := l.Addr().(*net.TCPAddr).AddrPort().Port()
		open, err := net.Dial("tcp", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port).String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = open.Close() }()
		for want := range 3 {
			for name, count := range map[string]func(uint16) (int, error){"sock_diag": HalfOpen, "/proc": procHalfOpen} {
				if n, err := count(port); n != want || err != nil {
					t.Errorf("%s: %s counts %d, %v; want %d", address, name, n, err, want)
				}
			}
			dialDeaf(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port))
		}
		if n, err := HalfOpen(port ^ 1); n != 0 || err != nil {
			t.Errorf("%s: %d, %v at another port", address, n, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		AwaitHandshakes(ctx, l)
		if ctx.Err() == nil {
			t.Errorf("%s: nobody waits for handshakes that are half-way", address)
		}
		cancel()
	}
}

// Without the filter a drain under load loses connections, rarely: nothing else
// would tell.
func TestStopHandshakes(t *testing.T) {
	l, err := TCP(t.Context(), Spec{Address: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if !StopHandshakes(l) {
		t.Fatal("the listener takes no filter")
	}
	dialer := net.Dialer{Timeout: 50 * time.Millisecond}
	if c, err := dialer.DialContext(t.Context(), "tcp", l.Addr().String()); err == nil {
		_ = c.Close()
		t.Error("a connection was opened")
	}
	if Queued(l) {
		t.Error("a connection waits")
	}
}

func TestCountTable(t *testing.T) {
	table := `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0000 100 0 0 10 0
   1: 0100007F:1F40 0100007F:8000 03 00000000:00000000 01:00000000 00000000     0        0 0 1 0000
   2: 0100007F:1F40 0100007F:8001 0C 00000000:00000000 01:00000000 00000000     0        0 0 1 0000
   3: 0100007F:1F41 0100007F:8002 03 00000000:00000000 01:00000000 00000000     0        0 0 1 0000
   4: 0100007F:8003 0100007F:1F40 02 00000000:00000000 01:00000000 00000000     0        0 0 1 0000
`
	if n := countTable([]byte(table), 8000); n != 2 {
		t.Errorf("counted %d, want 2", n)
	}
}
