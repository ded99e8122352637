// SPDX-License-Identifier: Apache-2.0

package http1

// maxEmptyLines is how many empty lines before a request line are skipped (RFC 9112 §2.2 asks for one).
const maxEmptyLines = 8

// Method is a number for the methods that the proxy asks about.
type Method uint8

// The methods.
const (
	MethodOther Method = iota
	MethodGet
	MethodHead
	MethodPost
	MethodPut
	MethodDelete
	MethodPatch
	MethodOptions
	MethodTrace
	MethodConnect
)

// LookupMethod returns the number of a method, which is case-sensitive.
func LookupMethod(name []byte) Method {
	switch string(name) {
	case "GET":
		return MethodGet
	case "HEAD":
		return MethodHead
	case "POST":
		return MethodPost
	case "PUT":
		return MethodPut
	case "DELETE":
		return MethodDelete
	case "PATCH":
		return MethodPatch
	case "OPTIONS":
		return MethodOptions
	case "TRACE":
		return MethodTrace
	case "CONNECT":
		return MethodConnect
	}
	return MethodOther
}

// Request is a parsed request head. All slices are views into the buffer it was parsed from. Reset makes it ready for
// the next one.
type Request struct {
	// Method as sent, and its number.
	Method   []byte
	MethodID Method
	// Minor is the minor HTTP version: 0 or 1.
	Minor uint8
	// Target is the request target as sent; Form is which of the forms of RFC 9112 §3.2 it has.
	Target []byte
	Form   TargetForm
	// HTTPS is set for an absolute-form target with scheme https.
	HTTPS bool
	// PlainPath says that Path is in normal form and needs no escapes: NormalizePath and EscapePath would return it as is.
	PlainPath bool
	// HasQuery tells "/a?" (an empty query) from "/a".
	HasQuery bool
	// Path is the path as sent, without query: "/" if an absolute-form target has none, "*" in asterisk form.
	Path []byte
	// Query is what follows the first '?', as sent.
	Query []byte
	// Host is the authority of an absolute-form target, else the Host field; empty if an HTTP/1.0 request has neither.
	// Hostname is Host without port, with the brackets of an IPv6 address; Port is 0 when Host names none.
	Host     []byte
	Hostname []byte
	Port     uint16
	// Header holds all fields except the hop-by-hop ones, and those that Limits.Untrusted drops. Connection, Expect,
	// Content-Length and Transfer-Encoding are in it for plugins and logs to read; AppendRequestHead leaves them out. With
	// an absolute-form target, Host is replaced by the target's authority.
	Header Header
	// Framing and ContentLength describe the body; ContentLength is -1 unless Framing is BodyLength.
	Framing       Framing
	ContentLength int64
	// KeepAlive says that the client wants the connection to stay open.
	KeepAlive bool
	// ExpectContinue says that the client waits for 100 (Continue) before it sends the body.
	ExpectContinue bool
	// AcceptsTrailers says that TE asked for trailers.
	AcceptsTrailers bool
	// WebSocket says that this is a WebSocket handshake: GET, HTTP/1.1, no body, Connection: upgrade and exactly Upgrade:
	// websocket. Upgrade stays in Header only then.
	WebSocket bool

	head head
}

// Reset makes r ready for another message, keeping its memory.
func (r *Request) Reset() {
	h := r.Header
	h.Reset()
	*r = Request{Header: h, ContentLength: -1}
}

// ParseRequest parses the request head at the start of buf into out and returns its length n; the body follows at
// buf[n:]. out must have been Reset before the first call for a message. It returns ErrNeedMore when the head is not
// complete: call again with the same bytes and more behind them, at the same place in memory or another. Any other
// error is an *Error: answer with its status and close the connection; out then holds what was read before the fault,
// of which only Header is of use, to see which type of answer the client accepts.
func ParseRequest(buf []byte, limits *Limits, out *Request) (n int, err error) {
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
		f = out.finish(limits)
	}
	if f != faultNone {
		if p.moved {
			out.Header.Reset()
		}
		return 0, f.request()
	}
	return p.scanner.pos, nil
}

// parse advances through the phases.
func (r *Request) parse(buf []byte, lim *Limits) fault {
	if r.head.phase < phaseFields {
		if f := r.parseLine(buf, lim); f != faultNone {
			return f
		}
		r.head.beginFields(sideRequest, lim)
	}
	return r.head.parseFields(buf, lim, &r.Header)
}

