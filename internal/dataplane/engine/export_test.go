// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"weak"
)

// Open is Listen without anybody who accepts what the kernel queues.
func (e *Engine) Open(ctx context.Context, specs []ListenSpec) error { return e.open(ctx, specs) }

// Draining reports whether answers end their connection.
func (e *Engine) Draining() bool { return e.draining.Load() }

// Working returns how many connections do something else than waiting for
// a request.
func (e *Engine) Working() (n int) {
	e.conns.each(func(c *conn) {
		if !c.waits() {
			n++
		}
	})
	return n
}

// Lingering returns how many connections discard what is sent behind their last
// answer.
func (e *Engine) Lingering() (n int) {
	e.conns.each(func(c *conn) {
		c.idleMu.Lock()
		defer c.idleMu.Unlock()
		if c.lingering {
			n++
		}
	})
	return n
}

// Streams returns how many HTTP/2 streams are under way.
func (e *Engine) Streams() (n int) {
	e.conns.each(func(c *conn) {
		if h := c.streams.Load(); h != nil {
			n += h.session.Streams()
		}
	})
	return n
}

// Buffering returns how many bytes of request bodies are reserved.
func (e *Engine) Buffering() int64 { return e.buffering.used.Load() }

// Watched tells of the configuration that runs now whether anybody still holds
// it.
func (e *Engine) Watched() (held func() bool) {
	s := weak.Make(e.current.Load())
	return func() bool { return s.Value() != nil }
}
