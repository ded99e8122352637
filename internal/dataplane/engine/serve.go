// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/listener"
)

// ListenSpec is one entry of Kong's proxy_listen.
type ListenSpec = listener.Spec

// acceptPause is the wait after an accept that failed.
const acceptPause = 20 * time.Millisecond

// Listen opens the sockets of specs and serves them until Drain. TLS listeners
// take their certificates from the running configuration. It is called once.
func (e *Engine) Listen(ctx context.Context, specs []ListenSpec) error {
	if err := e.open(ctx, specs); err != nil {
		return err
	}
	for i, l := range e.listeners {
		e.accepting.Add(1)
		go e.accept(l, &specs[i])
	}
	e.background.Add(2)
	go e.sweep()
	go e.watch()
	return nil
}

// open opens the sockets of specs: the kernel queues connections from now on.
func (e *Engine) open(ctx context.Context, specs []ListenSpec) error {
	opened := make([]*net.TCPListener, 0, len(specs))
	for i := range specs {
		l, err := listener.TCP(ctx, specs[i])
		if err != nil {
			for _, o := range opened {
				_ = o.Close()
			}
			return fmt.Errorf("proxy_listen %s: %w", specs[i].Address, err)
		}
		opened = append(opened, l)
	}
	e.listenersMu.Lock()
	e.listeners, e.specs = opened, specs
	e.listenersMu.Unlock()
	return nil
}

// Addresses returns where the engine listens, in the order of the specs.
func (e *Engine) Addresses() []net.Addr {
	e.listenersMu.Lock()
	defer e.listenersMu.Unlock()
	out := make([]net.Addr, 0, len(e.listeners))
	for _, l := range e.listeners {
		out = append(out, l.Addr())
	}
	return out
}

func (e *Engine) accept(l *net.TCPListener, spec *ListenSpec) {
	defer e.accepting.Done()
	var logged time.Time
	for {
		socket, err := l.AcceptTCP()
		switch {
		case err == nil:
			e.start(socket, spec)
		case errors.Is(err, net.ErrClosed) || isTimeout(err):
			return
		default:
			// Out of descriptors or memory: connections wait in the kernel's
			// queue until some of ours are closed.
			now := time.Now()
			e.conns.makeRoom(now)
			if now.Sub(logged) >= refusalLog {
				logged = now
				e.log.Error("accept failed", "listener", spec.Address, "error", err, "connections", e.conns.count())
			}
			select {
			case <-time.After(acceptPause):
			case <-e.context.Done():
				return
			}
		}
	}
}

func (e *Engine) start(socket *net.TCPConn, spec *ListenSpec) {
	c, err := newConn(e, spec, socket)
	if err != nil || !e.admit(c) {
		_ = socket.Close()
		return
	}
	e.serving.Add(1)
	go func() {
		defer e.serving.Done()
		c.serve()
	}()
}

// sweep looks after idle upstream connections.
func (e *Engine) sweep() {
	defer e.background.Done()
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			e.pools.Sweep()
		case <-e.context.Done():
			return
		}
	}
}
