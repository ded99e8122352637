// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// poller waits for the upstreams of all UDP sessions in one goroutine: a
// session costs a socket, but no goroutine and no buffer. It is an epoll set
// that Go's own netpoller watches, so that waiting occupies no thread.
type poller struct {
	file *os.File
	fd   int

	mu       sync.Mutex
	sessions map[int32]*udpSession // by socket
}

// pollEvents is how many sockets one look at the set returns.
const pollEvents = 128

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return &poller{file: os.NewFile(uintptr(fd), "epoll"), fd: fd, sessions: map[int32]*udpSession{}}, nil
}

// add has run tell s when its socket can be read.
func (p *poller) add(fd int, s *udpSession) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sessions[int32(fd)] = s
	err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
	if err != nil {
		delete(p.sessions, int32(fd))
	}
	return err
}

// remove forgets a socket and closes it. Nobody else uses it.
func (p *poller) remove(fd int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.sessions, int32(fd))
	_ = unix.Close(fd)
}

// run tells sessions of their sockets until close.
func (p *poller) run() {
	raw, err := p.file.SyscallConn()
	if err != nil {
		return
	}
	events := make([]unix.EpollEvent, pollEvents)
	buf, oob := make([]byte, maxDatagram), make([]byte, 0, destinationSpace)
	ready := 0
	look := func(fd uintptr) bool {
		for {
			ready, err = unix.EpollWait(int(fd), events, 0)
			if !errors.Is(err, unix.EINTR) {
				return ready != 0 || err != nil
			}
		}
	}
	for raw.Read(look) == nil && err == nil {
		for _, e := range events[:ready] {
			p.mu.Lock()
			s := p.sessions[e.Fd]
			p.mu.Unlock()
			if s != nil {
				s.readable(buf, oob)
			}
		}
	}
}

// close ends run.
func (p *poller) close() { _ = p.file.Close() }
