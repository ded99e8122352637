// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"net"

	"golang.org/x/sys/unix"
)

// StopHandshakes has the kernel ignore requests for new connections to a
// listener, while those that are half-way are completed. Closing a listener
// resets what waits in its queue, and a queue that still fills can never be
// seen empty. A client whose request was ignored asks again, a second later,
// and then finds nobody. It returns false where the kernel has no such filters.
func StopHandshakes(l *net.TCPListener) bool {
	raw, err := l.SyscallConn()
	if err != nil {
		return false
	}
	const (
		flagsOffset = 13 // in the TCP header
		flagSYN     = 0x02
		keep        = 0xffff
	)
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: flagsOffset},
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, Jt: 0, Jf: 1, K: flagSYN},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: keep},
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	})
	return err == nil && failed == nil
}

// Queued reports whether a connection waits to be accepted.
func Queued(l *net.TCPListener) (waits bool) {
	raw, err := l.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Control(func(fd uintptr) {
		fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds[:], 0)
		waits = err == nil && n == 1
	})
	return waits && err == nil
}
