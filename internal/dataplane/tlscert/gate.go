// SPDX-License-Identifier: Apache-2.0

package tlscert

import (
	"context"
	"net"
	"os"
	"runtime"
	"time"
)

// Gate bounds how many handshakes compute at the same time: however many
// clients begin one, requests never wait behind more than that. Handshakes that
// wait for their client hold no place. A nil Gate bounds nothing.
type Gate chan struct{}

// NewGate returns a gate with one place for each processor.
func NewGate() Gate { return make(Gate, runtime.GOMAXPROCS(0)) }

// enter waits for a place. It returns false when the deadline passes or ctx
// ends before there is one.
func (g Gate) enter(ctx context.Context, deadline time.Time) bool {
	select {
	case g <- struct{}{}:
		return true
	default:
	}
	timeout := time.NewTimer(time.Until(deadline))
	defer timeout.Stop()
	select {
	case g <- struct{}{}:
		// Who is woken by a channel runs next, before requests that have waited
		// longer: a row of handshakes would pass them all.
		runtime.Gosched()
		return true
	case <-timeout.C:
	case <-ctx.Done():
	}
	return false
}

// Gated is a client's socket as crypto/tls sees it: until Done it keeps a place
// at the gate but while it waits for the client.
type Gated struct {
	net.Conn
	gate     Gate
	context  context.Context //nolint:containedctx // of the handshake
	deadline time.Time
	inside   bool
}

// Begin returns the socket for a handshake that begins now. It waits for a
// place until the deadline or the end of ctx, and returns false without one.
func (g Gate) Begin(ctx context.Context, socket net.Conn, deadline time.Time) (*Gated, bool) {
	c := &Gated{Conn: socket, gate: g, context: ctx, deadline: deadline}
	return c, c.Enter()
}

// Enter waits for a place, and returns false when there is none in time.
func (c *Gated) Enter() bool {
	if c.gate != nil {
		c.inside = c.gate.enter(c.context, c.deadline)
		return c.inside
	}
	return true
}

// Leave gives the place back: what follows waits, for example for the network.
func (c *Gated) Leave() {
	if c.inside {
		c.inside = false
		<-c.gate
	}
}

// Done ends the handshake: from here on the socket is as if it had no gate.
func (c *Gated) Done() {
	c.Leave()
	c.gate, c.context = nil, nil
}

// Read implements net.Conn.
func (c *Gated) Read(p []byte) (int, error) {
	if c.gate == nil {
		return c.Conn.Read(p)
	}
	c.Leave()
	n, err := c.Conn.Read(p)
	if err == nil && !c.Enter() {
		return 0, os.ErrDeadlineExceeded
	}
	return n, err
}
