// SPDX-License-Identifier: Apache-2.0

package router

import (
	"net/netip"
	"strings"
)

// Headers gives the router the request's header lines.
type Headers interface {
	// HeaderValue returns the value of the i-th line (from 0) of the header
	// called name, which is in lower case; ok is false when there are fewer.
	HeaderValue(name string, i int) (value string, ok bool)
}

// Input is what the router looks at. The strings may be views of a request
// buffer; the router keeps none of them except Path, inside the Result.
type Input struct {
	Host    string  // lower case, without port or brackets; empty without a Host header
	Port    int     // the port written in the Host header, 0 if none
	Method  string  //
	Path    string  // normalised, without query
	TLS     bool    // the connection is TLS: scheme https
	SNI     string  // lower case, without a trailing dot; empty if none
	Headers Headers // nil means no headers

	// What only expressions look at. A port 0 is none.
	Query       string         // without "?"
	Source      netip.AddrPort // the client
	Destination netip.AddrPort // our address, with the port that clients see
}

// effectivePort is the port of the Host header or the scheme's default.
func (in *Input) effectivePort() int {
	switch {
	case in.Port != 0:
		return in.Port
	case in.TLS:
		return 443
	default:
		return 80
	}
}

func (in *Input) hasHeader(name string) bool {
	if in.Headers == nil {
		return false
	}
	_, ok := in.Headers.HeaderValue(name, 0)
	return ok
}

// SplitHost splits a Host header into the host, in lower case and without
// brackets, and the port, 0 when there is none. What is no valid port stays
// part of the host. It allocates only when it must change the case.
func SplitHost(header string) (host string, port int) {
	host = header
	if strings.HasPrefix(header, "[") {
		end := strings.IndexByte(header, ']')
		if end < 0 {
			return lowerASCII(header), 0
		}
		if rest := header[end+1:]; rest != "" && rest != ":" {
			p, ok := parsePort(rest)
			if !ok {
				return lowerASCII(header), 0
			}
			port = p
		}
		return lowerASCII(header[1:end]), port
	}
	if i := strings.IndexByte(header, ':'); i >= 0 {
		switch p, ok := parsePort(header[i:]); {
		case ok:
			host, port = header[:i], p
		case i == len(header)-1:
			host = header[:i]
		}
	}
	return lowerASCII(host), port
}

// parsePort reads ":digits", 1 to 65535.
func parsePort(s string) (int, bool) {
	if len(s) < 2 || len(s) > 6 || s[0] != ':' {
		return 0, false
	}
	n := 0
	for i := 1; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, n > 0 && n <= 65535
}

// lowerASCII lowers A to Z only: host names are ASCII on the wire.
func lowerASCII(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] >= 'A' && s[i] <= 'Z' {
			return lowerASCIISlow(s)
		}
	}
	return s
}

func lowerASCIISlow(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// equalFoldASCII reports whether s equals lower, which is in lower case,
// without regard to the case of A to Z.
func equalFoldASCII(s, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
