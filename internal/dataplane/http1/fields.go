// SPDX-License-Identifier: Apache-2.0

package http1

// side tells the field scanner whose fields it reads.
type side uint8

const (
	sideRequest side = iota
	sideResponse
	sideTrailer
)

// fieldScanner reads header lines up to and including the empty line. All offsets are relative to the buffer's start,
// so the buffer may move between two calls; the views taken before then are stale, see head.restart.
type fieldScanner struct {
	side side
	// line is where the current line starts, pos how far it is known to be good, colon where its colon is (0: not yet).
	line, pos, colon int
	// flags of the name in the current line.
	flags uint8
	// limit is the offset that the block must not go beyond.
	limit int
	// last and count describe the fields that steer the parser: index of the last one, and how many.
	last  [lastNoted + 1]uint16
	count [lastNoted + 1]uint16
}

// begin makes the scanner ready for lines that start at offset start and must end by limit.
func (s *fieldScanner) begin(side side, start, limit int) {
	*s = fieldScanner{side: side, line: start, pos: start, limit: limit}
}

// scan reads as many lines of buf as are complete. It returns faultNone when the empty line was read; s.pos is then
// behind it.
func (s *fieldScanner) scan(buf []byte, lim *Limits, h *Header) fault {
	for {
		stop := min(s.line+lim.HeaderLine, s.limit)
		short := faultNeedMore
		window := buf
		if len(buf) >= stop {
			window, short = buf[:stop], faultHeadTooLarge
		}
		if s.colon == 0 {
			if done, f := s.scanName(window, short); done || f != faultNone {
				return f
			}
		}
		i := skipText(window, s.pos)
		if i+1 >= len(window) {
			if i < len(window) && window[i] != '\r' {
				return badText(window[i])
			}
			s.pos = i
			return short
		}
		if window[i] != '\r' || window[i+1] != '\n' {
			return badText(window[i])
		}
		if f := s.accept(window[s.line:s.colon], trimBlanks(window[s.colon+1:i]), lim, h); f != faultNone {
			return f
		}
		s.line, s.pos, s.colon, s.flags = i+2, i+2, 0, 0
	}
}

func badText(c byte) fault {
	switch c {
	case '\r':
		return faultBareCR
	case '\n':
		return faultBareLF
	}
	return faultValue
}

// scanName reads a name and its colon, or the empty line that ends the block.
func (s *fieldScanner) scanName(window []byte, short fault) (done bool, f fault) {
	i := s.pos
	if i == s.line {
		if i >= len(window) {
			return false, short
		}
		switch window[i] {
		case '\r':
			if i+1 == len(window) {
				return false, short
			}
			if window[i+1] != '\n' {
				return false, faultBareCR
			}
			s.pos = i + 2
			return true, faultNone
		case '\n':
			return false, faultBareLF
		case ' ', '\t':
			return false, faultFold
		case ':':
			return false, faultName
		}
	}
	var kinds uint8
	for ; i < len(window); i++ {
		c := class[window[i]]
		if c&classToken == 0 {
			break
		}
		kinds |= c
	}
	if kinds&classUnderscore != 0 {
		s.flags |= fieldUnderscore
	}
	s.pos = i
	if i == len(window) {
		return false, short
	}
	switch window[i] {
	case ':':
		s.colon, s.pos = i, i+1
		return false, faultNone
	case ' ', '\t':
		return false, faultBlankBeforeColon
	case '\n':
		return false, faultBareLF
	}
	return false, faultName
}

// accept takes one complete field.
func (s *fieldScanner) accept(name, value []byte, lim *Limits, h *Header) fault {
	id := LookupID(name)
	if len(h.fields) >= lim.Fields {
		return faultHeadTooLarge
	}
	if lim.Untrusted && s.side == sideRequest && trustedBySidecars(name, id) && (!lim.ClientCert || id != HeaderXForwardedClientCert) {
		return faultNone
	}
	if s.side == sideTrailer && forbiddenInTrailer(name, id) {
		return faultNone
	}
	if s.flags&fieldUnderscore != 0 && s.side != sideTrailer {
		if isFramingName(name) {
			return faultUnderscoreFraming
		}
	}
	if id != HeaderOther && id <= lastNoted {
		s.last[id] = uint16(len(h.fields))
		s.count[id]++
	}
	h.push(Field{Name: name, Value: value, ID: id, flags: s.flags | fieldClean})
	return faultNone
}

// isFramingName says whether a name is that of a framing field once its underscores are taken for dashes.
func isFramingName(name []byte) bool {
	return equalLoose(name, "content-length") || equalLoose(name, "transfer-encoding")
}

// trustedBySidecars says whether Envoy or Istio gives the field a meaning that an untrusted client must not choose.
func trustedBySidecars(name []byte, id HeaderID) bool {
	if name[0]|0x20 != 'x' || len(name) < 8 || dash(name[1]) != '-' {
		return false
	}
	if id == HeaderXForwardedClientCert {
		return true
	}
	return equalLoose(name[:8], "x-envoy-") || equalLoose(name[:8], "x-istio-") || equalLoose(name, "x-forwarded-client-cert")
}

// forbiddenInTrailer says whether a trailer of that name is dropped: fields for framing, routing, authentication and
// content format, and those that we set ourselves (RFC 9110 §6.5.1).
func forbiddenInTrailer(name []byte, id HeaderID) bool {
	if speaksForGateway(name) {
		return true
	}
	if id == HeaderOther {
		return isForbiddenTrailer(looseID(name)) || trustedBySidecars(name, id)
	}
	return isForbiddenTrailer(id)
}

// speaksForGateway says whether a name is one of those by which the gateway tells an upstream who asks: a server that
// merges trailers with headers would take a client's word for ours.
func speaksForGateway(name []byte) bool {
	for _, prefix := range [...]string{"x-kong-", "x-consumer-", "x-credential-", "x-authenticated-"} {
		if len(name) >= len(prefix) && equalLoose(name[:len(prefix)], prefix) {
			return true
		}
	}
	return false
}

// looseID is the id of a name once its underscores are taken for dashes.
func looseID(name []byte) HeaderID {
	var b [32]byte
	if len(name) > len(b) {
		return HeaderOther
	}
	for i, c := range name {
		b[i] = dash(c)
	}
	return LookupID(b[:len(name)])
}

func isForbiddenTrailer(id HeaderID) bool {
	switch id {
	case HeaderOther:
		return false
	case HeaderContentType, HeaderContentEncoding, HeaderContentRange, HeaderAuthorization, HeaderProxyAuthorization,
		HeaderCookie, HeaderSetCookie, HeaderForwarded, HeaderXForwardedFor, HeaderXForwardedHost, HeaderXForwardedPath,
		HeaderXForwardedPort, HeaderXForwardedPrefix, HeaderXForwardedProto, HeaderXRealIP, HeaderCacheControl, HeaderRange,
		HeaderMaxForwards, HeaderIfMatch, HeaderIfNoneMatch, HeaderIfModifiedSince, HeaderIfUnmodifiedSince, HeaderVia,
		HeaderLocation, HeaderSecWebSocketAccept, HeaderXConsumerID, HeaderXConsumerUsername, HeaderXConsumerCustomID,
		HeaderXConsumerGroups, HeaderXCredentialIdentifier, HeaderXAnonymousConsumer, HeaderXAuthenticatedUserid:
		return true
	}
	return id <= lastNoted
}
