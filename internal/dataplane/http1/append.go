// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bytes"
	"errors"
	"strconv"
)

// Errors of the serialisers. They are faults of the caller, not of a peer.
var (
	ErrInvalidMethod = errors.New("http1: method is not a token")
	ErrInvalidTarget = errors.New("http1: request target is empty")
	ErrInvalidStatus = errors.New("http1: status code is outside 100 to 999")
)

// Connection is what a head says about its connection.
type Connection uint8

// The choices.
const (
	// ConnectionNone writes no Connection field, which in HTTP/1.1 means to keep the connection.
	ConnectionNone Connection = iota
	// ConnectionKeepAlive writes "Connection: keep-alive".
	ConnectionKeepAlive
	// ConnectionClose writes "Connection: close".
	ConnectionClose
	// ConnectionUpgrade says "upgrade" (in a request "keep-alive, Upgrade", as Kong) and lets the Upgrade fields of the
	// header pass.
	ConnectionUpgrade
	// ConnectionCloseUpgrade writes "Connection: close, upgrade" and lets the Upgrade fields pass, as in a 426.
	ConnectionCloseUpgrade
)

var connectionLines = [2][]string{
	sideRequest:  {"", "Connection: keep-alive\r\n", "Connection: close\r\n", "Connection: keep-alive, Upgrade\r\n", "Connection: close, upgrade\r\n"},
	sideResponse: {"", "Connection: keep-alive\r\n", "Connection: close\r\n", "Connection: upgrade\r\n", "Connection: close, upgrade\r\n"},
}

// RequestHead is a request head to write, always as HTTP/1.1 in origin form.
type RequestHead struct {
	// Method must be a token.
	Method []byte
	// Path starts with '/' (or is "*") and is not empty; Query is written behind '?' if HasQuery or if it is not empty.
	Path, Query []byte
	HasQuery    bool
	// Host is written first; a Host in Header is ignored.
	Host []byte
	// Header is written in its order without the fields that belong to the connection or to the framing.
	Header *Header
	// Framing is BodyNone, BodyLength with ContentLength, or BodyChunked.
	Framing       Framing
	ContentLength int64
	Connection    Connection
}

// AppendRequestHead appends a request head to dst. Blanks and control characters in path and query are escaped; control
// characters in host and field values become blanks; a field whose name is not a token is left out.
func AppendRequestHead(dst []byte, r *RequestHead) ([]byte, error) {
	if !isToken(r.Method) {
		return dst, ErrInvalidMethod
	}
	if len(r.Path) == 0 {
		return dst, ErrInvalidTarget
	}
	dst = append(dst, r.Method...)
	dst = append(dst, ' ')
	dst = appendVisible(dst, r.Path)
	if r.HasQuery || len(r.Query) > 0 {
		dst = append(dst, '?')
		dst = appendVisible(dst, r.Query)
	}
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = appendText(dst, r.Host)
	dst = append(dst, "\r\n"...)
	dst = append(dst, connectionLines[sideRequest][r.Connection]...)
	switch r.Framing {
	case BodyLength:
		dst = appendLength(dst, r.ContentLength)
	case BodyChunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	dst = r.Header.appendFields(dst, sideRequest, r.Connection)
	return append(dst, "\r\n"...), nil
}

// ResponseHead is a response head to write, always as HTTP/1.1, whatever the version of the request.
type ResponseHead struct {
	Status int
	// Reason is the text behind the status; nil for the usual one.
	Reason []byte
	// Header is written in its order without the fields that belong to the connection or to the framing.
	Header *Header
	// Framing is how the body will be sent; BodyUntilClose writes nothing and asks for ConnectionClose. With BodyNone,
	// ContentLength is what to announce for a body that is not sent (HEAD, 304), or -1. A 1xx or 204 never announces one.
	Framing       Framing
	ContentLength int64
	Connection    Connection
}

// AppendResponseHead appends a response head to dst, with values cleaned as AppendRequestHead does.
func AppendResponseHead(dst []byte, r *ResponseHead) ([]byte, error) {
	if r.Status < 100 || r.Status > 999 {
		return dst, ErrInvalidStatus
	}
	if r.Reason == nil && len(statusLine(r.Status)) > 0 {
		dst = append(dst, statusLine(r.Status)...)
	} else {
		dst = append(dst, "HTTP/1.1 "...)
		dst = strconv.AppendInt(dst, int64(r.Status), 10)
		dst = append(dst, ' ')
		dst = appendText(dst, r.Reason)
		dst = append(dst, "\r\n"...)
	}
	dst = append(dst, connectionLines[sideResponse][r.Connection]...)
	switch {
	case r.Status < 200 || r.Status == 204:
	case r.Framing == BodyChunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case r.Framing != BodyUntilClose && r.ContentLength >= 0:
		dst = appendLength(dst, r.ContentLength)
	}
	dst = r.Header.appendFields(dst, sideResponse, r.Connection)
	return append(dst, "\r\n"...), nil
}

func appendLength(dst []byte, n int64) []byte {
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, "\r\n"...)
}

