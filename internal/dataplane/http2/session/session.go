// SPDX-License-Identifier: Apache-2.0

// Package session runs HTTP/2 connections on sockets: one goroutine reads a connection, whoever has something to say writes it and
// takes along what others have, and each request of a client has a goroutine of its own, which is used again. The
// protocol itself is package http2's.
package session

import (
	"errors"
	"io"
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

// Errors of streams.
var (
	// ErrTimeout is a wait that took too long. It satisfies net.Error.
	ErrTimeout error = &timeoutError{}
	// ErrStopped is a Read that StopReading ended.
	ErrStopped = errors.New("http2: reading was stopped")
	// ErrClosed is a connection that ended under its streams.
	ErrClosed = errors.New("http2: connection closed")
	// ErrUnavailable is a connection that takes no further stream.
	ErrUnavailable = errors.New("http2: the connection takes no further stream")
)

type timeoutError struct{}

// Error implements error.
func (*timeoutError) Error() string { return "http2: timeout" }

// Timeout implements net.Error.
func (*timeoutError) Timeout() bool { return true }

// Temporary implements net.Error.
func (*timeoutError) Temporary() bool { return true }

// StreamError is a stream that was reset.
type StreamError struct {
	Code http2.ErrCode
	// ByPeer tells the peer's reset from our own, for what the peer did.
	ByPeer bool
	// Unprocessed says that the peer did not act on the request, which may be sent again whatever its method.
	Unprocessed bool
}

// Error implements error.
func (e *StreamError) Error() string {
	if e.ByPeer {
		return "http2: stream reset by peer: " + e.Code.String()
	}
	return "http2: stream reset: " + e.Code.String()
}

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

// fill reads more behind what was not taken yet.
func (x *Session) fill() error {
	if x.read > 0 {
		x.write = copy(x.buf, x.buf[x.read:x.write])
		x.read = 0
	}
	if x.write == len(x.buf) || len(x.buf) == 0 {
		x.grow()
	} else if x.write == 0 && len(x.buf) > smallBuffer && x.streams.Load() == 0 {
		putBuffer(x.buf)
		x.buf = make([]byte, smallBuffer)
	}
	n, err := x.nc.Read(x.buf[x.write:])
	x.write += n
	if n > 0 {
		x.fresh = true
		return nil
	}
	return err
}

func (x *Session) grow() {
	size := smallBuffer
	if len(x.buf) > 0 {
		size = largeBuffer
	}
	var grown []byte
	if size == largeBuffer {
		grown = getBuffer()
	} else {
		grown = make([]byte, size)
	}
	copy(grown, x.buf[:x.write])
	x.buf = grown
}

// receive takes all complete frames.
func (x *Session) receive(now time.Time) error {
	x.mu.Lock()
	started := x.conn.Started()
	x.conn.Advance(now)
	if x.fresh {
		x.heard, x.fresh = now, false
	}
	var err error
	for err == nil && x.read < x.write {
		n, ev, failed := x.conn.Receive(x.buf[x.read:x.write])
		if n == 0 && failed == nil {
			break
		}
		x.read += n
		err = failed
		x.act(ev)
	}
	if !started && x.conn.Started() {
		_ = x.nc.SetReadDeadline(now.Add(x.options.IdleTimeout))
	}
	x.conn.Schedule(writeBatch, x.sent)
	// A refusal is written by end.
	flush := err == nil && x.conn.Output() > 0 && !x.writing
	over := x.conn.Over()
	x.mu.Unlock()
	if flush {
		// The reader never waits for a peer that may wait for it to read.
		go x.flush()
	} else if over {
		x.finish()
	}
	return err
}

// act does what an event asks for. The caller holds mu.
func (x *Session) act(ev http2.Event) {
	switch ev.Kind {
	case http2.EventRequest:
		s := x.adopt(ev.Stream)
		x.serving.Add(1)
		workers.run(s)
	case http2.EventResponse, http2.EventData:
		ev.Stream.Owner.(*Stream).readable.wake()
	case http2.EventReset:
		ev.Stream.Owner.(*Stream).fail()
	case http2.EventGoAway:
		x.conn.Each(func(s *http2.Stream) {
			if s.Unprocessed() {
				s.Owner.(*Stream).fail()
			}
		})
	}
}

// adopt makes a stream of the protocol one of the session. The caller holds mu.
func (x *Session) adopt(state *http2.Stream) *Stream {
	s, ok := state.Owner.(*Stream)
	if !ok {
		s = &Stream{readable: newWaiter(), writable: newWaiter()}
		state.Owner = s
	}
	s.begin(x, state)
	x.opened++
	x.streams.Add(1)
	return s
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

// Opened returns how many streams the connection has had.
func (x *Session) Opened() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.opened
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

func isTimeout(err error) bool {
	var n net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}

var buffers = sync.Pool{New: func() any { b := make([]byte, largeBuffer); return &b }}

func getBuffer() []byte { return *buffers.Get().(*[]byte) }

func putBuffer(b []byte) {
	if len(b) == largeBuffer {
		buffers.Put(&b)
	}
}
