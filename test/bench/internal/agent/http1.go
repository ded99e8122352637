// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// http1Client sends the requests of a load over plaintext HTTP/1.1. It lives in
// the loop, beside the backend.
type http1Client struct {
	counters
	loop     *loop
	load     *Load
	requests [][]byte
	expect   expectation
	conns    []*clientConn
	active   int // connections on which an answer is due
	finished chan struct{}
	over     bool

	// Of an open loop: when the next request begins, those that wait for a
	// connection, and the connections that wait for a request.
	arrivals *rand.Rand
	next     time.Time
	waiting  []time.Time
	free     []*clientConn
}

type clientConn struct {
	client  *http1Client
	fd      int
	request int
	began   time.Time
	partial []byte
	inBody  bool
	body    int64
	out     []byte
	closed  bool
}

// startHTTP1 opens the connections and sends the first request, alone, so that
// the first heads at both ends are of the same exchange.
func startHTTP1(l *loop, load *Load, p *phase) (*http1Client, error) {
	to, err := netip.ParseAddrPort(load.Target)
	if err != nil {
		return nil, err
	}
	c := &http1Client{
		counters: counters{phase: p}, loop: l, load: load, requests: formatAll(load.Requests),
		expect: expectationOf(load), finished: make(chan struct{}),
		arrivals: rand.New(rand.NewPCG(1, 2)), // #nosec G404 -- the same arrivals for every proxy
	}
	for i := range load.Connections {
		fd, err := connect(to)
		if err != nil {
			c.closeAll()
			return nil, err
		}
		conn := &clientConn{client: c, fd: fd, request: i % len(c.requests)}
		c.conns = append(c.conns, conn)
		if err := l.add(fd, conn); err != nil {
			c.closeAll()
			return nil, err
		}
	}
	c.conns[0].send(time.Now())
	return c, nil
}

func (c *http1Client) closeAll() {
	for _, conn := range c.conns {
		conn.close()
	}
}

// close ends a connection once; its descriptor may be another's afterwards.
func (c *clientConn) close() {
	if !c.closed {
		c.closed = true
		c.client.loop.close(c.fd)
	}
}

// before runs before each wait of the loop.
func (c *http1Client) before() time.Duration {
	now := time.Now()
	switch {
	case c.over:
		return -1
	case c.phase.Load() == ending && c.active == 0:
		c.over = true
		c.closeAll()
		close(c.finished)
		return -1
	case c.load.Rate == 0 || c.next.IsZero() || c.phase.Load() == ending:
		return -1
	}
	for !c.next.After(now) {
		if n := len(c.free); n > 0 {
			conn := c.free[n-1]
			c.free = c.free[:n-1]
			conn.send(c.next)
		} else {
			c.waiting = append(c.waiting, c.next)
		}
		c.next = c.next.Add(time.Duration(c.arrivals.ExpFloat64() / c.load.Rate * float64(time.Second)))
	}
	return max(0, time.Until(c.next))
}

// begin is called after the first answer.
func (c *http1Client) begin(first *clientConn, now time.Time) {
	if c.load.Rate > 0 {
		c.free = append(c.free, c.conns...)
		c.next = now
		return
	}
	for _, conn := range c.conns {
		if conn != first {
			conn.send(now)
		}
	}
	first.send(now)
}

// send sends the connection's next request, whose latency counts from began.
func (c *clientConn) send(began time.Time) {
	requests := c.client.requests
	c.began = began
	c.client.sent++
	c.client.active++
	request := requests[c.request]
	if c.request++; c.request == len(requests) {
		c.request = 0
	}
	c.push(request)
}

func (c *clientConn) push(b []byte) {
	left, err := write(c.fd, b)
	if err != nil {
		c.broken(err)
		return
	}
	waiting := len(c.out) > 0
	c.out = left
	if waiting != (len(left) > 0) {
		if err := c.client.loop.writable(c.fd, !waiting); err != nil {
			c.client.fail(err)
		}
	}
}

