// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	waitingRequests = 1000
	// waitingMemory bounds what a request costs whose upstream has not answered,
	// both connections included, in bytes.
	waitingMemory = 32 << 10
)

// A request that waits for its answer holds no buffer for it.
func TestWaitingMemory(t *testing.T) {
	if raceEnabled || poisoned {
		t.Skip("the race detector and the poison tag have memory of their own")
	}
	up, arrived := silentUpstream(t)
	r := startRig(t, service(up, ""), rigOptions{})
	address := netip.MustParseAddrPort(r.plain)
	clients := make([]rawClient, 0, waitingRequests)
	t.Cleanup(func() {
		for _, c := range clients {
			_ = unix.Close(int(c))
		}
	})
	before := memoryInUse()
	for range waitingRequests {
		c := newRawClient(t, address)
		clients = append(clients, c)
		if _, err := unix.Write(int(c), benchRequest); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the requests", func() bool { return arrived.Load() == waitingRequests })
	each := (memoryInUse() - before) / waitingRequests
	t.Logf("%d bytes for a waiting request", each)
	if each > waitingMemory {
		t.Errorf("%d bytes for a waiting request, at most %d are allowed", each, waitingMemory)
	}
}

// silentUpstream reads requests and never answers. It costs the process no
// memory; arrived counts the requests.
func silentUpstream(t *testing.T) (url string, arrived *atomic.Int32) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, waitingRequests); err != nil {
		t.Fatal(err)
	}
	address, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	arrived = new(atomic.Int32)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var buf [4096]byte
		var taken []int
		for {
			c, _, err := unix.Accept(fd)
			if err != nil {
				break
			}
			taken = append(taken, c)
			if n, _ := unix.Read(c, buf[:]); n > 0 {
				arrived.Add(1)
			}
		}
		for _, c := range taken {
			_ = unix.Close(c)
		}
	}()
	t.Cleanup(func() {
		_ = unix.Shutdown(fd, unix.SHUT_RDWR)
		<-done
		_ = unix.Close(fd)
	})
	return fmt.Sprintf("http://127.0.0.1:%d", address.(*unix.SockaddrInet4).Port), arrived
}
