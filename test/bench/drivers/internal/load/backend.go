// SPDX-License-Identifier: Apache-2.0

// Package load is a cheap client and a cheap backend. Both are one thread with
// an event loop, so that they leave their core to each other.
package load

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// answer is what the backend says to every request.
const answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: keep-alive\r\nX-Backend: b\r\n\r\nabc"

// forwarded are the fields that a request has when it comes through a proxy.
var forwarded = []string{
	"X-Real-IP:", "X-Forwarded-For:", "X-Forwarded-Proto:", "X-Forwarded-Host:", "X-Forwarded-Port:", "X-Forwarded-Path:",
	"Via: 1.1 kong/", "X-Kong-Request-Id:",
}

// Backend answers requests without a body.
type Backend struct {
	requests atomic.Int64
	lacking  atomic.Pointer[string]
	backlog  map[int]int // bytes of an end of a head, by socket
}

// NewBackend returns a backend that does not serve yet.
func NewBackend() *Backend { return &Backend{backlog: map[int]int{}} }

// ServeHTTP tells how many requests came, and what the first of a connection
// lacked.
func (b *Backend) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	count := Count{Requests: b.requests.Load()}
	if lacking := b.lacking.Load(); lacking != nil {
		count.Lacking = *lacking
	}
	_ = json.NewEncoder(w).Encode(count)
}

// Count is what a backend saw.
type Count struct {
	Requests int64  `json:"requests"`
	Lacking  string `json:"lacking,omitempty"`
}

// Serve answers what comes to a listener.
func (b *Backend) Serve(l *net.TCPListener) error {
	runtime.LockOSThread()
	f, err := l.File()
	if err != nil {
		return err
	}
	defer func() { _, _ = f.Close(), l.Close() }()
	listener := int(f.Fd())
	if err := unix.SetNonblock(listener, true); err != nil {
		return err
	}
	epoll, err := unix.EpollCreate1(0)
	if err != nil {
		return err
	}
	if err := watch(epoll, listener, unix.EPOLLIN); err != nil {
		return err
	}
	events, buf := make([]unix.EpollEvent, 512), make([]byte, 64<<10)
	for {
		n, err := unix.EpollWait(epoll, events, -1)
		if err != nil && err != unix.EINTR {
			return err
		}
		for _, event := range events[:max(n, 0)] {
			if int(event.Fd) == listener {
				b.accept(epoll, listener)
			} else {
				b.serve(int(event.Fd), buf)
			}
		}
	}
}

func (b *Backend) accept(epoll, listener int) {
	for {
		fd, _, err := unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		b.backlog[fd] = -1
		if watch(epoll, fd, unix.EPOLLIN) != nil {
			_ = unix.Close(fd)
		}
	}
}

var headEnd = []byte("\r\n\r\n")

// serve answers each end of a head.
func (b *Backend) serve(fd int, buf []byte) {
	n, err := unix.Read(fd, buf)
	if n <= 0 {
		if err != unix.EAGAIN {
			delete(b.backlog, fd)
			_ = unix.Close(fd)
		}
		return
	}
	if b.backlog[fd] < 0 {
		b.backlog[fd] = 0
		b.check(string(buf[:n]))
	}
	heads := bytes.Count(buf[:n], headEnd)
	if heads == 0 {
		return
	}
	b.requests.Add(int64(heads))
	_, _ = unix.Write(fd, []byte(strings.Repeat(answer, heads)))
}

// check notes what a request lacks.
func (b *Backend) check(head string) {
	for _, name := range forwarded {
		if !strings.Contains(head, "\r\n"+name) {
			lacking := fmt.Sprintf("%s in %q", name, head)
			b.lacking.Store(&lacking)
		}
	}
}

func watch(epoll, fd int, events uint32) error {
	return unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}
