// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// window is as much as the client lets the proxy send without asking.
const window = 1 << 30

// http2Client sends requests over one HTTP/2 connection, several at a time.
// Its frames are x/net's, its streams are no more than an id and a time.
type http2Client struct {
	counters
	load    *Load
	config  *tls.Config
	status  string
	request int
	conn    net.Conn
	in      *bufio.Reader
	out     *bufio.Writer
	framer  *http2.Framer

	encoded bytes.Buffer
	encoder *hpack.Encoder
	decoder *hpack.Decoder
	fields  strings.Builder
	got     string // status of the head under way

	streams map[uint32]*stream
	nextID  uint32
}

type stream struct {
	began  time.Time
	length int
}

func newHTTP2Client(load *Load, number int, p *phase) *http2Client {
	c := &http2Client{
		counters: counters{phase: p}, load: load, config: tlsConfig(load), status: strconv.Itoa(load.Status),
		request: number % len(load.Requests), streams: map[uint32]*stream{}, nextID: 1,
	}
	c.encoder = hpack.NewEncoder(&c.encoded)
	c.decoder = hpack.NewDecoder(4096, c.field)
	return c
}

func (c *http2Client) open() error {
	conn, state, err := dial(c.load, c.config)
	if err != nil {
		return err
	}
	c.conn, c.cipher = conn, cipherOf(state)
	c.out = bufio.NewWriterSize(conn, 64<<10)
	c.in = bufio.NewReaderSize(conn, 64<<10)
	c.framer = http2.NewFramer(c.out, c.in)
	c.framer.SetReuseFrames()
	if _, err := c.out.WriteString(http2.ClientPreface); err != nil {
		return err
	}
	if err := c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window},
		http2.Setting{ID: http2.SettingEnablePush, Val: 0}); err != nil {
		return err
	}
	return c.framer.WriteWindowUpdate(0, window)
}

// once sends one request, alone.
func (c *http2Client) once() error {
	if err := c.open(); err != nil {
		return err
	}
	return c.exchange(1)
}

// exchange keeps streams requests under way until the load ends, or sends one
// if streams is 1 and nothing was sent before.
func (c *http2Client) exchange(streams int) error {
	single := c.answered == 0
	for range streams {
		if err := c.send(); err != nil {
			return err
		}
	}
	for len(c.streams) > 0 {
		// What was collected is sent before a wait, not before.
		if c.in.Buffered() == 0 {
			if err := c.out.Flush(); err != nil {
				return err
			}
		}
		ended, err := c.readFrame()
		if err != nil {
			return fmt.Errorf("at the client: %w", err)
		}
		if ended && !single && c.phase.Load() != ending {
			if err := c.send(); err != nil {
				return err
			}
		}
	}
	return c.out.Flush()
}

func (c *http2Client) send() error {
	r := &c.load.Requests[c.request]
	c.request = (c.request + 1) % len(c.load.Requests)
	c.encoded.Reset()
	scheme := "https"
	if c.load.Protocol == H2C {
		scheme = "http"
	}
	fields := []hpack.HeaderField{
		{Name: ":method", Value: r.method()}, {Name: ":scheme", Value: scheme}, {Name: ":authority", Value: r.Host},
		{Name: ":path", Value: r.Path}, {Name: "user-agent", Value: "bench"}, {Name: "accept", Value: "*/*"},
	}
	for _, h := range r.Header {
		fields = append(fields, hpack.HeaderField{Name: strings.ToLower(h.Name), Value: h.Value})
	}
	for _, f := range fields {
		if err := c.encoder.WriteField(f); err != nil {
			return err
		}
	}
	id := c.nextID
	c.nextID += 2
	c.streams[id] = &stream{began: time.Now()}
	c.sent++
	return c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.encoded.Bytes(), EndStream: true, EndHeaders: true})
}

// readFrame reads one frame and reports whether it ended a stream.
func (c *http2Client) readFrame() (ended bool, err error) {
	frame, err := c.framer.ReadFrame()
	if err != nil {
		return false, err
	}
	switch f := frame.(type) {
	case *http2.HeadersFrame:
		return c.head(f)
	case *http2.DataFrame:
		s := c.streams[f.StreamID]
		if s == nil {
			return false, fmt.Errorf("DATA on stream %d, which is not open", f.StreamID)
		}
		s.length += len(f.Data())
		return f.StreamEnded(), c.end(f.StreamID, s, f.StreamEnded())
	case *http2.SettingsFrame:
		if f.IsAck() {
			return false, nil
		}
		return false, c.framer.WriteSettingsAck()
	case *http2.PingFrame:
		if f.IsAck() {
			return false, nil
		}
		return false, c.framer.WritePing(true, f.Data)
	case *http2.RSTStreamFrame, *http2.GoAwayFrame, *http2.ContinuationFrame:
		return false, fmt.Errorf("unexpected frame %v", f)
	}
	return false, nil
}

func (c *http2Client) field(f hpack.HeaderField) {
	if f.Name == ":status" {
		c.got = f.Value
	}
	if c.wanted() {
		c.fields.WriteString(f.Name + ": " + f.Value + "\r\n")
	}
}

func (c *http2Client) head(f *http2.HeadersFrame) (ended bool, err error) {
	s := c.streams[f.StreamID]
	if s == nil || !f.HeadersEnded() {
		return false, fmt.Errorf("unexpected HEADERS on stream %d", f.StreamID)
	}
	c.got = ""
	c.fields.Reset()
	if _, err := c.decoder.Write(f.HeaderBlockFragment()); err != nil {
		return false, err
	}
	if err := c.decoder.Close(); err != nil {
		return false, err
	}
	if c.got != c.status {
		return false, fmt.Errorf("the proxy answered %q, want %s", c.got, c.status)
	}
	if c.fields.Len() > 0 {
		c.samples = append(c.samples, c.fields.String())
	}
	return f.StreamEnded(), c.end(f.StreamID, s, f.StreamEnded())
}

func (c *http2Client) end(id uint32, s *stream, ended bool) error {
	if !ended {
		return nil
	}
	if !c.load.AnswerAny && s.length != c.load.Answer {
		return fmt.Errorf("an answer has %d bytes, the backend sent %d", s.length, c.load.Answer)
	}
	delete(c.streams, id)
	c.done(s.began, time.Now())
	return nil
}

func (c *http2Client) close() {
	if c.conn != nil {
		_ = c.conn.Close()
	}
}

func (c *http2Client) counted() *counters { return &c.counters }
