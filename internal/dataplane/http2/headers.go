// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"encoding/binary"
	"errors"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
)

const (
	// blockFrames is how many frames a header block may come in.
	blockFrames = 16
	// maxInterim bounds the interim answers before a final one.
	maxInterim = 32
)

// block is a header block that has not ended.
type block struct {
	open   bool
	id     uint32
	end    bool // the stream's side ends with it
	frames int
	bytes  []byte
}

// maxBlock bounds a header block as it is on the wire: more than a head may have decoded is never needed.
func (c *Conn) maxBlock() int { return 2*c.config.Limits.HeadBytes + maxFrame }

func (c *Conn) onHeaders(f *frame) (Event, error) {
	payload, ok := unpad(f)
	if !ok {
		return Event{}, c.fail(CodeProtocol, "more padding than payload")
	}
	depends := uint32(0)
	if f.has(flagPriority) {
		if len(payload) < 5 {
			return Event{}, c.fail(CodeFrameSize, "HEADERS is too short for its priority")
		}
		depends = binary.BigEndian.Uint32(payload) & maxID
		payload = payload[5:]
	}
	if c.config.Client && c.idle(f.id) || f.id%2 == 0 {
		return Event{}, c.fail(CodeProtocol, "HEADERS on a stream that its sender cannot open")
	}
	if depends == f.id {
		return Event{}, c.fail(CodeProtocol, "a stream that depends on itself")
	}
	if f.has(flagEndHeaders) {
		return c.onBlock(f.id, f.has(flagEndStream), payload)
	}
	c.block.open, c.block.id, c.block.end, c.block.frames = true, f.id, f.has(flagEndStream), 1
	c.block.bytes = append(c.block.bytes[:0], payload...)
	return Event{}, nil
}

func (c *Conn) onContinuation(f *frame) (Event, error) {
	b := &c.block
	if !b.open {
		return Event{}, c.fail(CodeProtocol, "CONTINUATION without a header block")
	}
	if err := c.spend(costNoise); err != nil {
		return Event{}, err
	}
	if b.frames++; b.frames > blockFrames || len(b.bytes)+len(f.payload) > c.maxBlock() {
		return Event{}, c.fail(CodeEnhanceYourCalm, "a header block of too many frames or bytes")
	}
	b.bytes = append(b.bytes, f.payload...)
	if !f.has(flagEndHeaders) {
		return Event{}, nil
	}
	b.open = false
	whole := b.bytes
	b.bytes = nil
	return c.onBlock(b.id, b.end, whole)
}

// onBlock takes a complete header block.
func (c *Conn) onBlock(id uint32, end bool, fragment []byte) (Event, error) {
	s := c.streams[id]
	switch {
	case s != nil && s.reset && s.byPeer:
		return Event{}, c.fail(CodeStreamClosed, "HEADERS on a stream that was reset")
	case s != nil && s.reset:
		return Event{}, c.discard(fragment)
	case s != nil && s.recvEnded:
		return Event{}, c.fail(CodeStreamClosed, "HEADERS on a stream that has ended")
	case s != nil && s.headDone:
		return c.onTrailers(s, end, fragment)
	case s != nil:
		return c.onResponse(s, end, fragment)
	case c.config.Client || id <= c.lastPeer:
		return c.onLateBlock(id, fragment)
	}
	return c.onRequest(id, end, fragment)
}

// onLateBlock takes a block of a stream that is closed.
func (c *Conn) onLateBlock(id uint32, fragment []byte) (Event, error) {
	switch c.closed.find(id) {
	case closedByUs:
		return Event{}, c.discard(fragment)
	case closedUnknown:
		if c.config.Client {
			return Event{}, c.discard(fragment)
		}
		return Event{}, c.fail(CodeProtocol, "a stream below the last one")
	}
	return Event{}, c.fail(CodeStreamClosed, "HEADERS on a closed stream")
}