// parseLine reads the request line.
func (r *Request) parseLine(buf []byte, lim *Limits) fault {
	p := &r.head
	if p.phase == phaseStart {
		if f := p.skipEmptyLines(buf); f != faultNone {
			return f
		}
		p.phase = phaseMethod
	}
	window, short := p.window(buf, p.lineStart(), lim.RequestLine, faultURITooLong)
	if p.phase == phaseMethod {
		i := p.pos
		for i < len(window) && class[window[i]]&classToken != 0 {
			i++
		}
		if p.pos = i; i == len(window) {
			return short
		}
		if window[i] != ' ' || i == p.mark {
			return faultMethod
		}
		r.Method = window[p.mark:i]
		r.MethodID = LookupMethod(r.Method)
		p.phase, p.mark, p.pos = phaseTarget, i+1, i+1
	}
	if p.phase == phaseTarget {
		i := skipVisible(window, p.pos)
		if p.pos = i; i == len(window) {
			return short
		}
		if window[i] != ' ' || i == p.mark {
			return faultRequestLine
		}
		if f := r.parseTarget(window[p.mark:i]); f != faultNone {
			return f
		}
		p.phase, p.mark, p.pos = phaseVersion, i+1, i+1
	}
	minor, f := version(window, p.pos, faultVersion)
	if f == faultNeedMore {
		return short
	} else if f != faultNone {
		return f
	}
	r.Minor = minor
	return p.lineEnd(window, p.pos+versionLength, short, faultVersion)
}

// lineStart is where the request line starts, which the limit of its length counts from.
func (p *head) lineStart() int { return p.scanner.line }

// skipEmptyLines skips the empty lines before a request line.
func (p *head) skipEmptyLines(buf []byte) fault {
	for {
		if p.pos >= len(buf) {
			return faultNeedMore
		}
		if buf[p.pos] != '\r' {
			p.mark, p.scanner.line = p.pos, p.pos
			return faultNone
		}
		if p.pos >= 2*maxEmptyLines {
			return faultEmptyLines
		}
		if p.pos+1 >= len(buf) {
			return faultNeedMore
		}
		if buf[p.pos+1] != '\n' {
			return faultBareCR
		}
		p.pos += 2
	}
}

// lineEnd expects CRLF at i and moves behind it.
func (p *head) lineEnd(window []byte, i int, short, bad fault) fault {
	if i >= len(window) {
		return short
	}
	if window[i] != '\r' {
		if window[i] == '\n' {
			return faultBareLF
		}
		return bad
	}
	if i+1 >= len(window) {
		return short
	}
	if window[i+1] != '\n' {
		return faultBareCR
	}
	p.pos = i + 2
	return faultNone
}

// finish derives the facts from a complete head and takes the hop-by-hop fields out.
func (r *Request) finish(lim *Limits) (f fault) {
	s, h := &r.head.scanner, &r.Header
	if f = r.resolveHost(); f != faultNone {
		return f
	}
	if h.repeatsSingular() {
		return faultRepeated
	}
	if r.Framing, r.ContentLength, f = s.framing(h, r.Minor); f != faultNone {
		return f
	}
	options, f := s.connection(h)
	if f != faultNone {
		return f
	}
	r.KeepAlive = !options.close && (r.Minor == 1 || options.keepAlive)
	hasBody := r.Framing == BodyChunked || r.ContentLength > 0
	if s.count[HeaderExpect] != 0 && hasBody && r.Minor == 1 {
		r.ExpectContinue = equalFold(h.fields[s.last[HeaderExpect]].Value, "100-continue")
	}
	r.WebSocket = r.MethodID == MethodGet && r.Minor == 1 && !hasBody && s.wantsWebSocket(h, options)
	r.AcceptsTrailers = s.transferOptions(h)
	s.stripRequest(h, r.WebSocket)
	h.sweep()
	if lim.Body > 0 && r.ContentLength > lim.Body {
		return faultBodyTooLarge
	}
	return faultNone
}

// resolveHost settles which host the request is for.
func (r *Request) resolveHost() fault {
	s, h := &r.head.scanner, &r.Header
	switch n := s.count[HeaderHost]; {
	case n > 1:
		return faultTwoHosts
	case n == 0 && r.Minor > 0:
		return faultNoHost
	case n == 1:
		f := &h.fields[s.last[HeaderHost]]
		if r.Form == FormAbsolute {
			// RFC 9112 §3.2.2: the Host field is ignored, but it must be sound.
			if _, _, ok := splitHost(f.Value); !ok {
				return faultHost
			}
			f.Value = r.Host
		}
		r.Host = f.Value
	case r.Form == FormAbsolute:
		h.AddID(HeaderHost, r.Host)
	default:
		return faultNone
	}
	var ok bool
	if r.Hostname, r.Port, ok = splitHost(r.Host); !ok {
		return faultHost
	}
	return faultNone
}

// singular are the fields of which a request may have one only: of two, servers
// disagree which counts.
var singular = [...]HeaderID{HeaderAuthorization, HeaderContentRange, HeaderIfModifiedSince, HeaderIfUnmodifiedSince, HeaderSecWebSocketKey}

// repeatsSingular reports whether one of the singular fields is there twice.
func (h *Header) repeatsSingular() bool {
	for _, id := range singular {
		if h.mayHave(id) {
			if first := h.index("", id, 0); first >= 0 && h.index("", id, first+1) >= 0 {
				return true
			}
		}
	}
	return false
}
