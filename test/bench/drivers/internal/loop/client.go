// SPDX-License-Identifier: Apache-2.0

package loop

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/test/bench/drivers/internal/site"
)

type state uint8

const (
	waiting    state = iota // for a request's first byte
	reading                 // a request's head
	blocked                 // a plugin runs elsewhere
	connecting              // to the backend
	exchanging              // request and answer pass
	ending                  // an answer of our own is written
)

// memory is what a request takes. A client without one has none of it.
type memory struct {
	ex   *site.Exchange
	in   []byte // the head
	body []byte // further bytes of the request's body
	out  []byte // to the client
	up   []byte // to the backend
}

// client is a connection of a client.
type client struct {
	end
	loop     *loop
	peers    site.Peers
	state    state
	deadline time.Time
	*memory
	filled  int
	pending []byte
	backend *backend

	outSent, upSent int
	bodyDone        bool // the request's body was taken from the client
	bodyMoved       bool // some of it was read after the head
	answering       bool // the answer's head was read
	answered        bool // the answer was read to its end
	keep            bool
	gone            bool
}

func (l *loop) memory() *memory {
	if n := len(l.memories); n > 0 {
		m := l.memories[n-1]
		l.memories = l.memories[:n-1]
		return m
	}
	return &memory{ex: l.site.NewExchange(), in: make([]byte, headBuffer)}
}

// rest gives back what a request took.
func (c *client) rest() {
	if m := c.memory; m != nil {
		m.out, m.up, m.body = m.out[:0], m.up[:0], nil
		c.loop.memories = append(c.loop.memories, m)
		c.memory = nil
	}
}

// step moves the request on until it has to wait.
func (c *client) step() {
	for !c.gone {
		if c.hungUp && c.state >= connecting && c.bodyDone {
			// Nobody waits for the answer.
			c.close()
			return
		}
		moved := false
		switch c.state {
		case waiting, reading:
			moved = c.readHead()
		case blocked:
		case connecting:
			moved = c.connected()
		case exchanging:
			moved = c.exchange()
		case ending:
			if c.flush() && len(c.out) == 0 {
				c.close()
			}
		}
		if !moved {
			return
		}
	}
}

func (c *client) close() {
	if c.gone {
		return
	}
	c.gone = true
	if c.backend != nil {
		c.loop.drop(c.backend)
		c.backend = nil
	}
	c.loop.close(&c.end)
	if c.state != blocked {
		c.rest()
	}
}

// late is called when the deadline of the state has passed.
func (c *client) late() {
	if c.state == exchanging && !c.answering || c.state == connecting {
		c.fail(504)
		c.step()
		return
	}
	c.close()
}

// fail answers a request ourselves.
func (c *client) fail(status int) {
	if c.backend != nil {
		c.loop.drop(c.backend)
		c.backend = nil
	}
	if c.answering {
		// What was sent cannot be taken back.
		c.close()
		return
	}
	c.out = site.AppendFailure(c.out, status)
	c.state, c.deadline = ending, c.loop.now.Add(site.SendTimeout)
}

// readHead reads until the head of a request is complete.
func (c *client) readHead() bool {
	if c.memory == nil {
		if !c.readable {
			return false
		}
		c.memory = c.loop.memory()
	}
	for {
		if c.state == waiting && c.filled > 0 {
			c.state, c.deadline = reading, c.loop.now.Add(site.HeaderTimeout)
			c.ex.Reset()
		}
		if c.filled > 0 {
			n, err := c.ex.ParseRequest(c.in[:c.filled])
			if err == nil {
				c.begin(n)
				return true
			}
			if !errors.Is(err, http1.ErrNeedMore) {
				c.fail(400)
				return true
			}
		}
		if c.filled == len(c.in) {
			c.in = append(c.in, make([]byte, len(c.in))...)
		}
		n, err := c.read(c.in[c.filled:])
		switch {
		case errors.Is(err, unix.EAGAIN):
			if c.filled == 0 {
				c.rest()
			}
			return false
		case err != nil || n == 0:
			c.close()
			return false
		}
		c.filled += n
	}
}

// begin takes a request whose head is complete through its plan.
func (c *client) begin(head int) {
	r := &c.ex.Request
	c.pending = c.in[head:c.filled]
	c.keep = r.KeepAlive
	c.bodyDone = r.Framing == http1.BodyNone || r.ContentLength == 0
	c.bodyMoved, c.answering, c.answered = false, false, false
	c.outSent, c.upSent = 0, 0
	found, mayBlock := c.ex.Route(c.peers, c.loop.now)
	switch {
	case !found:
		c.fail(404)
	case mayBlock && c.loop.server.HandOver:
		c.state, c.deadline = blocked, c.loop.now.Add(time.Hour)
		go func() {
			c.ex.Access()
			c.loop.post(c.unblocked)
		}()
	default:
		c.ex.Access()
		c.connect()
	}
}

// unblocked goes on after a plugin.
func (c *client) unblocked() {
	if c.gone {
		c.rest()
		return
	}
	c.state = reading
	c.connect()
	c.step()
}

// connect takes a connection to the backend and renders the head.
func (c *client) connect() {
	var err error
	if c.up, err = c.ex.AppendRequest(c.up[:0], c.loop.now); err != nil {
		c.fail(400)
		return
	}
	if c.ex.Request.ExpectContinue {
		c.out = append(c.out, "HTTP/1.1 100 Continue\r\n\r\n"...)
	}
	c.upSent = 0
	if c.backend, err = c.loop.take(c); err != nil {
		c.fail(502)
		return
	}
	if c.backend.used {
		c.state, c.deadline = exchanging, c.loop.now.Add(site.WriteTimeout)
	} else {
		c.state, c.deadline = connecting, c.loop.now.Add(site.ConnectTimeout)
	}
}

func (c *client) connected() bool {
	b := c.backend
	if !b.writable {
		return false
	}
	if failed, err := unix.GetsockoptInt(b.fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || failed != 0 {
		c.fail(502)
		return true
	}
	c.state, c.deadline = exchanging, c.loop.now.Add(site.WriteTimeout)
	return true
}

// flush writes to the client what there is. It returns false when the
// connection is over.
func (c *client) flush() bool {
	for c.outSent < len(c.out) && c.writable {
		n, err := c.write(c.out[c.outSent:])
		if err != nil {
			c.close()
			return false
		}
		c.outSent += n
	}
	if c.outSent == len(c.out) {
		c.out, c.outSent = c.out[:0], 0
	}
	return true
}
