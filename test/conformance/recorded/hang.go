// SPDX-License-Identifier: Apache-2.0

package recorded

import (
	"golang.org/x/sys/unix"
)

// startHanging returns a port on which connecting never ends: its queue is
// full, and nobody accepts.
func startHanging() (port int, stop func(), err error) {
	var sockets []int
	stop = func() {
		for _, fd := range sockets {
			_ = unix.Close(fd)
		}
	}
	socket := func(kind int) (int, error) {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|kind, 0)
		if err == nil {
			sockets = append(sockets, fd)
		}
		return fd, err
	}
	l, err := socket(0)
	if err != nil {
		return 0, stop, err
	}
	loopback := [4]byte{127, 0, 0, 1}
	if err := unix.Bind(l, &unix.SockaddrInet4{Addr: loopback}); err != nil {
		return 0, stop, err
	}
	if err := unix.Listen(l, 0); err != nil {
		return 0, stop, err
	}
	own, err := unix.Getsockname(l)
	if err != nil {
		return 0, stop, err
	}
	if a, ok := own.(*unix.SockaddrInet4); ok {
		port = a.Port
	}
	for range 4 {
		fd, err := socket(unix.SOCK_NONBLOCK)
		if err != nil {
			return 0, stop, err
		}
		// It is in progress for ever.
		_ = unix.Connect(fd, &unix.SockaddrInet4{Addr: loopback, Port: port})
	}
	return port, stop, nil
}
