// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// added are the fields that an answer has when it comes through a proxy.
var added = []string{"X-Kong-Upstream-Latency:", "X-Kong-Proxy-Latency:", "Via: 1.1 kong/", "X-Kong-Request-Id:", "Server:", "Date:", "X-Backend:"}

var body = []byte("\r\n\r\nabc")

// Group is a number of connections that ask for the same path, each again as
// soon as it was answered.
type Group struct {
	Connections int
	Path        string
}

// Result is what a group saw.
type Result struct {
	Requests  int64
	Latencies []time.Duration // sorted
}

// Quantile returns a quantile of the latencies.
func (r *Result) Quantile(q float64) time.Duration {
	if len(r.Latencies) == 0 {
		return 0
	}
	return r.Latencies[min(len(r.Latencies)-1, int(q*float64(len(r.Latencies))))]
}

// connection is one of a client.
type connection struct {
	group   int
	asked   time.Time
	checked bool
	part    []byte // of an answer that is not complete
}

// Client drives groups of connections.
type Client struct {
	address     netip.AddrPort
	groups      []Group
	requests    [][]byte
	epoll       int
	connections map[int]*connection
	// Results are by group.
	Results []Result
}

// NewClient opens the connections of groups.
func NewClient(address netip.AddrPort, groups []Group) (*Client, error) {
	c := &Client{address: address, groups: groups, connections: map[int]*connection{}, Results: make([]Result, len(groups))}
	var err error
	if c.epoll, err = unix.EpollCreate1(0); err != nil {
		return nil, err
	}
	for i, g := range groups {
		c.requests = append(c.requests, fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: bench.test:%d\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n", g.Path, address.Port()))
		for range g.Connections {
			if err := c.open(i); err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

func (c *Client) open(group int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(c.address.Port()), Addr: c.address.Addr().As4()}); err != nil {
		return fmt.Errorf("connect to %s: %w", c.address, err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	c.connections[fd] = &connection{group: group}
	return watch(c.epoll, fd, unix.EPOLLIN)
}

// Close closes the connections.
func (c *Client) Close() {
	for fd := range c.connections {
		_ = unix.Close(fd)
	}
	_ = unix.Close(c.epoll)
}

// Once sends one request on every connection, one after the other.
func (c *Client) Once() error {
	for fd, conn := range c.connections {
		if err := c.ask(fd, conn); err != nil {
			return err
		}
		for left := 1; left > 0; {
			n, err := c.round(-1, func(int, *connection) error { return nil })
			if err != nil {
				return err
			}
			left -= n
		}
	}
	return nil
}

// Run keeps every connection busy for so long, and waits for the last answers.
func (c *Client) Run(d time.Duration) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for i := range c.Results {
		c.Results[i] = Result{}
	}
	for fd, conn := range c.connections {
		if err := c.ask(fd, conn); err != nil {
			return err
		}
	}
	end, under := time.Now().Add(d), len(c.connections)
	for under > 0 {
		ended := time.Now().After(end)
		_, err := c.round(5000, func(fd int, conn *connection) error {
			if ended {
				under--
				return nil
			}
			return c.ask(fd, conn)
		})
		if err != nil {
			return err
		}
	}
	for i := range c.Results {
		slices.Sort(c.Results[i].Latencies)
	}
	return nil
}

func (c *Client) ask(fd int, conn *connection) error {
	conn.asked = time.Now()
	if _, err := unix.Write(fd, c.requests[conn.group]); err != nil {
		return fmt.Errorf("request: %w", err)
	}
	return nil
}

// round reads the answers that are there and calls next after each.
func (c *Client) round(timeout int, next func(int, *connection) error) (answers int, err error) {
	var events [512]unix.EpollEvent
	var buf [4096]byte
	n, err := unix.EpollWait(c.epoll, events[:], timeout)
	if err == unix.EINTR {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, fmt.Errorf("no answer for %d ms", timeout)
	}
	for _, event := range events[:n] {
		fd := int(event.Fd)
		conn := c.connections[fd]
		m, err := unix.Read(fd, buf[:])
		if err == unix.EAGAIN {
			continue
		}
		if m <= 0 {
			return answers, fmt.Errorf("the proxy closed a connection: %w", errors.Join(io.EOF, err))
		}
		piece := buf[:m]
		if len(conn.part) > 0 || !bytes.HasSuffix(piece, body) {
			conn.part = append(conn.part, piece...)
			if piece = conn.part; !bytes.HasSuffix(piece, body) {
				continue
			}
			conn.part = nil
		}
		if !conn.checked {
			if conn.checked = true; !complete(string(piece)) {
				return answers, fmt.Errorf("incomplete answer: %q", piece)
			}
		}
		r := &c.Results[conn.group]
		r.Requests++
		r.Latencies = append(r.Latencies, time.Since(conn.asked))
		answers++
		if err := next(fd, conn); err != nil {
			return answers, err
		}
	}
	return answers, nil
}

func complete(head string) bool {
	for _, name := range added {
		if !strings.Contains(head, "\r\n"+name) {
			return false
		}
	}
	return strings.HasPrefix(head, "HTTP/1.1 200 ")
}
