// SPDX-License-Identifier: Apache-2.0

package recorded

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// client2 is a connection that speaks HTTP/2, one stream after the other.
type client2 struct {
	conn   io.ReadWriter
	frames *http2.Framer
	out    bytes.Buffer
	encode *hpack.Encoder
	next   uint32
	window int64
}

func newClient2(conn io.ReadWriter) (*client2, error) {
	c := &client2{conn: conn, frames: http2.NewFramer(conn, conn), next: 1, window: 65535}
	c.encode = hpack.NewEncoder(&c.out)
	c.frames.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return nil, err
	}
	// Answers are read at once: the windows never close.
	return c, errors.Join(
		c.frames.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1}),
		c.frames.WriteWindowUpdate(0, 1<<31-1-65535),
	)
}

// exchange sends a request and reads its answer.
func (c *client2) exchange(s *Send) (*message, error) {
	stream := c.next
	c.next += 2
	body := []byte(strings.Repeat(s.Body, or(s.BodyTimes, 1)))
	if err := c.send(stream, s, body); err != nil {
		return nil, err
	}
	return c.receive(stream, body)
}

func (c *client2) send(stream uint32, s *Send, body []byte) error {
	c.out.Reset()
	host, fields := "localhost", make([]Field, 0, len(s.Headers))
	has := map[string]bool{}
	for _, f := range s.Headers {
		name := strings.ToLower(f[0])
		has[name] = true
		if name == "host" {
			host = f[1]
			continue
		}
		fields = append(fields, Field{name, f[1]})
	}
	if len(body) > 0 && !has["content-length"] {
		fields = append(fields, Field{"content-length", fmt.Sprint(len(body))})
	}
	pseudo := []Field{{":method", or(s.Method, "GET")}, {":scheme", "https"}, {":authority", host}, {":path", or(s.Target, "/")}}
	for _, f := range append(pseudo, fields...) {
		// Blanks around a value are the line's in HTTP/1, and forbidden in HTTP/2 (RFC 9113 §8.2.1).
		if err := c.encode.WriteField(hpack.HeaderField{Name: f[0], Value: strings.Trim(string(unlatin(f[1])), " \t")}); err != nil {
			return err
		}
	}
	return c.frames.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: c.out.Bytes(), EndHeaders: true, EndStream: len(body) == 0,
	})
}

// receive reads the answer, and sends the body as the other side takes it.
func (c *client2) receive(stream uint32, body []byte) (*message, error) {
	m := &message{}
	var left int64 = 65535
	for {
		for n := min(int64(len(body)), left, c.window, 16384); n > 0; n = min(int64(len(body)), left, c.window, 16384) {
			piece := body[:n]
			body, left, c.window = body[n:], left-n, c.window-n
			if err := c.frames.WriteData(stream, len(body) == 0, piece); err != nil {
				return nil, err
			}
		}
		frame, err := c.frames.ReadFrame()
		if err != nil {
			return nil, err
		}
		own := frame.Header().StreamID == stream
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if f.IsAck() {
				continue
			}
			if v, ok := f.Value(http2.SettingInitialWindowSize); ok {
				left += int64(v) - 65535
			}
			if err := c.frames.WriteSettingsAck(); err != nil {
				return nil, err
			}
		case *http2.WindowUpdateFrame:
			if own {
				left += int64(f.Increment)
			} else if f.StreamID == 0 {
				c.window += int64(f.Increment)
			}
		case *http2.PingFrame:
			if err := c.frames.WritePing(true, f.Data); err != nil {
				return nil, err
			}
		case *http2.MetaHeadersFrame:
			if own && c.head(m, f) && f.StreamEnded() {
				return m, nil
			}
		case *http2.DataFrame:
			if !own {
				continue
			}
			m.body = append(m.body, f.Data()...)
			if f.StreamEnded() {
				return m, nil
			}
		case *http2.RSTStreamFrame:
			switch {
			case !own:
			case f.ErrCode == http2.ErrCodeNo && m.start != "":
				return m, nil // the answer was complete, and the rest of the request is not wanted
			case m.start == "":
				return nil, fmt.Errorf("stream reset: %s", f.ErrCode)
			default:
				m.fields = append(m.fields, truncated)
				return m, nil
			}
		}
	}
}

// head takes the header of the answer, or its trailers; false for an interim
// answer.
func (c *client2) head(m *message, f *http2.MetaHeadersFrame) bool {
	fields := make([]Field, 0, len(f.Fields))
	for _, h := range f.RegularFields() {
		fields = append(fields, Field{h.Name, latin([]byte(h.Value))})
	}
	status := f.PseudoValue("status")
	start := "HTTP/2 " + status
	switch {
	case status == "":
		m.trailers = fields
	case strings.HasPrefix(status, "1"):
		m.interim = append(m.interim, &message{start: start, fields: fields})
		return false
	default:
		m.start, m.fields = start, fields
	}
	return true
}
