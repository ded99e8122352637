// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The sockets never block, so the scheduler need not hear of the calls.

func rawRead(fd int, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b))) // #nosec G103 -- a system call
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil // #nosec G115 -- at most len(b)
}

func rawWrite(fd int, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b))) // #nosec G103 -- a system call
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil // #nosec G115 -- at most len(b)
}

// wait waits for events with the precision of nanoseconds that open loops need.
// It first looks without waiting, and without the scheduler.
func (l *loop) wait(timeout time.Duration) (int, error) {
	n, err := l.pwait(syscall.RawSyscall6, 0)
	if n != 0 || err != nil || timeout == 0 {
		return n, err
	}
	return l.pwait(syscall.Syscall6, timeout)
}

type syscall6 func(trap, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2 uintptr, err syscall.Errno)

func (l *loop) pwait(call syscall6, timeout time.Duration) (int, error) {
	var limit *unix.Timespec
	if timeout >= 0 {
		t := unix.NsecToTimespec(int64(timeout))
		limit = &t
	}
	n, _, errno := call(unix.SYS_EPOLL_PWAIT2, uintptr(l.epoll), uintptr(unsafe.Pointer(unsafe.SliceData(l.events))), // #nosec G103 -- a system call
		uintptr(len(l.events)), uintptr(unsafe.Pointer(limit)), 0, 0) // #nosec G103 -- a system call
	switch {
	case errno == 0:
		return int(n), nil // #nosec G115 -- at most len(events)
	case errors.Is(errno, unix.EINTR):
		return 0, nil
	}
	return 0, errno
}
