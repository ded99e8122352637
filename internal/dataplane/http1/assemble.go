// SPDX-License-Identifier: Apache-2.0

package http1

import "errors"

// ErrMalformed says that an HTTP/2 head breaks RFC 9113 §8: its stream is reset with PROTOCOL_ERROR. A head that HTTP/2
// can carry and that is refused for another reason has an *Error to answer with.
var ErrMalformed = errors.New("http1: malformed HTTP/2 message")

// ErrBodyTooLarge is the *Error for a body over Limits.Body whose length was not announced.
var ErrBodyTooLarge error = &requestErrors[faultBodyTooLarge]

// Assembly builds the head of a Request or Response, or a trailer section, out of the fields of an HTTP/2 message, with
// the same judgement as the parser. The bytes that it is given are copied into the arena, so that they may be reused; what it
// fills lives as long as the arena's content. The zero value is ready for Begin. Not safe for concurrent use.
type Assembly struct {
	limits  *Limits
	arena   *Arena
	header  *Header
	scanner fieldScanner
	size    int
	cookies int
	refused fault
	length  int64
}

// BeginRequest starts the head of a request.
func (a *Assembly) BeginRequest(r *Request, arena *Arena, limits *Limits) {
	r.Reset()
	a.begin(sideRequest, &r.Header, arena, limits)
}

// BeginResponse starts the head of a response.
func (a *Assembly) BeginResponse(r *Response, arena *Arena, limits *Limits) {
	r.Reset()
	a.begin(sideResponse, &r.Header, arena, limits)
}

// BeginTrailers starts a trailer section.
func (a *Assembly) BeginTrailers(h *Header, arena *Arena, limits *Limits) {
	h.Reset()
	a.begin(sideTrailer, h, arena, limits)
}

func (a *Assembly) begin(s side, h *Header, arena *Arena, limits *Limits) {
	*a = Assembly{limits: limits, arena: arena, header: h, length: -1}
	a.scanner.begin(s, 0, 0)
}

// Add adds a field. It returns false for one that makes the message malformed: upper case or anything else that is no
// token in the name, control characters or blanks around the value (RFC 9113 §8.2.1), fields of the connection (§8.2.2).
func (a *Assembly) Add(name, value []byte) bool {
	flags, ok := wireName(name)
	if !ok || !SoundText(value) || len(trimBlanks(value)) != len(value) {
		return false
	}
	id := LookupID(name)
	if !a.sound(id, value) {
		return false
	}
	// As a line of HTTP/1.1 would have it.
	n := len(name) + len(value) + len(": \r\n")
	a.size += n
	limit := a.limits.HeadBytes
	if a.scanner.side == sideTrailer {
		limit = a.limits.TrailerBytes
	}
	if n > a.limits.HeaderLine || a.size > limit {
		a.refuse(faultHeadTooLarge)
	}
	if a.refused != faultNone {
		return true
	}
	if id != HeaderOther {
		name = View(lowerNames[id])
	} else {
		name = a.arena.Copy(name)
	}
	a.scanner.flags = flags
	a.refuse(a.scanner.accept(name, a.arena.Copy(value), a.limits, a.header))
	if id == HeaderCookie {
		a.cookies++
	}
	return true
}

// sound reports whether a field may be in an HTTP/2 message.
func (a *Assembly) sound(id HeaderID, value []byte) bool {
	switch id {
	case HeaderConnection, HeaderKeepAlive, HeaderProxyConnection, HeaderTransferEncoding, HeaderUpgrade:
		return false
	case HeaderTE:
		return equalFold(value, "trailers")
	case HeaderHost:
		return a.scanner.side != sideRequest || a.scanner.count[HeaderHost] == 0
	}
	return true
}

func (a *Assembly) refuse(f fault) {
	if a.refused == faultNone {
		a.refused = f
	}
}

// wireName checks a field name of HTTP/2: a token without upper case.
func wireName(name []byte) (flags uint8, ok bool) {
	for _, c := range name {
		if class[c]&classToken == 0 || lower[c] != c {
			return 0, false
		}
		if c == '_' {
			flags = fieldUnderscore
		}
	}
	return flags, len(name) > 0
}

// RequestLine holds the pseudo-header fields of a request. They must live as long as the request.
type RequestLine struct {
	Method, Path, Authority []byte
	// Connect says that the request has no path.
	Connect bool
	// Ended says that no body follows.
	Ended bool
}

// FinishRequest derives the facts of a request. It returns ErrMalformed, or an *Error as ParseRequest does.
func (a *Assembly) FinishRequest(r *Request, line *RequestLine) error {
	r.Minor = 1
	r.Method = line.Method
	r.MethodID = LookupMethod(r.Method)
	if !a.settleHost(line.Authority) {
		return ErrMalformed
	}
	a.joinCookies()
	r.head.scanner = a.scanner
	f := a.requestLine(r, line)
	if f == faultNone {
		f = a.refused
	}
	if f == faultNone {
		f = r.finish(a.limits)
	}
	if f != faultNone {
		return f.request()
	}
	a.length = r.ContentLength
	switch {
	case line.Ended:
		if r.ContentLength > 0 {
			return ErrMalformed
		}
	case r.Framing == BodyNone || a.scanner.count[HeaderTrailer] != 0:
		// Behind us trailers need chunks, whatever length was announced.
		r.Framing, r.ContentLength = BodyChunked, -1
		r.ExpectContinue = a.expects()
	}
	// An HTTP/2 connection is never switched, nor ended by a message.
	r.WebSocket, r.KeepAlive = false, true
	return nil
}

