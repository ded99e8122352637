// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
)

// Config is what both sides of a connection are made of. It is read only and may be shared.
type Config struct {
	// Client is the role: a client opens streams, a server receives them.
	Client bool
	// Limits bound what heads and trailers the peer may send.
	Limits *http1.Limits
	// MaxStreams is how many streams a client may have under way on the connection. One that the client has cancelled
	// counts until Done; of those that have ended as many again may not be Done.
	MaxStreams int
	// StreamWindow and ConnWindow bound the bytes of bodies that wait to be consumed, of a stream and of the connection. At
	// least 65535.
	StreamWindow, ConnWindow int64
}

// EventKind says what an Event is about.
type EventKind uint8

// The kinds.
const (
	// EventNone: more bytes are needed, or there is nothing to act upon.
	EventNone EventKind = iota
	// EventRequest: a client has sent the head of a request. The stream is the holder's to serve and to give back with Done.
	EventRequest
	// EventResponse: the final head of an answer, or an interim one, has come.
	EventResponse
	// EventData: there is more to Take, or the peer has ended its side.
	EventData
	// EventReset: the stream is over without having ended, see Stream.Failed; or a server wants no more of the request.
	EventReset
	// EventWindow: windows grew, so that Schedule may find something to do.
	EventWindow
	// EventGoAway: the peer takes no further streams; those that it never looked at are Unprocessed.
	EventGoAway
	// EventDrained: the client knows that it must not open further streams.
	EventDrained
)

// Event is what a frame meant.
type Event struct {
	Kind EventKind
	// Stream is set for the first four kinds after EventNone.
	Stream *Stream
}

// Conn is one side of a connection. It is not safe for concurrent use.
type Conn struct {
	config *Config
	out    []byte
	// carried is how much of out is of requests and answers, and given how many streams were Done
	// behind it, since TakeOutput.
	carried, given int
	failed         *ConnError

	streams map[uint32]*Stream
	spare   *Stream // streams to use again, linked by next
	spares  int
	closed  closedStreams
	// lastPeer is the highest stream that the client opened, nextID the next one that a client opens.
	lastPeer, nextID uint32
	handlers         int

	prefaced, settled bool
	block             block
	decoder           decoder
	head              headReader
	budget            budget

	recvWindow, credit int64
	sendWindow         int64
	peer               peerSettings
	ring               ring

	drain    drainState
	peerGone bool
}

// peerSettings is what the peer announced.
type peerSettings struct {
	window     int64
	maxStreams uint32
	// shrunk says that the peer made its table smaller, which the next block must acknowledge (RFC 7541 §4.2).
	shrunk bool
}

type drainState uint8

const (
	drainNone drainState = iota
	drainAnnounced
	drainFinal
)

// spareStreams is how many unused streams a connection keeps.
const spareStreams = 16

// NewConn returns a connection whose output holds what its side sends first.
func NewConn(config *Config) *Conn {
	c := &Conn{
		config: config, streams: map[uint32]*Stream{}, nextID: 1,
		recvWindow: config.ConnWindow, sendWindow: firstWindow,
		peer: peerSettings{window: firstWindow, maxStreams: 100},
	}
	c.head.bind()
	if config.Client {
		c.prefaced = true
		c.out = append(c.out, Preface...)
	}
	var settings []byte
	if config.Client {
		settings = appendSetting(settings, settingEnablePush, 0)
	} else {
		settings = appendSetting(settings, settingMaxStreams, uint32(config.MaxStreams))
	}
	settings = appendSetting(settings, settingInitialWindow, uint32(config.StreamWindow))
	settings = appendSetting(settings, settingMaxHeaderList, uint32(config.Limits.HeadBytes))
	c.out = append(appendHeader(c.out, len(settings), frameSettings, 0, 0), settings...)
	if more := config.ConnWindow - firstWindow; more > 0 {
		c.out = appendWindowUpdate(c.out, 0, more)
	}
	return c
}

// Advance tells the time, from which a peer's budget grows.
func (c *Conn) Advance(now time.Time) { c.budget.advance(now) }

// Output returns how many bytes wait to be sent.
func (c *Conn) Output() int { return len(c.out) }

// TakeOutput returns what is to be sent. spare becomes the memory for what follows.
func (c *Conn) TakeOutput(spare []byte) []byte {
	out := c.out
	c.out, c.carried, c.given = spare[:0], 0, 0
	return out
}

// Streams returns the number of streams that are not Done.
func (c *Conn) Streams() int { return len(c.streams) }

// Each calls visit for every stream that is not Done.
func (c *Conn) Each(visit func(*Stream)) {
	for _, s := range c.streams {
		visit(s)
	}
}

// Err returns why the connection failed, nil if it did not.
func (c *Conn) Err() error {
	if c.failed == nil {
		return nil
	}
	return c.failed
}

// Started reports whether the peer's first settings have come.
func (c *Conn) Started() bool { return c.settled }

// Over reports whether nothing more will happen on the connection: no stream is under way, and none will come.
func (c *Conn) Over() bool {
	return len(c.streams) == 0 && (c.drain == drainFinal || c.peerGone || c.failed != nil)
}