// owned says that serialisers write the field themselves, or never let it pass.
func owned(id HeaderID, side side, c Connection) bool {
	switch id {
	case HeaderContentLength, HeaderTransferEncoding, HeaderConnection, HeaderKeepAlive, HeaderProxyConnection:
		return true
	case HeaderHost, HeaderExpect, HeaderHTTP2Settings:
		return side == sideRequest
	case HeaderUpgrade:
		return c < ConnectionUpgrade
	}
	return false
}

// appendFields appends all fields that are not owned by the serialisers.
func (h *Header) appendFields(dst []byte, side side, c Connection) []byte {
	if h == nil {
		return dst
	}
	for i := range h.fields {
		f := &h.fields[i]
		if f.ID <= lastNoted && f.ID != HeaderOther && owned(f.ID, side, c) {
			continue
		}
		dst = appendField(dst, f)
	}
	return dst
}

func appendField(dst []byte, f *Field) []byte {
	if f.flags&fieldClean != 0 {
		dst = append(dst, f.Name...)
		dst = append(dst, ": "...)
		dst = append(dst, f.Value...)
		return append(dst, "\r\n"...)
	}
	if f.ID == HeaderOther && !isToken(f.Name) {
		return dst
	}
	if f.flags&fieldUnderscore != 0 && isFramingName(f.Name) {
		return dst
	}
	dst = append(dst, f.Name...)
	dst = append(dst, ": "...)
	dst = appendText(dst, trimBlanks(f.Value))
	return append(dst, "\r\n"...)
}

// appendText appends a field value; what a value may not hold becomes a blank (RFC 9110 §5.5).
func appendText(dst, text []byte) []byte {
	for {
		i := skipText(text, 0)
		dst = append(dst, text[:i]...)
		if i == len(text) {
			return dst
		}
		dst = append(dst, ' ')
		text = text[i+1:]
	}
}

// appendVisible appends a part of a request target, with blanks and control characters escaped.
func appendVisible(dst, text []byte) []byte {
	for {
		i := skipVisible(text, 0)
		dst = append(dst, text[:i]...)
		if i == len(text) {
			return dst
		}
		dst = append(dst, '%', upperHex[text[i]>>4], upperHex[text[i]&15])
		text = text[i+1:]
	}
}

// AppendChunk appends data as one chunk. Empty data appends nothing, since an empty chunk would end the body.
func AppendChunk(dst, data []byte) []byte {
	if len(data) == 0 {
		return dst
	}
	dst = AppendChunkLine(dst, int64(len(data)))
	dst = append(dst, data...)
	return append(dst, "\r\n"...)
}

// AppendChunkLine appends the line that starts a chunk of n bytes, n > 0. The data and CRLF must follow.
func AppendChunkLine(dst []byte, n int64) []byte {
	dst = strconv.AppendInt(dst, n, 16)
	return append(dst, "\r\n"...)
}

// AppendLastChunk appends the end of a chunked body with the trailer fields that may be in one; trailers may be nil.
func AppendLastChunk(dst []byte, trailers *Header) []byte {
	dst = append(dst, "0\r\n"...)
	if trailers != nil {
		for i := range trailers.fields {
			if f := &trailers.fields[i]; len(f.Name) > 0 && !forbiddenInTrailer(f.Name, f.ID) {
				dst = appendField(dst, f)
			}
		}
	}
	return append(dst, "\r\n"...)
}

// HTTP2Preface is what an HTTP/2 client sends first (RFC 9113 §3.4).
const HTTP2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// SniffHTTP2 says whether a connection whose first bytes are buf speaks HTTP/2; sure is false while buf is too short to
// tell. A listener without HTTP/2 hands the bytes to ParseRequest, which refuses them.
func SniffHTTP2(buf []byte) (is, sure bool) {
	n := min(len(buf), len(HTTP2Preface))
	if !bytes.Equal(buf[:n], View(HTTP2Preface)[:n]) {
		return false, true
	}
	return n == len(HTTP2Preface), n == len(HTTP2Preface)
}
