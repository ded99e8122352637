// SPDX-License-Identifier: Apache-2.0

//go:build race

package socket

import (
	"errors"

	"golang.org/x/sys/unix"
)

// The race detector has to hear of what the kernel reads and writes.

// Read reads from a non-blocking descriptor into b, as read(2) does. The error
// is a syscall.Errno: unix.EAGAIN when nothing is there.
func Read(fd uintptr, b []byte) (int, error) {
	return again(func() (int, error) { return unix.Read(int(fd), b) })
}

// Write writes b to a non-blocking descriptor, as write(2) does. The error is a
// syscall.Errno: unix.EAGAIN when there is no room.
func Write(fd uintptr, b []byte) (int, error) {
	return again(func() (int, error) { return unix.Write(int(fd), b) })
}

// WriteBoth writes first and then second, of which none is empty, to
// a non-blocking descriptor, as writev(2) does. The error is a syscall.Errno:
// unix.EAGAIN when there is no room.
func WriteBoth(fd uintptr, first, second []byte) (int, error) {
	return again(func() (int, error) { return unix.Writev(int(fd), [][]byte{first, second}) })
}

// Peek reads what is there into b and leaves it there, as recv(2) does with
// MSG_PEEK. It never waits, whatever the descriptor's mode.
func Peek(fd uintptr, b []byte) (int, error) {
	return again(func() (int, error) {
		n, _, err := unix.Recvfrom(int(fd), b, unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return n, err
	})
}

func again(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return max(n, 0), err
		}
	}
}