// fail ends the connection.
func (c *Conn) fail(code ErrCode, reason string) error {
	if c.failed == nil {
		c.failed = &ConnError{code, reason}
		c.out = appendGoAway(c.out, c.lastPeer, code)
	}
	return c.failed
}

// spend pays for something that moves nothing forward.
func (c *Conn) spend(n int) error {
	if !c.budget.spend(n) {
		return c.fail(CodeEnhanceYourCalm, "too many frames that carry nothing")
	}
	return nil
}

// What waits for a peer that does not read is bounded: who reads never gets there, since a client knows of free streams by
// reading only.
const (
	// controlBacklog bounds the bytes of what answers the peer's frames: acknowledgements, resets, windows.
	controlBacklog = 64 << 10
	// givenBacklog bounds the streams of a client that are over with the answers unsent, beyond two rounds of those that it
	// may have at once: as many as its budget lets it reset.
	givenBacklog = budgetFull / costReset
	// openBacklog is how much may wait when a client opens a stream.
	openBacklog = 1 << 20
)

// heedOutput ends the connection of a peer that makes us speak and does not listen.
func (c *Conn) heedOutput() error {
	if len(c.out)-c.carried > controlBacklog || !c.config.Client && c.given > 2*c.config.MaxStreams+givenBacklog {
		return c.fail(CodeEnhanceYourCalm, "too much waits to be read")
	}
	return nil
}

// drainPing is what the PING between the two GOAWAYs carries.
var drainPing = []byte("draining")

// Drain starts to end a server's connection: the client is asked to open no more streams (RFC 9113 §6.8). Those that it
// opens before it knows are served. When the client has answered, or FinishDrain was called, later ones are not.
func (c *Conn) Drain() {
	if c.drain == drainNone && c.failed == nil {
		c.drain = drainAnnounced
		c.out = appendGoAway(c.out, maxID, CodeNo)
		c.out = appendPing(c.out, 0, drainPing)
	}
}

// Draining reports whether Drain was called.
func (c *Conn) Draining() bool { return c.drain != drainNone }

// FinishDrain tells the client which streams are served, and serves no others.
func (c *Conn) FinishDrain() {
	if c.drain != drainFinal && c.failed == nil {
		c.drain = drainFinal
		c.out = appendGoAway(c.out, c.lastPeer, CodeNo)
	}
}

// Done gives a stream back. What was not ended is reset.
func (c *Conn) Done(s *Stream) {
	if !s.reset {
		switch {
		case !s.sendEnded && c.config.Client || !s.recvEnded && c.config.Client:
			c.Reset(s, CodeCancel)
		case !s.sendEnded:
			c.Reset(s, CodeInternal)
		case !s.recvEnded:
			// RFC 9113 §8.1: the answer is complete, whatever else would come.
			c.Reset(s, CodeNo)
		default:
			c.budget.gain(gainRequest)
		}
	}
	if len(c.out) > 0 {
		c.given++
	}
	c.ring.remove(s)
	c.consumed(nil, int64(len(s.body)+s.held))
	delete(c.streams, s.ID)
	if s.counted {
		c.handlers--
	}
	how := closedEnded
	if s.reset {
		how = closedByUs
		if s.byPeer {
			how = closedByPeer
		}
	}
	c.closed.note(s.ID, how)
	s.recycle()
	if c.spares < spareStreams {
		s.next, c.spare = c.spare, s
		c.spares++
	}
}

// stream returns a stream to use.
func (c *Conn) stream(id uint32) *Stream {
	s := c.spare
	if s != nil {
		c.spare, s.next = s.next, nil
		c.spares--
	} else {
		s = &Stream{expected: -1}
	}
	s.ID = id
	s.recvWindow, s.sendWindow = c.config.StreamWindow, c.peer.window
	return s
}

// Reset ends a stream without completing it. The holder still owes its Done.
func (c *Conn) Reset(s *Stream, code ErrCode) {
	if s.reset || s.recvEnded && s.sendEnded {
		return
	}
	s.reset, s.code = true, code
	c.dropQueue(s)
	if c.failed == nil {
		c.out = appendRSTStream(c.out, s.ID, code)
	}
}

func (c *Conn) dropQueue(s *Stream) {
	c.ring.remove(s)
	s.queue, s.queueEnd = nil, false
}

// how a stream was closed.
type how uint8

const (
	closedUnknown how = iota
	closedEnded
	closedByUs
	closedByPeer
)

// closedStreams remembers how the last streams were closed, since frames that were under way may still come.
type closedStreams struct {
	ids [64]uint32
	how [64]how
	at  int
}

func (c *closedStreams) note(id uint32, h how) {
	c.ids[c.at], c.how[c.at] = id, h
	c.at = (c.at + 1) % len(c.ids)
}

func (c *closedStreams) find(id uint32) how {
	for i := range c.ids {
		if c.ids[i] == id {
			return c.how[i]
		}
	}
	return closedUnknown
}
