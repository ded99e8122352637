// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	// idleTLSConnections is how many connections wait for their next request.
	idleTLSConnections = 1000
	// idleTLSMemory bounds what such a connection costs, in bytes: what a
	// plaintext one does, and crypto/tls's keys and buffers. Its read buffer
	// keeps the size of the largest record so far, which is 16 KiB at most.
	idleTLSMemory      = 24 << 10
	idleTLSMemoryLarge = 48 << 10
)

// A TLS connection that waits for its next request is cheap, and still so after
// it received a large body.
func TestIdleTLSMemory(t *testing.T) {
	if raceEnabled || poisoned {
		t.Skip("the race detector and the poison tag have memory of their own")
	}
	up := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	for _, c := range []struct {
		name  string
		body  int
		limit int64
	}{{"small", 0, idleTLSMemory}, {"after a large body", 100_000, idleTLSMemoryLarge}} {
		t.Run(c.name, func(t *testing.T) {
			r := startRig(t, service(up.URL, ""), rigOptions{})
			for range 50 { // what is made once is not counted
				idleTLS(t, r.secure, c.body)
			}
			before := memoryInUse()
			for range idleTLSConnections {
				idleTLS(t, r.secure, c.body)
			}
			if n := r.Connections(); n != idleTLSConnections+50 {
				t.Fatalf("%d connections", n)
			}
			each := (memoryInUse() - before) / idleTLSConnections
			t.Logf("%d bytes for an idle connection", each)
			if each > c.limit {
				t.Errorf("%d bytes for an idle connection, at most %d are allowed", each, c.limit)
			}
		})
	}
}

// idleTLS sends one request and leaves the connection open, as a socket that
// costs the process no memory.
func idleTLS(t *testing.T, address string, body int) {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nc.Close() }()
	c := tls.Client(nc, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // its own certificate
	request := "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + strconv.Itoa(body) + "\r\n\r\n"
	// The body comes alone, in records as large as they get.
	for _, part := range []string{request, strings.Repeat("x", body)} {
		if _, err := io.WriteString(c, part); err != nil {
			t.Fatal(err)
		}
	}
	a, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || a.StatusCode != http.StatusOK {
		t.Fatalf("got %v, %v", a, err)
	}
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		kept, err := unix.Dup(int(fd))
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { _ = unix.Close(kept) })
	})
	if err != nil {
		t.Fatal(err)
	}
}
