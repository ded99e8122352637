// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"net/netip"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	// idleConnections is how many connections wait for their next request.
	idleConnections = 5000
	// idleMemory bounds what a plaintext connection costs while it waits for
	// its next request, in bytes: goroutine stack, buffers, socket and timers,
	// without what the kernel keeps.
	idleMemory = 8 << 10
)

// A connection that served a request and waits for the next one is cheap.
func TestIdleMemory(t *testing.T) {
	if raceEnabled || poisoned {
		t.Skip("the race detector and the poison tag have memory of their own")
	}
	r := startRig(t, service(quickUpstream(t), ""), rigOptions{})
	address := netip.MustParseAddrPort(r.plain)
	clients := make([]rawClient, 0, idleConnections+100)
	t.Cleanup(func() {
		for _, c := range clients {
			_ = unix.Close(int(c))
		}
	})
	connect := func(n int) {
		for range n {
			c := newRawClient(t, address)
			clients = append(clients, c)
			c.roundTrip(t)
		}
	}
	connect(100) // what is made once is not counted
	before := memoryInUse()
	connect(idleConnections)
	until(t, "the connections", func() bool { return r.Connections() == idleConnections+100 })
	each := (memoryInUse() - before) / idleConnections
	t.Logf("%d bytes for an idle connection", each)
	if each > idleMemory {
		t.Errorf("%d bytes for an idle connection, at most %d are allowed", each, idleMemory)
	}
}

// memoryInUse is what the process holds for live objects and stacks.
func memoryInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse + m.MSpanInuse + m.OtherSys)
}

// rawClient is a client connection that costs the process no memory.
type rawClient int

func newRawClient(t *testing.T, address netip.AddrPort) rawClient {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(address.Port()), Addr: address.Addr().As4()}); err != nil {
		t.Fatal(err)
	}
	return rawClient(fd)
}

func (c rawClient) roundTrip(t *testing.T) {
	t.Helper()
	if _, err := unix.Write(int(c), benchRequest); err != nil {
		t.Fatal(err)
	}
	var answer [4096]byte
	if n, err := unix.Read(int(c), answer[:]); err != nil || n == 0 {
		t.Fatalf("%d bytes, %v", n, err)
	}
}
