// SPDX-License-Identifier: Apache-2.0

package http1

// Response is a parsed response head. All slices are views into the buffer it was parsed from. Reset makes it ready for
// the next one.
type Response struct {
	// Minor is the minor HTTP version: 0 or 1.
	Minor uint8
	// Status is the status code, 100 to 999; Reason the text behind it as sent.
	Status int
	Reason []byte
	// Header holds all fields except the hop-by-hop ones, Connection among them, and X-Accel-*. Content-Length and
	// Transfer-Encoding are in it for plugins and logs to read; AppendResponseHead leaves them out.
	Header Header
	// Framing describes the body. ContentLength is the value of Content-Length, -1 without; with BodyNone it is what the
	// answer announces (to HEAD, or in a 304), not what follows.
	Framing       Framing
	ContentLength int64
	// KeepAlive says that the connection may carry another exchange once the body was read.
	KeepAlive bool
	// WebSocket says that this is a 101 that switches to WebSocket.
	WebSocket bool

	head head
}

// Reset makes r ready for another message, keeping its memory.
func (r *Response) Reset() {
	h := r.Header
	h.Reset()
	*r = Response{Header: h, ContentLength: -1}
}

// Interim says whether this is a 1xx answer after which another one follows on the same connection.
func (r *Response) Interim() bool { return r.Status < 200 && r.Status != 101 }

// ParseResponse parses the response head at the start of buf into out and returns its length n; the body, or after an
// interim answer the next head, follows at buf[n:]. request is the method that is answered. out must have been Reset
// before the first call for a message. It returns ErrNeedMore as ParseRequest does; a connection that ends then sent a
// broken answer. Any other error is an *Error with status 502: the connection must be closed.
func ParseResponse(buf []byte, limits *Limits, request Method, out *Response) (n int, err error) {
	p := &out.head
	p.enter(buf)
	f := out.parse(buf, limits)
	if f == faultNone && p.moved {
		// The views of earlier calls point into memory that is no longer ours. All bytes are known to be good.
		out.Reset()
		p.enter(buf)
		f = out.parse(buf, limits)
	}
	if f == faultNone {
		f = out.finish(request)
	}
	if f != faultNone {
		if p.moved {
			out.Header.Reset()
		}
		return 0, f.response()
	}
	return p.scanner.pos, nil
}

// parse advances through the phases.
func (r *Response) parse(buf []byte, lim *Limits) fault {
	if r.head.phase < phaseFields {
		if f := r.parseLine(buf, lim); f != faultNone {
			return f
		}
		r.head.beginFields(sideResponse, lim)
	}
	return r.head.parseFields(buf, lim, &r.Header)
}

// statusEnd is the length of "HTTP/1.1 200".
const statusEnd = versionLength + 4

// parseLine reads the status line. The blank and the reason behind the status may be missing, as many servers do.
func (r *Response) parseLine(buf []byte, lim *Limits) fault {
	p := &r.head
	window, short := p.window(buf, 0, lim.RequestLine, faultHeadTooLarge)
	if p.phase == phaseStart {
		if f := r.parseStatus(window); f == faultNeedMore {
			return short
		} else if f != faultNone {
			return f
		}
		p.phase, p.mark, p.pos = phaseReason, statusEnd, statusEnd
	}
	if p.pos == statusEnd {
		if p.pos == len(window) {
			return short
		}
		if c := window[p.pos]; c != ' ' && c != '\r' {
			return faultStatusLine
		}
	}
	i := skipText(window, p.pos)
	if p.pos = i; i == len(window) {
		return short
	}
	if f := p.lineEnd(window, i, short, faultStatusLine); f != faultNone {
		return f
	}
	r.Reason = trimBlanks(window[statusEnd:i])
	return faultNone
}

// parseStatus reads version and status.
func (r *Response) parseStatus(window []byte) (f fault) {
	if r.Minor, f = version(window, 0, faultStatusLine); f != faultNone {
		return f
	}
	status := 0
	for i := versionLength; i < statusEnd; i++ {
		if i >= len(window) {
			return faultNeedMore
		}
		c := window[i]
		if i == versionLength {
			if c != ' ' {
				return faultStatusLine
			}
			continue
		}
		if c < '0' || c > '9' {
			return faultStatusLine
		}
		status = status*10 + int(c-'0')
	}
	if r.Status = status; status < 100 {
		return faultStatusLine
	}
	return faultNone
}

// finish derives the facts from a complete head and takes the hop-by-hop fields out.
func (r *Response) finish(request Method) (f fault) {
	s, h := &r.head.scanner, &r.Header
	if r.Framing, r.ContentLength, f = s.framing(h, r.Minor); f != faultNone {
		return f
	}
	options, f := s.connection(h)
	if f != faultNone {
		return f
	}
	r.KeepAlive = !options.close && (r.Minor == 1 || options.keepAlive)
	switch {
	case r.Status < 200 || r.Status == 204:
		// RFC 9112 §6.3: no body whatever the fields say. If they announce one, it may still come.
		if r.Framing == BodyChunked || r.ContentLength > 0 {
			r.KeepAlive = false
		}
		r.Framing = BodyNone
	case request == MethodHead || r.Status == 304:
		r.Framing = BodyNone
	case r.Framing == BodyNone:
		r.Framing, r.KeepAlive = BodyUntilClose, false
	}
	r.WebSocket = r.Status == 101 && s.wantsWebSocket(h, options)
	s.stripResponse(h, r.WebSocket)
	h.sweep()
	return faultNone
}
