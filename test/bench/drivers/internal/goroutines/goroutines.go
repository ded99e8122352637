// SPDX-License-Identifier: Apache-2.0

// Package goroutines drives connections by a goroutine for each client, which
// also talks to the backend.
package goroutines

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/internal/dataplane/upstream"
	"github.com/kong/kong-istio-gateway/test/bench/drivers/internal/site"
)

const (
	headBuffer   = 4 << 10
	bodyBuffer   = 16 << 10
	answerBuffer = 33 << 10
	// slack is how inexact deadlines are, so that they need not be set for
	// every read.
	slack = time.Second
	// watchInterval is how often clients that wait for an answer are looked at.
	watchInterval = 100 * time.Millisecond
)

// Server serves each connection on a goroutine.
type Server struct {
	site *site.Site
	pool *upstream.Pool

	memories sync.Pool
	mu       sync.Mutex
	clients  map[*client]struct{}
}

// New returns a server that does not listen yet.
func New(s *site.Site) *Server {
	pools := upstream.NewPools(&net.Dialer{KeepAlive: -1}, upstream.Limits{Idle: site.UpstreamPool, IdleTimeout: site.UpstreamIdle}, time.Now)
	server := &Server{
		site: s, pool: pools.Pool(upstream.Key{Address: s.Backend, Proto: "http"}, nil), clients: map[*client]struct{}{},
	}
	server.memories.New = func() any {
		return &memory{ex: s.NewExchange(), in: make([]byte, headBuffer), answer: make([]byte, answerBuffer)}
	}
	go server.watch()
	return server
}

// Serve serves a listener; config is nil for plaintext.
func (s *Server) Serve(l net.Listener, config *tls.Config) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		socket := nc.(*net.TCPConn)
		raw, err := socket.SyscallConn()
		if err != nil {
			_ = nc.Close()
			continue
		}
		c := &client{server: s, nc: nc, raw: raw, peers: site.Peers{
			Client: socket.RemoteAddr().(*net.TCPAddr).AddrPort(), Local: socket.LocalAddr().(*net.TCPAddr).AddrPort(), TLS: config != nil,
		}}
		if config != nil {
			c.nc = tls.Server(nc, config)
		}
		c.arrive = c.take
		go c.serve()
	}
}

// watch ends the exchanges of clients that left.
func (s *Server) watch() {
	for range time.Tick(watchInterval) {
		s.mu.Lock()
		for c := range s.clients {
			c.look()
		}
		s.mu.Unlock()
	}
}

// memory is what a request takes. A client without one has none of it.
type memory struct {
	ex     *site.Exchange
	in     []byte
	body   []byte
	out    []byte
	up     []byte
	answer []byte
}

type client struct {
	server *Server
	nc     net.Conn
	raw    syscall.RawConn
	arrive func(fd uintptr) bool
	taken  error
	peers  site.Peers
	*memory
	filled        int
	pending       []byte
	readDeadline  time.Time
	writeDeadline time.Time
	// requests counts up when an exchange begins to wait; 0 is none.
	requests uint64
	waiting  atomic.Uint64
	watched  uint64
	backend  atomic.Pointer[upstream.Conn]
}

func (c *client) rest() {
	if m := c.memory; m != nil {
		m.out, m.up = m.out[:0], m.up[:0]
		c.server.memories.Put(m)
		c.memory = nil
	}
}

func (c *client) serve() {
	c.server.mu.Lock()
	c.server.clients[c] = struct{}{}
	c.server.mu.Unlock()
	for c.request() == nil {
	}
	c.server.mu.Lock()
	delete(c.server.clients, c)
	c.server.mu.Unlock()
	_ = c.nc.Close()
	c.rest()
}

// look closes the backend's connection if the client left.
func (c *client) look() {
	waiting := c.waiting.Load()
	if waiting == 0 || waiting != c.watched {
		c.watched = waiting
		return
	}
	_ = c.raw.Control(func(fd uintptr) {
		fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		if n, err := unix.Poll(fds[:], 0); err == nil && n == 1 {
			if b := c.backend.Swap(nil); b != nil {
				b.Abort()
			}
		}
	})
}

func (c *client) armRead(now time.Time, d time.Duration) {
	if late := c.readDeadline.Sub(now.Add(d)); late < 0 || late > slack {
		c.readDeadline = now.Add(d + slack)
		_ = c.nc.SetReadDeadline(c.readDeadline)
	}
}

func (c *client) write(b []byte, now time.Time) error {
	if late := c.writeDeadline.Sub(now.Add(site.SendTimeout)); late < 0 || late > slack {
		c.writeDeadline = now.Add(site.SendTimeout + slack)
		_ = c.nc.SetWriteDeadline(c.writeDeadline)
	}
	_, err := c.nc.Write(b)
	return err
}

// take reads a request's first bytes. It holds no memory while it waits.
func (c *client) take(fd uintptr) bool {
	if c.memory == nil {
		c.memory = c.server.memories.Get().(*memory)
	}
	n, err := unix.Read(int(fd), c.in)
	switch {
	case n > 0:
		c.filled = n
	case errors.Is(err, unix.EAGAIN):
		c.rest()
		return false
	case err == nil:
		c.taken = io.EOF
	default:
		c.taken = err
	}
	return true
}

func (c *client) first() error {
	c.armRead(time.Now(), site.KeepaliveTimeout)
	if c.peers.TLS {
		if c.memory == nil {
			c.memory = c.server.memories.Get().(*memory)
		}
		n, err := c.nc.Read(c.in)
		c.filled = n
		return err
	}
	if err := c.raw.Read(c.arrive); err != nil {
		return err
	}
	return c.taken
}

// request serves one request. An error ends the connection.
func (c *client) request() error {
	if c.filled == 0 {
		if err := c.first(); err != nil {
			return err
		}
	}
	ex, start := c.ex, time.Now()
	ex.Reset()
	n, err := ex.ParseRequest(c.in[:c.filled])
	for ; errors.Is(err, http1.ErrNeedMore); n, err = ex.ParseRequest(c.in[:c.filled]) {
		if c.filled == len(c.in) {
			c.in = append(c.in, make([]byte, len(c.in))...)
		}
		c.armRead(start, site.HeaderTimeout)
		m, err := c.nc.Read(c.in[c.filled:])
		if err != nil {
			return err
		}
		c.filled += m
	}
	if err != nil {
		return c.fail(400)
	}
	c.pending = c.in[n:c.filled]
	found, _ := ex.Route(c.peers, start)
	if !found {
		return c.fail(404)
	}
	ex.Access()
	if err := c.exchange(start); err != nil {
		return err
	}
	c.filled = copy(c.in, c.pending)
	return nil
}

var errFailed = errors.New("goroutines: answered with a failure")

func (c *client) fail(status int) error {
	_ = c.write(site.AppendFailure(nil, status), time.Now())
	return errFailed
}