// discard decodes a block for what it does to the table.
func (c *Conn) discard(fragment []byte) error {
	if err := c.spend(costReset); err != nil {
		return err
	}
	c.head.begin(headNone, nil)
	return c.decode(fragment)
}

func (c *Conn) decode(fragment []byte) error {
	if err := c.decoder.decode(fragment, c.head.emit); err != nil {
		return c.fail(CodeCompression, "a header block cannot be decoded")
	}
	if c.head.size > 4*c.config.Limits.HeadBytes {
		return c.fail(CodeEnhanceYourCalm, "a header list of many times the announced size")
	}
	return nil
}

func (c *Conn) onRequest(id uint32, end bool, fragment []byte) (Event, error) {
	c.lastPeer = id
	if c.drain == drainFinal {
		return Event{}, c.discard(fragment)
	}
	if c.full() {
		if err := c.discard(fragment); err != nil {
			return Event{}, err
		}
		c.out = appendRSTStream(c.out, id, CodeRefusedStream)
		c.closed.note(id, closedByUs)
		return Event{}, nil
	}
	s := c.stream(id)
	c.head.begin(headRequest, s)
	c.head.assembly.BeginRequest(&s.Request, &s.arena, c.config.Limits)
	if err := c.decode(fragment); err != nil {
		return Event{}, err
	}
	s.Refusal = c.head.finishRequest(end)
	if errors.Is(s.Refusal, http1.ErrMalformed) {
		s.recycle()
		c.closed.note(id, closedByUs)
		return c.streamError(id, CodeProtocol)
	}
	s.headDone, s.recvEnded, s.expected = true, end, c.head.assembly.Length()
	s.HeadSize = frameHeader + len(fragment)
	s.counted = true
	c.handlers++
	c.streams[id] = s
	return Event{EventRequest, s}, nil
}

// full reports whether another stream would be one too many. A stream that has ended on both sides does not count for the
// client, although its handler may have a last thing to do; a bound holds for these, too.
func (c *Conn) full() bool {
	if c.handlers < c.config.MaxStreams {
		return false
	}
	busy := 0
	for _, s := range c.streams {
		if s.reset || !s.sendEnded || !s.recvEnded {
			busy++
		}
	}
	return busy >= c.config.MaxStreams || c.handlers >= 2*c.config.MaxStreams
}

func (c *Conn) onResponse(s *Stream, end bool, fragment []byte) (Event, error) {
	c.head.begin(headResponse, s)
	c.head.assembly.BeginResponse(&s.Response, &s.arena, c.config.Limits)
	if err := c.decode(fragment); err != nil {
		return Event{}, err
	}
	if err := c.head.finishResponse(s.method, end); err != nil {
		return c.streamError(s.ID, CodeProtocol)
	}
	if s.Response.Status < 200 {
		if end || s.Response.Status == 101 || len(s.Interim) >= maxInterim {
			return c.streamError(s.ID, CodeProtocol)
		}
		if s.Response.Status == 100 {
			s.Response.Reset()
			return Event{}, nil
		}
		s.Interim = append(s.Interim, s.Response)
		s.Response = http1.Response{ContentLength: -1}
		return Event{EventResponse, s}, nil
	}
	if s.expected = c.head.assembly.Length(); s.Response.Framing == http1.BodyNone {
		s.expected = 0
	}
	if end && s.expected > 0 {
		return c.streamError(s.ID, CodeProtocol)
	}
	s.headDone, s.recvEnded = true, end
	return Event{EventResponse, s}, nil
}

func (c *Conn) onTrailers(s *Stream, end bool, fragment []byte) (Event, error) {
	c.head.begin(headTrailer, s)
	c.head.assembly.BeginTrailers(&s.Trailer, &s.arena, c.config.Limits)
	if err := c.decode(fragment); err != nil {
		return Event{}, err
	}
	if !end || c.head.malformed || s.expected >= 0 && s.received != s.expected {
		return c.streamError(s.ID, CodeProtocol)
	}
	if c.head.assembly.FinishTrailers() != nil {
		return c.streamError(s.ID, CodeEnhanceYourCalm)
	}
	s.recvEnded = true
	return Event{EventData, s}, nil
}

