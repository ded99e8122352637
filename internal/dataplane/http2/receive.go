// SPDX-License-Identifier: Apache-2.0

package http2

import "encoding/binary"

// Receive takes the frame at the start of in. n is how many bytes it took; 0 says that more are needed: call again with
// the same bytes and more behind them. Slices of in are not kept. An error is a *ConnError and final: what is in
// the output is to be sent, and the connection closed.
func (c *Conn) Receive(in []byte) (n int, ev Event, err error) {
	if c.failed != nil {
		return 0, Event{}, c.failed
	}
	if !c.prefaced {
		n := min(len(in), len(Preface))
		if string(in[:n]) != Preface[:n] {
			return 0, Event{}, c.fail(CodeProtocol, "no connection preface")
		}
		if n < len(Preface) {
			return 0, Event{}, nil
		}
		c.prefaced = true
		return n, Event{}, nil
	}
	if len(in) < frameHeader {
		return 0, Event{}, nil
	}
	f, length := parseHeader(in)
	if length > maxFrame {
		return 0, Event{}, c.fail(CodeFrameSize, "frame is too large")
	}
	if err := c.admit(&f); err != nil {
		return 0, Event{}, err
	}
	if err := c.heedOutput(); err != nil {
		return 0, Event{}, err
	}
	n = frameHeader + length
	if len(in) < n {
		return 0, Event{}, nil
	}
	f.payload = in[frameHeader:n:n]
	ev, err = c.dispatch(&f)
	return n, ev, err
}

// admit checks what can be said about a frame by its header alone.
func (c *Conn) admit(f *frame) error {
	switch {
	case !c.settled && (f.kind != frameSettings || f.has(flagAck)):
		return c.fail(CodeProtocol, "the first frame is not SETTINGS")
	case c.block.open && (f.kind != frameContinuation || f.id != c.block.id):
		return c.fail(CodeProtocol, "a frame between those of a header block")
	case f.kind > frameContinuation:
		return nil
	}
	connection := f.kind == frameSettings || f.kind == framePing || f.kind == frameGoAway
	if connection && f.id != 0 {
		return c.fail(CodeProtocol, "a frame for the connection has a stream")
	}
	if !connection && f.kind != frameWindowUpdate && f.id == 0 {
		return c.fail(CodeProtocol, "a frame for a stream has none")
	}
	return nil
}

func (c *Conn) dispatch(f *frame) (Event, error) {
	switch f.kind {
	case frameData:
		return c.onData(f)
	case frameHeaders:
		return c.onHeaders(f)
	case frameContinuation:
		return c.onContinuation(f)
	case framePriority:
		return c.onPriority(f)
	case frameRSTStream:
		return c.onRSTStream(f)
	case frameSettings:
		return c.onSettings(f)
	case framePushPromise:
		return Event{}, c.fail(CodeProtocol, "PUSH_PROMISE, which was not allowed")
	case framePing:
		return c.onPing(f)
	case frameGoAway:
		return c.onGoAway(f)
	case frameWindowUpdate:
		return c.onWindowUpdate(f)
	}
	return Event{}, c.spend(costNoise)
}

// idle reports whether a stream was not opened yet.
func (c *Conn) idle(id uint32) bool {
	if c.config.Client {
		return id%2 == 0 || id >= c.nextID
	}
	return id%2 == 0 || id > c.lastPeer
}

// streamError resets a stream for what its peer did.
func (c *Conn) streamError(id uint32, code ErrCode) (Event, error) {
	if err := c.spend(costReset); err != nil {
		return Event{}, err
	}
	s := c.streams[id]
	if s == nil {
		c.out = appendRSTStream(c.out, id, code)
		return Event{}, nil
	}
	if s.reset {
		return Event{}, nil
	}
	if s.recvEnded && s.sendEnded {
		// Both sides are done, only its handler is not.
		c.out = appendRSTStream(c.out, id, code)
		return Event{}, nil
	}
	c.Reset(s, code)
	return Event{EventReset, s}, nil
}

