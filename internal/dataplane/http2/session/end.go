// SPDX-License-Identifier: Apache-2.0

package session

import (
	"errors"
	"io"
	"net"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http2"
)

// Drain lets a client finish its streams and open no others (RFC 9113 §6.8): the connection closes when they are done.
func (x *Session) Drain() {
	x.DrainWithNext()
	x.mu.Lock()
	write := x.claim()
	x.mu.Unlock()
	if write {
		go x.flush()
	}
}

// DrainWithNext is Drain, except that the client is told with what is written next.
func (x *Session) DrainWithNext() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.conn.Draining() || x.broken != nil {
		return
	}
	x.conn.Drain()
	x.timer = time.AfterFunc(drainWait, func() {
		x.mu.Lock()
		x.conn.FinishDrain()
		over := x.conn.Output() == 0 && x.conn.Over()
		x.mu.Unlock()
		if x.flush(); over {
			x.finish()
		}
	})
}

// Close ends the connection at once, and all streams with it.
func (x *Session) Close() { x.abandon(ErrClosed) }

// end closes the connection after its reader found it to be over.
func (x *Session) end(err error) {
	var refused *http2.ConnError
	if errors.As(err, &refused) {
		// The client is told why, before it is hung up on.
		x.flush()
		x.fail(err)
		x.finish()
		x.discard()
	}
	x.abandon(err)
	putBuffer(x.buf)
	x.buf = nil
}

// finish ends our side when everything was said.
func (x *Session) finish() {
	x.mu.Lock()
	ready := !x.ending && !x.writing && x.conn.Output() == 0
	x.ending = x.ending || ready
	x.mu.Unlock()
	if ready {
		x.closeWrite()
	}
}

// closeWrite ends our side. The peer's side is left open for what it may still be sending, because a reset would make its kernel
// forget what it has not read.
func (x *Session) closeWrite() {
	_ = x.nc.SetReadDeadline(time.Now().Add(endWait))
	half, ok := x.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		_ = x.nc.Close()
		return
	}
	if secured, ok := x.nc.(interface{ NetConn() net.Conn }); ok {
		if half, ok := secured.NetConn().(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	}
}

// discard reads what still comes.
func (x *Session) discard() {
	if len(x.buf) == 0 {
		x.grow()
	}
	end := time.Now().Add(endWait)
	_ = x.nc.SetReadDeadline(end)
	for time.Now().Before(end) {
		if _, err := x.nc.Read(x.buf); err != nil {
			return
		}
	}
}

// abandon fails everything that is under way and closes the connection.
func (x *Session) abandon(err error) {
	x.fail(err)
	x.mu.Lock()
	x.dead = true
	x.mu.Unlock()
	_ = x.nc.Close()
}

// fail ends all streams.
func (x *Session) fail(err error) {
	if errors.Is(err, io.EOF) || err == nil {
		err = ErrClosed
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.broken != nil {
		return
	}
	x.broken = err
	if x.timer != nil {
		x.timer.Stop()
	}
	x.conn.Each(func(s *http2.Stream) { s.Owner.(*Stream).fail() })
}
