// SPDX-License-Identifier: Apache-2.0

package http1

// Framing is how the end of a body is found (RFC 9112 §6).
type Framing uint8

// The framings.
const (
	// BodyNone: there is no body.
	BodyNone Framing = iota
	// BodyLength: Content-Length bytes, which may be 0.
	BodyLength
	// BodyChunked: chunked transfer coding.
	BodyChunked
	// BodyUntilClose: everything until the connection closes; responses only.
	BodyUntilClose
)

// String returns a word for it.
func (f Framing) String() string {
	return [...]string{"none", "length", "chunked", "until-close"}[f]
}

// framing reads Content-Length and Transfer-Encoding. length is -1 without a Content-Length.
func (s *fieldScanner) framing(h *Header, minor uint8) (framing Framing, length int64, f fault) {
	lengths, codings := s.count[HeaderContentLength], s.count[HeaderTransferEncoding]
	length = -1
	switch {
	case lengths|codings == 0:
		return BodyNone, -1, faultNone
	case lengths > 1:
		return BodyNone, -1, faultTwoLengths
	case codings > 1:
		return BodyNone, -1, faultTwoCodings
	}
	if lengths == 1 {
		var ok bool
		if length, ok = parseLength(h.fields[s.last[HeaderContentLength]].Value); !ok {
			return BodyNone, -1, faultLength
		}
	}
	if codings == 0 {
		return BodyLength, length, faultNone
	}
	if !equalFold(h.fields[s.last[HeaderTransferEncoding]].Value, "chunked") {
		return BodyNone, -1, faultCoding
	}
	if lengths != 0 {
		return BodyNone, -1, faultLengthAndCoding
	}
	if minor == 0 {
		return BodyNone, -1, faultCodingVersion
	}
	return BodyChunked, -1, faultNone
}

// parseLength reads 1*DIGIT up to the largest int64.
func parseLength(b []byte) (n int64, ok bool) {
	if len(b) == 0 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' || n > (1<<63-1)/10 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
		if n < 0 {
			return 0, false
		}
	}
	return n, true
}