func (c *Conn) onData(f *frame) (Event, error) {
	if c.idle(f.id) {
		return Event{}, c.fail(CodeProtocol, "DATA on an idle stream")
	}
	data, ok := unpad(f)
	if !ok {
		return Event{}, c.fail(CodeProtocol, "more padding than payload")
	}
	size := int64(len(f.payload))
	if c.recvWindow -= size; c.recvWindow < 0 {
		return Event{}, c.fail(CodeFlowControl, "more DATA than the connection's window")
	}
	end := f.has(flagEndStream)
	if len(data) == 0 && !end {
		if err := c.spend(costEmpty); err != nil {
			return Event{}, err
		}
	}
	s := c.streams[f.id]
	if s == nil || s.reset || s.recvEnded {
		c.consumed(nil, size)
		return c.lateData(s, f.id)
	}
	c.consumed(nil, size-int64(len(data)))
	if s.recvWindow -= size; s.recvWindow < 0 {
		c.consumed(nil, int64(len(data)))
		return c.streamError(f.id, CodeFlowControl)
	}
	s.credit += size - int64(len(data))
	s.received += int64(len(data))
	if !s.headDone || s.expected >= 0 && (s.received > s.expected || end && s.received != s.expected) {
		c.consumed(nil, int64(len(data)))
		return c.streamError(f.id, CodeProtocol)
	}
	s.body = append(s.body, data...)
	s.recvEnded = end
	if len(data) >= usefulData {
		c.budget.gain(gainData)
	}
	return Event{EventData, s}, nil
}

// lateData answers DATA on a stream whose peer has already ended it.
func (c *Conn) lateData(s *Stream, id uint32) (Event, error) {
	if s != nil && s.reset && !s.byPeer {
		return Event{}, c.spend(costNoise)
	}
	if s == nil && c.closed.find(id) == closedByUs {
		return Event{}, c.spend(costNoise)
	}
	if s != nil && s.reset {
		// Its handler has not noticed yet; a second RST_STREAM would be for the same.
		if err := c.spend(costReset); err != nil {
			return Event{}, err
		}
		c.out = appendRSTStream(c.out, id, CodeStreamClosed)
		return Event{}, nil
	}
	return c.streamError(id, CodeStreamClosed)
}

func (c *Conn) onPriority(f *frame) (Event, error) {
	if len(f.payload) != 5 {
		return c.streamError(f.id, CodeFrameSize)
	}
	if err := c.spend(costNoise); err != nil {
		return Event{}, err
	}
	if binary.BigEndian.Uint32(f.payload)&maxID == f.id {
		return c.streamError(f.id, CodeProtocol)
	}
	return Event{}, nil
}

func (c *Conn) onRSTStream(f *frame) (Event, error) {
	if len(f.payload) != 4 {
		return Event{}, c.fail(CodeFrameSize, "RST_STREAM has not 4 bytes")
	}
	if c.idle(f.id) {
		return Event{}, c.fail(CodeProtocol, "RST_STREAM on an idle stream")
	}
	if err := c.spend(costReset); err != nil {
		return Event{}, err
	}
	s := c.streams[f.id]
	if s == nil || s.reset {
		return Event{}, nil
	}
	code := ErrCode(binary.BigEndian.Uint32(f.payload))
	if c.config.Client && s.recvEnded && code == CodeNo {
		// RFC 9113 §8.1: the answer is complete, and the server wants no more of the request.
		c.dropQueue(s)
		s.sendEnded = true
		return Event{EventReset, s}, nil
	}
	s.reset, s.byPeer, s.code = true, true, code
	c.dropQueue(s)
	return Event{EventReset, s}, nil
}

func (c *Conn) onSettings(f *frame) (Event, error) {
	if f.has(flagAck) {
		if len(f.payload) != 0 {
			return Event{}, c.fail(CodeFrameSize, "SETTINGS acknowledgement with a payload")
		}
		return Event{}, c.spend(costNoise)
	}
	if len(f.payload)%6 != 0 {
		return Event{}, c.fail(CodeFrameSize, "SETTINGS of a broken length")
	}
	if err := c.spend(costSettings + len(f.payload)/6); err != nil {
		return Event{}, err
	}
	for b := f.payload; len(b) > 0; b = b[6:] {
		if err := c.set(binary.BigEndian.Uint16(b), binary.BigEndian.Uint32(b[2:])); err != nil {
			return Event{}, err
		}
	}
	c.settled = true
	c.out = appendHeader(c.out, 0, frameSettings, flagAck, 0)
	return Event{Kind: EventWindow}, nil
}

