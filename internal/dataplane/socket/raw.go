// SPDX-License-Identifier: Apache-2.0

//go:build !race

package socket

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Read reads from a non-blocking descriptor into b, as read(2) does. The error
// is a syscall.Errno: unix.EAGAIN when nothing is there.
func Read(fd uintptr, b []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b))) // #nosec G103 -- a system call
		if errno != unix.EINTR {
			return result(n, errno)
		}
	}
}

// Write writes b to a non-blocking descriptor, as write(2) does. The error is a
// syscall.Errno: unix.EAGAIN when there is no room.
func Write(fd uintptr, b []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b))) // #nosec G103 -- a system call
		if errno != unix.EINTR {
			return result(n, errno)
		}
	}
}

// WriteBoth writes first and then second, of which none is empty, to
// a non-blocking descriptor, as writev(2) does. The error is a syscall.Errno:
// unix.EAGAIN when there is no room.
func WriteBoth(fd uintptr, first, second []byte) (int, error) {
	list := [2]unix.Iovec{{Base: &first[0], Len: uint64(len(first))}, {Base: &second[0], Len: uint64(len(second))}}
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&list)), uintptr(len(list))) // #nosec G103 -- a system call
		if errno != unix.EINTR {
			return result(n, errno)
		}
	}
}

// Peek reads what is there into b and leaves it there, as recv(2) does with
// MSG_PEEK. It never waits, whatever the descriptor's mode.
func Peek(fd uintptr, b []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), // #nosec G103 -- a system call
			unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
		if errno != unix.EINTR {
			return result(n, errno)
		}
	}
}

func result(n uintptr, errno syscall.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil // #nosec G115 -- at most the length of a slice
}
