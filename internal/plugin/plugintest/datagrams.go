// SPDX-License-Identifier: Apache-2.0

package plugintest

import (
	"net"
	"testing"
	"time"
)

// Datagrams is a UDP server on 127.0.0.1.
type Datagrams struct {
	*net.UDPConn
	t testing.TB
}

// ListenUDP starts a server that runs until the test ends.
func ListenUDP(t testing.TB) *Datagrams {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &Datagrams{c, t}
}

// Port returns the port that the server listens on.
func (d *Datagrams) Port() int { return d.LocalAddr().(*net.UDPAddr).Port }

// Next returns the next datagram, and fails the test when none comes in 10 s.
func (d *Datagrams) Next() []byte {
	d.t.Helper()
	_ = d.SetReadDeadline(time.Now().Add(10 * time.Second))
	buffer := make([]byte, 1<<16)
	n, err := d.Read(buffer)
	if err != nil {
		d.t.Fatal(err)
	}
	return buffer[:n]
}