func (c *Conn) set(id uint16, value uint32) error {
	switch id {
	case settingTableSize:
		if value < tableLimit {
			c.peer.shrunk = true
		}
	case settingEnablePush:
		if value > 1 || c.config.Client && value != 0 {
			return c.fail(CodeProtocol, "SETTINGS_ENABLE_PUSH out of range")
		}
	case settingMaxStreams:
		c.peer.maxStreams = value
	case settingInitialWindow:
		if value > maxWindow {
			return c.fail(CodeFlowControl, "SETTINGS_INITIAL_WINDOW_SIZE out of range")
		}
		more := int64(value) - c.peer.window
		c.peer.window = int64(value)
		for _, s := range c.streams {
			if s.sendWindow += more; s.sendWindow > maxWindow {
				return c.fail(CodeFlowControl, "SETTINGS_INITIAL_WINDOW_SIZE makes a window too large")
			}
			c.enqueue(s)
		}
	case settingMaxFrame:
		// What we send fits the smallest value.
		if value < maxFrame || value >= 1<<24 {
			return c.fail(CodeProtocol, "SETTINGS_MAX_FRAME_SIZE out of range")
		}
	}
	return nil
}

func (c *Conn) onPing(f *frame) (Event, error) {
	if len(f.payload) != 8 {
		return Event{}, c.fail(CodeFrameSize, "PING has not 8 bytes")
	}
	if err := c.spend(costPing); err != nil {
		return Event{}, err
	}
	if !f.has(flagAck) {
		c.out = appendPing(c.out, flagAck, f.payload)
		return Event{}, nil
	}
	if c.drain == drainAnnounced && string(f.payload) == string(drainPing) {
		c.FinishDrain()
		return Event{Kind: EventDrained}, nil
	}
	return Event{}, nil
}

func (c *Conn) onGoAway(f *frame) (Event, error) {
	if len(f.payload) < 8 {
		return Event{}, c.fail(CodeFrameSize, "GOAWAY is too short")
	}
	if err := c.spend(costNoise); err != nil {
		return Event{}, err
	}
	c.peerGone = true
	if c.config.Client {
		last := binary.BigEndian.Uint32(f.payload) & maxID
		for id, s := range c.streams {
			s.unprocessed = s.unprocessed || id > last
		}
	}
	return Event{Kind: EventGoAway}, nil
}

func (c *Conn) onWindowUpdate(f *frame) (Event, error) {
	if len(f.payload) != 4 {
		return Event{}, c.fail(CodeFrameSize, "WINDOW_UPDATE has not 4 bytes")
	}
	if err := c.spend(costNoise); err != nil {
		return Event{}, err
	}
	more := int64(binary.BigEndian.Uint32(f.payload) & maxWindow)
	if f.id == 0 {
		if more == 0 {
			return Event{}, c.fail(CodeProtocol, "WINDOW_UPDATE of 0")
		}
		if c.sendWindow += more; c.sendWindow > maxWindow {
			return Event{}, c.fail(CodeFlowControl, "the connection's window is too large")
		}
		return Event{Kind: EventWindow}, nil
	}
	if c.idle(f.id) {
		return Event{}, c.fail(CodeProtocol, "WINDOW_UPDATE on an idle stream")
	}
	s := c.streams[f.id]
	if s == nil || s.reset || s.sendEnded && s.recvEnded {
		return Event{}, nil
	}
	if more == 0 {
		return c.streamError(f.id, CodeProtocol)
	}
	if s.sendWindow += more; s.sendWindow > maxWindow {
		return c.streamError(f.id, CodeFlowControl)
	}
	c.enqueue(s)
	return Event{Kind: EventWindow}, nil
}
