// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// shorten makes a listener's queue as short as the system permits.
func shorten(t *testing.T, l *net.TCPListener) {
	t.Helper()
	raw, err := l.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if failed := raw.Control(func(fd uintptr) { err = unix.Listen(int(fd), 0) }); failed != nil || err != nil {
		t.Fatal(failed, err)
	}
}
