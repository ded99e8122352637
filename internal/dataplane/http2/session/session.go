// SPDX-License-Identifier: Apache-2.0

// Package session runs HTTP/2 connections on sockets: one goroutine reads a connection, whoever has something to say writes it and
// takes along what others have, and each request of a client has a goroutine of its own, which is used again. The
// protocol itself is package http2's.
package session

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http2"
)

const (
	// smallBuffer is what a connection without streams is read through, largeBuffer one with them.
	smallBuffer = 4 << 10
	largeBuffer = 2 * http2.FrameRoom
	// writeBatch is how much is written at once.
	writeBatch = 64 << 10
	// outputKeep is the largest write buffer that a connection keeps between two writes without streams.
	outputKeep = 4 << 10
	// drainWait is how long a client has to answer the first GOAWAY, endWait how long it has to close its side once
	// everything was said.
	drainWait = time.Second
	endWait   = time.Second
)

// Options are what a session is made of. They may be shared.
type Options struct {
	Config *http2.Config
	// Handle serves one stream of a client, on a goroutine of its own. It must call nothing of the stream when it
	// has returned.
	Handle func(*Stream)
	// StartTimeout bounds the time until a client has sent its preface and settings, IdleTimeout the time without streams,
	// WriteTimeout the wait for the peer to take bytes. All must be positive.
	StartTimeout, IdleTimeout, WriteTimeout time.Duration
}

// Session is a connection. Its methods are safe for concurrent use.
type Session struct {
	options *Options
	owner   any
	nc      net.Conn

	mu      sync.Mutex
	conn    *http2.Conn
	writing bool
	broken  error // why streams cannot go on
	dead    bool  // nothing more can be written
	retired bool  // no further streams are to be opened
	ending  bool  // everything was said
	spare   []byte
	idle    time.Time // since when there are no streams
	heard   time.Time // when anything came last
	opened  int
	sent    func(*http2.Stream)
	writeBy time.Time
	timer   *time.Timer // of a drain

	buf         []byte
	read, write int // buf[read:write] was received and not taken
	fresh       bool

	serving sync.WaitGroup
	streams atomic.Int32
}

// New returns a session on a connection of which first was already read. Run runs it.
func New(nc net.Conn, first []byte, options *Options, owner any) *Session {
	now := time.Now()
	x := &Session{options: options, owner: owner, nc: nc, conn: http2.NewConn(options.Config), idle: now, heard: now}
	x.sent = func(state *http2.Stream) {
		if s := state.Owner.(*Stream); s.blocked {
			s.writable.wake()
		}
	}
	if len(first) > 0 {
		x.buf = make([]byte, max(smallBuffer, len(first)))
		x.write = copy(x.buf, first)
	}
	return x
}

// Owner returns what the session was made for.
func (x *Session) Owner() any { return x.owner }

// Run reads the connection until it ends, and returns when the last handler has. The connection is closed then.
func (x *Session) Run() {
	defer x.serving.Wait()
	now := time.Now()
	_ = x.nc.SetReadDeadline(now.Add(x.options.StartTimeout))
	x.flush()
	var err error
	for err == nil {
		if err = x.receive(now); err == nil {
			err = x.fill()
		}
		now = time.Now()
		if err != nil && isTimeout(err) {
			err = x.wait(now)
		}
	}
	x.end(err)
}

// wait decides what follows when nothing came until a deadline: nil to go on reading.
func (x *Session) wait(now time.Time) error {
	x.mu.Lock()
	if x.ending || !x.conn.Started() {
		x.mu.Unlock()
		return os.ErrDeadlineExceeded
	}
	next := now.Add(x.options.IdleTimeout)
	if x.conn.Streams() == 0 {
		if next = x.idle.Add(x.options.IdleTimeout); !next.After(now) {
			if x.options.Config.Client {
				// Nobody opens another one from now on.
				x.broken = ErrClosed
				x.mu.Unlock()
				return os.ErrDeadlineExceeded
			}
			next = now.Add(drainWait + endWait)
			x.mu.Unlock()
			_ = x.nc.SetReadDeadline(next)
			x.Drain()
			return nil
		}
	}
	x.mu.Unlock()
	_ = x.nc.SetReadDeadline(next)
	return nil
}

// Opened returns how many streams the connection has had.
func (x *Session) Opened() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.opened
}