func (c *clientConn) broken(err error) {
	c.client.fail(fmt.Errorf("at the client: %w", err))
	c.client.active--
	c.close()
}

func (c *clientConn) ready(events uint32) {
	if events&unix.EPOLLOUT != 0 && len(c.out) > 0 {
		c.push(c.out)
		if c.closed {
			return
		}
	}
	data, err := c.client.loop.read(c.fd)
	if err != nil {
		c.broken(err)
		return
	}
	for len(data) > 0 && err == nil {
		data, err = c.take(data)
	}
	if err != nil {
		c.broken(err)
	}
}

// take uses up the start of data.
func (c *clientConn) take(data []byte) ([]byte, error) {
	if !c.inBody {
		head, rest, err := splitHead(&c.partial, data)
		if head == nil || err != nil {
			return nil, err
		}
		if c.body, err = c.client.expect.check(head); err != nil {
			return nil, err
		}
		if c.client.wanted() {
			c.client.samples = append(c.client.samples, string(head))
		}
		c.partial = c.partial[:0]
		c.inBody, data = true, rest
	}
	n := min(c.body, int64(len(data)))
	c.body -= n
	data = data[n:]
	if c.body > 0 {
		return nil, nil
	}
	c.inBody = false
	if len(data) > 0 {
		return nil, fmt.Errorf("%d bytes follow an answer", len(data))
	}
	c.complete()
	return nil, nil
}

// complete goes on after a complete answer.
func (c *clientConn) complete() {
	client := c.client
	now := time.Now()
	client.active--
	client.done(c.began, now)
	switch {
	case client.phase.Load() == ending:
	case client.answered == 1:
		client.begin(c, now)
	case client.load.Rate == 0:
		c.send(now)
	case len(client.waiting) > 0:
		began := client.waiting[0]
		client.waiting = client.waiting[1:]
		if now.Sub(began) > time.Millisecond {
			client.late++
		}
		c.send(began)
	default:
		client.free = append(client.free, c)
	}
}

// expectation is what every answer must have.
type expectation struct {
	start  []byte
	length int64
	any    bool
}

func expectationOf(load *Load) expectation {
	return expectation{start: fmt.Appendf(nil, "HTTP/1.1 %d ", load.Status), length: int64(load.Answer), any: load.AnswerAny}
}

var connectionClose = []byte("onnection: close")

// check returns the length of the body behind head.
func (e *expectation) check(head []byte) (int64, error) {
	if !bytes.HasPrefix(head, e.start) {
		line, _, _ := bytes.Cut(head, []byte("\r"))
		return 0, fmt.Errorf("the proxy answered %q, want %q", line, e.start)
	}
	if bytes.Contains(head, connectionClose) {
		return 0, errors.New("the proxy ends the connection after an answer")
	}
	n, ok := lengthOf(head)
	if !ok {
		return 0, errors.New("an answer has no Content-Length")
	}
	if !e.any && n != e.length {
		return 0, fmt.Errorf("an answer has %d bytes, the backend sent %d", n, e.length)
	}
	return n, nil
}

func formatAll(requests []Request) [][]byte {
	out := make([][]byte, len(requests))
	for i := range requests {
		out[i] = requests[i].format()
	}
	return out
}

// format renders a request of HTTP/1.1.
func (r *Request) format() []byte {
	b := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: */*\r\n", r.method(), r.Path, r.Host)
	for _, h := range r.Header {
		b = fmt.Appendf(b, "%s: %s\r\n", h.Name, h.Value)
	}
	if r.Body > 0 {
		b = append(append(b, "Content-Length: "...), strconv.Itoa(r.Body)...)
		b = append(b, "\r\n"...)
	}
	b = append(b, "\r\n"...)
	return append(b, bytes.Repeat([]byte("y"), r.Body)...)
}

func (r *Request) method() string {
	if r.Body > 0 {
		return "POST"
	}
	return "GET"
}
