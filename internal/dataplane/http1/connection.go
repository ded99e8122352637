// SPDX-License-Identifier: Apache-2.0

package http1

// maxConnectionOptions bounds the work that a Connection field can ask for.
const maxConnectionOptions = 64

// connectionOptions is what a Connection field says about the connection itself.
type connectionOptions struct{ close, keepAlive, upgrade bool }

// nextOption splits the first element off a comma-separated list.
func nextOption(list []byte) (option, rest []byte) {
	for i, c := range list {
		if c == ',' {
			return trimBlanks(list[:i]), list[i+1:]
		}
	}
	return trimBlanks(list), nil
}

// connection reads the Connection fields and marks the fields they name as dead.
func (s *fieldScanner) connection(h *Header) (o connectionOptions, f fault) {
	if s.count[HeaderConnection] == 0 {
		return o, faultNone
	}
	left := maxConnectionOptions
	for i := range h.fields {
		if h.fields[i].ID != HeaderConnection {
			continue
		}
		for option, rest := nextOption(h.fields[i].Value); option != nil || rest != nil; option, rest = nextOption(rest) {
			if left--; left < 0 {
				return o, faultConnectionOptions
			}
			switch {
			case len(option) == 0:
			case equalFold(option, "close"):
				o.close = true
			case equalFold(option, "keep-alive"):
				o.keepAlive = true
			case equalFold(option, "upgrade"):
				o.upgrade = true
			default:
				if id := LookupID(option); !keptAgainstConnection(id) && !keptAgainstConnection(looseID(option)) {
					h.markLoose(viewString(option), id)
				}
			}
		}
	}
	return o, faultNone
}

// keptAgainstConnection lists the fields that Connection cannot remove: those that frame or route the message, those
// that trace its way (a client must not be able to hide where it came from), and those treated on their own.
func keptAgainstConnection(id HeaderID) bool {
	switch id {
	case HeaderHost, HeaderContentLength, HeaderTransferEncoding, HeaderConnection, HeaderUpgrade, HeaderTE, HeaderExpect,
		HeaderTrailer, HeaderVia, HeaderForwarded, HeaderXForwardedFor, HeaderXForwardedHost, HeaderXForwardedPath,
		HeaderXForwardedPort, HeaderXForwardedPrefix, HeaderXForwardedProto, HeaderXRealIP:
		return true
	}
	return false
}

// hopByHop are the fields that never pass, whether Connection names them or not. Kong passes Proxy-Authorization,
// Proxy-Authenticate and Trailer on. Connection itself stays in a request's list, where plugins and logs read it;
// serialisers leave it out.
var hopByHop = [...]HeaderID{HeaderKeepAlive, HeaderProxyConnection, HeaderProxy, HeaderHTTP2Settings}

// stripRequest marks the hop-by-hop fields of a request as dead.
func (s *fieldScanner) stripRequest(h *Header, keepUpgrade bool) {
	for _, id := range hopByHop {
		if s.count[id] != 0 {
			h.mark("", id)
		}
	}
	if s.count[HeaderUpgrade] != 0 && !keepUpgrade {
		h.mark("", HeaderUpgrade)
	}
	if h.underscore {
		h.markUnderscored(isHopByHop)
	}
}

// stripResponse marks the hop-by-hop fields of a response, and those that only speak to the proxy, as dead.
func (s *fieldScanner) stripResponse(h *Header, keepUpgrade bool) {
	s.stripRequest(h, keepUpgrade)
	h.mark("", HeaderConnection)
	h.mark("", HeaderTE)
	for id := HeaderXAccelBuffering; id <= HeaderXAccelRedirect; id++ {
		h.mark("", id)
	}
}

func isHopByHop(id HeaderID) bool {
	switch id {
	case HeaderKeepAlive, HeaderProxyConnection, HeaderHTTP2Settings:
		return true
	}
	return false
}

// markUnderscored marks every field as dead whose name, with dashes for underscores, satisfies which.
func (h *Header) markUnderscored(which func(HeaderID) bool) {
	for i := range h.fields {
		if f := &h.fields[i]; f.flags&fieldUnderscore != 0 && which(looseID(f.Name)) {
			f.flags |= fieldDead
		}
	}
}

// transferOptions reduces TE to "trailers" if it asks for them, else marks it as dead.
func (s *fieldScanner) transferOptions(h *Header) (trailers bool) {
	if s.count[HeaderTE] == 0 {
		return false
	}
	first := -1
	for i := range h.fields {
		f := &h.fields[i]
		if f.ID != HeaderTE {
			continue
		}
		if first >= 0 {
			f.flags |= fieldDead
		} else {
			first = i
		}
		for option, rest := nextOption(f.Value); option != nil || rest != nil; option, rest = nextOption(rest) {
			trailers = trailers || equalFold(option, "trailers")
		}
	}
	if !trailers {
		h.mark("", HeaderTE)
	} else {
		h.fields[first].Value = trailersOnly
	}
	return trailers
}

var trailersOnly = []byte("trailers")

// wantsWebSocket says whether exactly one Upgrade field asks for exactly WebSocket (RFC 6455 §4.1).
func (s *fieldScanner) wantsWebSocket(h *Header, o connectionOptions) bool {
	return o.upgrade && s.count[HeaderUpgrade] == 1 && equalFold(h.fields[s.last[HeaderUpgrade]].Value, "websocket")
}
