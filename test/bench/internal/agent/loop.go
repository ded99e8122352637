// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// scratchSize is how much is read from a socket at once.
const scratchSize = 256 << 10

// handler is a socket in the loop.
type handler interface {
	// ready is called when the socket can be read or written as events says.
	ready(events uint32)
}

// loop is one epoll instance and the thread that serves it. Nothing of it may
// be used by another goroutine while run is under way, except wake.
type loop struct {
	epoll    int
	wakeFD   int
	handlers []handler // by file descriptor
	scratch  []byte
	events   []unix.EpollEvent
	stopped  bool
	// onWake runs in the loop after wake.
	onWake func()
}

func newLoop() (*loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	l := &loop{epoll: epoll, scratch: make([]byte, scratchSize), events: make([]unix.EpollEvent, 1024)}
	if l.wakeFD, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	return l, l.add(l.wakeFD, waker{l})
}

type waker struct{ l *loop }

func (w waker) ready(uint32) {
	var b [8]byte
	_, _ = unix.Read(w.l.wakeFD, b[:])
	if w.l.onWake != nil {
		w.l.onWake()
	}
}

// wake makes the loop run onWake. Any goroutine may call it.
func (l *loop) wake() {
	_, _ = unix.Write(l.wakeFD, []byte{1, 0, 0, 0, 0, 0, 0, 0})
}

func (l *loop) add(fd int, h handler) error {
	for fd >= len(l.handlers) {
		l.handlers = append(l.handlers, nil)
	}
	l.handlers[fd] = h
	return l.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN)
}

// writable asks for a call when fd can be written, or no longer.
func (l *loop) writable(fd int, on bool) error {
	events := uint32(unix.EPOLLIN)
	if on {
		events |= unix.EPOLLOUT
	}
	return l.control(unix.EPOLL_CTL_MOD, fd, events)
}

func (l *loop) control(op, fd int, events uint32) error {
	event := unix.EpollEvent{Events: events, Fd: int32(fd)} // #nosec G115 -- descriptors are small
	if err := unix.EpollCtl(l.epoll, op, fd, &event); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

func (l *loop) close(fd int) {
	l.handlers[fd] = nil
	_ = unix.Close(fd)
}

// run serves sockets until stopped is set. before is called before each wait
// and returns how long it may last; less than 0 is for ever.
func (l *loop) run(before func() time.Duration) error {
	for !l.stopped {
		n, err := l.wait(before())
		if err != nil {
			return fmt.Errorf("epoll_wait: %w", err)
		}
		for i := range n {
			if h := l.handlers[l.events[i].Fd]; h != nil {
				h.ready(l.events[i].Events)
			}
		}
	}
	return nil
}

// read reads once. It returns nothing when there is nothing, and an error at
// the end of the stream.
func (l *loop) read(fd int) ([]byte, error) {
	n, err := rawRead(fd, l.scratch)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return nil, nil
	case err != nil:
		return nil, err
	case n == 0:
		return nil, errEnd
	}
	return l.scratch[:n], nil
}

var errEnd = errors.New("the connection was closed by the other side")

// write writes as much as the socket takes and returns what is left.
func write(fd int, b []byte) ([]byte, error) {
	for len(b) > 0 {
		n, err := rawWrite(fd, b)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return b, nil
		case err != nil:
			return b, err
		default:
			b = b[n:]
		}
	}
	return nil, nil
}
