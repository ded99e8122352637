// SPDX-License-Identifier: Apache-2.0

package loop

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

type syscallConn = syscall.RawConn

// What follows does not wait, so that the scheduler need not hear of it.

func epollNow(epoll int, events []unix.EpollEvent) int {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// read reads what is there. It returns 0 without an error at the end.
func (e *end) read(p []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(e.fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
		switch errno {
		case 0:
			// Less than asked for says that the socket is empty, but for its end.
			if int(n) < len(p) && n > 0 && !e.hungUp {
				e.readable = false
			}
			return int(n), nil
		case unix.EINTR:
		case unix.EAGAIN:
			e.readable = false
			return 0, errno
		default:
			return 0, errno
		}
	}
}

// write writes what there is room for.
func (e *end) write(p []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(e.fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
		switch errno {
		case 0:
			if int(n) < len(p) {
				e.writable = false
			}
			return int(n), nil
		case unix.EINTR:
		case unix.EAGAIN:
			e.writable = false
			return 0, nil
		default:
			return 0, errno
		}
	}
}
