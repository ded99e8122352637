// SPDX-License-Identifier: Apache-2.0

// Package loop drives connections by an event loop for each core: sockets do
// not block, one thread waits for all of them, and a request is a state machine
// that is moved on when one of its two sockets is ready.
package loop

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kong/kong-istio-gateway/test/bench/drivers/internal/site"
)

const (
	headBuffer   = 4 << 10
	bodyBuffer   = 16 << 10
	answerBuffer = 33 << 10
	// writeAhead is how much of an answer is held for a client that does not
	// read before no more of it is read.
	writeAhead = 16 << 10
	eventBatch = 256
	// sweepInterval is how exact deadlines are.
	sweepInterval = time.Second
)

// Server is one loop for each core.
type Server struct {
	site *site.Site
	// HandOver runs access phases that may block on goroutines. Without it
	// they run on the loop.
	HandOver bool
	loops    []*loop
}

// New returns a server that does not listen yet.
func New(s *site.Site) *Server { return &Server{site: s, HandOver: true} }

// Listen opens an address once for each core and serves it.
func (s *Server) Listen(address netip.AddrPort) error {
	for range runtime.GOMAXPROCS(0) {
		fd, err := listen(address)
		if err != nil {
			return err
		}
		l, err := newLoop(s, fd)
		if err != nil {
			return err
		}
		s.loops = append(s.loops, l)
		go l.run()
	}
	return nil
}

// listen opens a socket that shares its address with others.
func listen(address netip.AddrPort) (int, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscallConn) error {
		return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	}}
	l, err := config.Listen(context.Background(), "tcp", address.String())
	if err != nil {
		return -1, err
	}
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		return -1, err
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	_, _ = f.Close(), l.Close()
	if err != nil {
		return -1, err
	}
	return fd, unix.SetNonblock(fd, true)
}

// end is a socket of a loop.
type end struct {
	fd       int
	turn     int32 // tells sockets apart that had the same number
	readable bool
	writable bool
	hungUp   bool
	client   *client
	backend  *backend
}

// loop owns its sockets. Other goroutines only post to it.
type loop struct {
	server *Server
	site   *site.Site
	epoll  int
	listen int
	wake   int
	now    time.Time
	swept  time.Time
	turn   int32
	ends   []*end
	idle   []*backend

	memories []*memory
	answers  [][]byte

	mu     sync.Mutex
	posted []func()
}

func newLoop(s *Server, listen int) (*loop, error) {
	l := &loop{server: s, site: s.site, listen: listen, now: time.Now()}
	l.swept = l.now
	var err error
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	if l.wake, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return nil, err
	}
	for _, fd := range []int{l.listen, l.wake} {
		if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// post has f run on the loop. Any goroutine may call it.
func (l *loop) post(f func()) {
	l.mu.Lock()
	l.posted = append(l.posted, f)
	first := len(l.posted) == 1
	l.mu.Unlock()
	if first {
		var one [8]byte
		binary.NativeEndian.PutUint64(one[:], 1)
		_, _ = unix.Write(l.wake, one[:])
	}
}

func (l *loop) runPosted() {
	var count [8]byte
	_, _ = unix.Read(l.wake, count[:])
	l.mu.Lock()
	posted := l.posted
	l.posted = nil
	l.mu.Unlock()
	for _, f := range posted {
		f()
	}
}

// run serves until the process ends.
func (l *loop) run() {
	runtime.LockOSThread()
	var events [eventBatch]unix.EpollEvent
	for {
		n := epollNow(l.epoll, events[:])
		if n == 0 {
			n, _ = unix.EpollWait(l.epoll, events[:], int(sweepInterval.Milliseconds()))
		}
		l.now = time.Now()
		batch := events[:max(n, 0)]
		for i := range batch {
			l.note(&batch[i])
		}
		for i := range batch {
			l.serve(&batch[i])
		}
		if l.now.Sub(l.swept) >= sweepInterval {
			l.swept = l.now
			l.sweep()
		}
	}
}

// note records what a socket is ready for before any request moves on, so that
// no request is sent into a connection whose end was already reported.
func (l *loop) note(event *unix.EpollEvent) {
	e := l.at(event)
	if e == nil {
		return
	}
	e.readable = e.readable || event.Events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
	e.writable = e.writable || event.Events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0
	e.hungUp = e.hungUp || event.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
	if b := e.backend; b != nil && b.client == nil && e.readable {
		l.drop(b)
	}
}

// serve moves the request of a socket on.
func (l *loop) serve(event *unix.EpollEvent) {
	switch int(event.Fd) {
	case l.listen:
		l.accept()
		return
	case l.wake:
		l.runPosted()
		return
	}
	e := l.at(event)
	if e == nil {
		return
	}
	if e.client != nil {
		e.client.step()
	} else if e.backend.client != nil {
		e.backend.client.step()
	}
}

func (l *loop) at(event *unix.EpollEvent) *end {
	if int(event.Fd) >= len(l.ends) {
		return nil
	}
	if e := l.ends[event.Fd]; e != nil && e.turn == event.Pad {
		return e
	}
	return nil
}

// add has the loop watch a socket.
func (l *loop) add(e *end) error {
	for e.fd >= len(l.ends) {
		l.ends = append(l.ends, make([]*end, max(64, len(l.ends)))...)
	}
	l.turn++
	e.turn = l.turn
	l.ends[e.fd] = e
	const all = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, e.fd, &unix.EpollEvent{Events: all & 0xffffffff, Fd: int32(e.fd), Pad: e.turn})
}

func (l *loop) close(e *end) {
	if l.ends[e.fd] == e {
		l.ends[e.fd] = nil
		_ = unix.Close(e.fd)
	}
}

func (l *loop) accept() {
	for {
		fd, from, err := unix.Accept4(l.listen, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		local, _ := unix.Getsockname(fd)
		l.adopt(fd, site.Peers{Client: addrPort(from), Local: addrPort(local)})
	}
}

// adopt makes a socket a client.
func (l *loop) adopt(fd int, peers site.Peers) {
	c := &client{end: end{fd: fd}, loop: l, peers: peers, deadline: l.now.Add(site.HeaderTimeout)}
	c.client = c
	if l.add(&c.end) != nil {
		_ = unix.Close(fd)
	}
}

// sweep ends what took too long.
func (l *loop) sweep() {
	for _, e := range l.ends {
		if e != nil && e.client != nil && l.now.After(e.client.deadline) {
			e.client.late()
		}
	}
	for _, b := range append([]*backend(nil), l.idle...) {
		if l.now.Sub(b.since) > site.UpstreamIdle {
			l.drop(b)
		}
	}
}

func addrPort(a unix.Sockaddr) netip.AddrPort {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return netip.AddrPort{}
}