// what a header block is.
type headKind uint8

const (
	headNone headKind = iota
	headRequest
	headResponse
	headTrailer
)

// headReader takes the fields of one block.
type headReader struct {
	emit     func(name, value []byte)
	assembly http1.Assembly

	kind      headKind
	stream    *Stream
	malformed bool
	regular   bool // a field that is not a pseudo-header was seen
	size      int

	line   http1.RequestLine
	scheme []byte
	seen   [pseudoCount]bool
	status int
}

// pseudo-headers.
const (
	pseudoMethod = iota
	pseudoScheme
	pseudoPath
	pseudoAuthority
	pseudoStatus
	pseudoCount
)

func (h *headReader) bind() { h.emit = h.field }

func (h *headReader) begin(kind headKind, s *Stream) {
	*h = headReader{emit: h.emit, kind: kind, stream: s}
}

func (h *headReader) field(name, value []byte) {
	h.size += len(name) + len(value) + entryOverhead
	switch {
	case h.kind == headNone || h.malformed:
	case len(name) > 0 && name[0] == ':':
		h.malformed = h.regular || !h.pseudo(name, value)
	default:
		h.regular = true
		h.malformed = !h.assembly.Add(name, value)
	}
}

// pseudo takes a pseudo-header field.
func (h *headReader) pseudo(name, value []byte) bool {
	which := pseudoCount
	switch string(name) {
	case ":method":
		which = pseudoMethod
	case ":scheme":
		which = pseudoScheme
	case ":path":
		which = pseudoPath
	case ":authority":
		which = pseudoAuthority
	case ":status":
		which = pseudoStatus
	}
	if which == pseudoCount || (which == pseudoStatus) != (h.kind == headResponse) || h.kind == headTrailer ||
		h.seen[which] || !http1.SoundText(value) {
		return false
	}
	h.seen[which] = true
	switch which {
	case pseudoMethod:
		h.line.Method = h.stream.arena.Copy(value)
	case pseudoScheme:
		h.scheme = h.stream.arena.Copy(value)
	case pseudoPath:
		h.line.Path = h.stream.arena.Copy(value)
	case pseudoAuthority:
		h.line.Authority = h.stream.arena.Copy(value)
	case pseudoStatus:
		h.status = parseStatus(value)
		return h.status != 0
	}
	return true
}

// parseStatus reads three digits, 0 if they are none.
func parseStatus(b []byte) (status int) {
	if len(b) != 3 {
		return 0
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0
		}
		status = status*10 + int(c-'0')
	}
	if status < 100 {
		return 0
	}
	return status
}

// finishRequest judges a complete head (RFC 9113 §8.3.1). The error is ErrMalformed or an *http1.Error.
func (h *headReader) finishRequest(end bool) error {
	if h.malformed || !h.sound() {
		return http1.ErrMalformed
	}
	h.line.Ended = end
	return h.assembly.FinishRequest(&h.stream.Request, &h.line)
}

func (h *headReader) sound() bool {
	for _, c := range h.line.Authority {
		// Deprecated userinfo is not for http and https.
		if c <= ' ' || c == '@' {
			return false
		}
	}
	if len(h.line.Method) == 0 || h.seen[pseudoAuthority] && len(h.line.Authority) == 0 {
		return false
	}
	if string(h.line.Method) == "CONNECT" {
		h.line.Connect = true
		return !h.seen[pseudoScheme] && !h.seen[pseudoPath]
	}
	if string(h.scheme) != "http" && string(h.scheme) != "https" {
		return false
	}
	return len(h.line.Path) > 0 && (h.line.Path[0] == '/' || string(h.line.Path) == "*")
}

func (h *headReader) finishResponse(method http1.Method, end bool) error {
	if h.malformed || !h.seen[pseudoStatus] {
		return http1.ErrMalformed
	}
	return h.assembly.FinishResponse(&h.stream.Response, h.status, method, end)
}