func (a *Assembly) requestLine(r *Request, line *RequestLine) fault {
	switch {
	case !isToken(r.Method):
		return faultMethod
	case line.Connect:
		return faultConnect
	case len(line.Method)+len(line.Path)+len(" "+" HTTP/1.1\r\n") > a.limits.RequestLine:
		return faultURITooLong
	case skipVisible(line.Path, 0) != len(line.Path):
		return faultRequestLine
	}
	return r.parseTarget(line.Path)
}

// Length returns the Content-Length of the message that was finished, -1 without one.
func (a *Assembly) Length() int64 { return a.length }

// settleHost makes :authority and Host one. They may not differ (RFC 9113 §8.3.1).
func (a *Assembly) settleHost(authority []byte) bool {
	if len(authority) == 0 {
		return true
	}
	if a.scanner.count[HeaderHost] > 0 {
		return equalFold(a.header.fields[a.scanner.last[HeaderHost]].Value, authority)
	}
	a.scanner.last[HeaderHost] = uint16(len(a.header.fields))
	a.scanner.count[HeaderHost]++
	a.header.push(Field{Name: View(lowerNames[HeaderHost]), Value: authority, ID: HeaderHost, flags: fieldClean})
	return true
}

// joinCookies makes one field of cookie crumbs (RFC 9113 §8.2.3).
func (a *Assembly) joinCookies() {
	if a.cookies < 2 {
		return
	}
	h, size, first := a.header, 0, -1
	for i := range h.fields {
		if h.fields[i].ID == HeaderCookie {
			size += len(h.fields[i].Value) + len("; ")
			if first < 0 {
				first = i
			}
		}
	}
	joined := a.arena.Alloc(size)[:0]
	for i := range h.fields {
		if f := &h.fields[i]; f.ID == HeaderCookie {
			if i != first {
				joined = append(joined, "; "...)
				// Swept with the hop-by-hop fields, since indexes must not move before.
				f.flags |= fieldDead
			}
			joined = append(joined, f.Value...)
		}
	}
	h.fields[first].Value = joined
}

func (a *Assembly) expects() bool {
	v, _ := a.header.GetID(HeaderExpect)
	return equalFold(v, "100-continue")
}

// FinishResponse derives the facts of a response to a request with that method. ended says that no body follows.
func (a *Assembly) FinishResponse(r *Response, status int, request Method, ended bool) error {
	r.Minor, r.Status = 1, status
	if a.refused != faultNone {
		return a.refused.response()
	}
	r.head.scanner = a.scanner
	if f := r.finish(request); f != faultNone {
		return f.response()
	}
	if a.length = r.ContentLength; r.Framing == BodyUntilClose {
		r.Framing = BodyChunked
	}
	if ended && r.Framing == BodyChunked {
		r.Framing, r.ContentLength = BodyLength, 0
	}
	r.KeepAlive, r.WebSocket = true, false
	return nil
}

// FinishTrailers returns why the trailer section is refused, nil if it is not.
func (a *Assembly) FinishTrailers() error {
	if a.refused != faultNone {
		return faultTrailers.request()
	}
	return nil
}

// Outgoing returns the i-th field in the form that HTTP/2 wants, unless it belongs to a connection, to the framing or to a
// pseudo-header, or cannot be sent. The name may be made in scratch, which is returned grown.
func (h *Header) Outgoing(i int, request bool, scratch []byte) (f Field, grown []byte, ok bool) {
	f = h.fields[i]
	side := sideResponse
	if request {
		side = sideRequest
	}
	if f.ID != HeaderOther {
		if f.ID <= lastNoted && owned(f.ID, side, ConnectionNone) || f.ID == HeaderHTTP2Settings {
			return f, scratch, false
		}
		f.Name = View(lowerNames[f.ID])
	} else {
		if !isToken(f.Name) || f.flags&fieldUnderscore != 0 && isFramingName(f.Name) {
			return f, scratch, false
		}
		if _, lowered := wireName(f.Name); !lowered {
			scratch = scratch[:0]
			for _, c := range f.Name {
				scratch = append(scratch, lower[c])
			}
			f.Name = scratch
		}
	}
	if f.flags&fieldClean == 0 {
		f.Value = trimBlanks(f.Value)
		if !SoundText(f.Value) {
			f.Value = appendText(nil, f.Value)
		}
	}
	return f, scratch, true
}

// Trailing reports whether the field may be in a trailer section.
func (f *Field) Trailing() bool { return len(f.Name) > 0 && !forbiddenInTrailer(f.Name, f.ID) }

// SoundText reports whether b holds nothing that a field value may not hold.
func SoundText(b []byte) bool { return skipText(b, 0) == len(b) }

// LowerName returns the well-known name in lower case, "" for HeaderOther.
func (id HeaderID) LowerName() string { return lowerNames[id] }

// IsToken reports whether b is a token (RFC 9110 §5.6.2), as methods and names are.
func IsToken(b []byte) bool { return isToken(b) }

// AppendTarget appends the origin-form target of a request head, escaped where it must be.
func AppendTarget(dst []byte, r *RequestHead) []byte {
	dst = appendVisible(dst, r.Path)
	if r.HasQuery || len(r.Query) > 0 {
		dst = append(dst, '?')
		dst = appendVisible(dst, r.Query)
	}
	return dst
}

// Overwrite hands the arena's memory to with. What was handed out before it grew is not part of it.
func (a *Arena) Overwrite(with func([]byte)) { with(a.chunk[:cap(a.chunk)]) }
