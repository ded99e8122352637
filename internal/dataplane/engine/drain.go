// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"net"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/listener"
)

// The marks of a drain. They are bounds on what a client may rely on: a request
// that arrives within them is answered.
const (
	// drainGrace is how long an idle connection is read once more before it is
	// closed: a request may already be under way on it. A connection without
	// a request so far gets longer, because it was opened to send one.
	drainGrace      = 250 * time.Millisecond
	drainGraceFresh = time.Second
	// handshakeGrace bounds the wait for handshakes that are half-way: it has
	// room for one retransmission, and a flood of them ends with it.
	handshakeGrace = 2 * time.Second
	// acceptGrace is how long a listener that is to be closed still accepts, at
	// least: packets that the kernel is working on show nowhere yet.
	acceptGrace = 50 * time.Millisecond
	// drainLook is how often a drain looks whether it can go on.
	drainLook = 10 * time.Millisecond
	// closeGrace is how long Drain waits for goroutines whose connections it
	// cut: only a plugin that ignores its context takes longer.
	closeGrace = 2 * time.Second
)

// AnnounceDrain makes answers close their connection while new ones are still
// accepted: the time a load balancer needs to notice. Connections without a
// request stay open.
func (e *Engine) AnnounceDrain() { e.draining.Store(true) }

// Drain stops accepting, lets requests under way finish and then closes idle
// connections, each after a last look at what arrived on it. Answers sent from
// now on close their connection. Drain returns when all are closed or ctx ends;
// then what is left is cut off, and the error is that of ctx. It is called
// once.
func (e *Engine) Drain(ctx context.Context) error {
	e.AnnounceDrain()
	e.stopAccepting(ctx)
	e.endHTTP2()
	done := make(chan struct{})
	go func() {
		e.serving.Wait()
		close(done)
	}()
	e.awaitWork(ctx)
	e.ending.Store(true)
	e.conns.each((*conn).closeSoon)
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	e.closing.Store(true)
	e.shutdown()
	e.conns.closeAll()
	select {
	case <-done:
		e.background.Wait()
		e.retiring.flush()
	case <-time.After(closeGrace):
		// Instances of plugins that hang are not closed: they are in use.
		e.log.Error("requests do not end", "connections", e.Connections())
	}
	e.pools.Close()
	return err
}

// awaitWork waits until every connection that is left waits for a request. It
// leaves them the time for their last look before ctx ends.
func (e *Engine) awaitWork(ctx context.Context) {
	if end, ok := ctx.Deadline(); ok {
		left := time.Until(end)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, left-min(left/4, 2*drainGrace))
		defer cancel()
	}
	tick := time.NewTicker(drainLook)
	defer tick.Stop()
	for e.conns.working() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// stopAccepting empties the kernel's queues and closes the listeners: from the
// moment that a client can take its connection for open, it is served.
func (e *Engine) stopAccepting(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, handshakeGrace)
	defer cancel()
	e.listenersMu.Lock()
	defer e.listenersMu.Unlock()
	stopped := true
	for _, l := range e.listeners {
		stopped = listener.StopHandshakes(l) && stopped
	}
	grace := time.NewTimer(acceptGrace)
	defer grace.Stop()
	select {
	case <-grace.C:
	case <-ctx.Done():
	}
	for _, l := range e.listeners {
		if stopped {
			listener.AwaitHandshakes(ctx, l)
		}
		_ = l.SetDeadline(time.Now())
	}
	e.accepting.Wait()
	for i, l := range e.listeners {
		e.emptyQueue(ctx, l, &e.specs[i])
		_ = l.Close()
	}
}

// emptyQueue accepts what waits in a listener's queue.
func (e *Engine) emptyQueue(ctx context.Context, l *net.TCPListener, spec *ListenSpec) {
	for listener.Queued(l) {
		_ = l.SetDeadline(time.Now().Add(acceptGrace))
		socket, err := l.AcceptTCP()
		switch {
		case err == nil:
			e.start(socket, spec)
		case isTimeout(err):
			// Whoever waited has left.
		case ctx.Err() != nil:
			return
		default:
			// Out of descriptors: some come back as requests end.
			select {
			case <-time.After(acceptPause):
			case <-ctx.Done():
				return
			}
		}
	}
}

// limitIdle lets a connection that waits for a request read once more and end.
// The caller holds idleMu.
func (c *conn) limitIdle() {
	grace := drainGrace
	if !c.proven {
		grace = drainGraceFresh
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(grace))
}

// closeSoon ends the connection if it waits for a request. Any goroutine may
// call it.
func (c *conn) closeSoon() {
	c.idleMu.Lock()
	defer c.idleMu.Unlock()
	if c.idle {
		c.limitIdle()
	}
}
