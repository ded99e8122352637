// SPDX-License-Identifier: Apache-2.0

package http1

import "bytes"

// TargetForm is a form of request target (RFC 9112 §3.2). The authority form belongs to CONNECT, which is refused.
type TargetForm uint8

// The forms.
const (
	// FormOrigin is "/path?query".
	FormOrigin TargetForm = iota
	// FormAbsolute is "http://host/path?query".
	FormAbsolute
	// FormAsterisk is "*", for OPTIONS only.
	FormAsterisk
)

// parseTarget reads a request target, which holds no blanks and no control characters.
func (r *Request) parseTarget(t []byte) fault {
	r.Target = t
	if r.MethodID == MethodConnect && t[0] != '/' {
		return faultConnect
	}
	if r.MethodID == MethodConnect || r.MethodID == MethodTrace {
		return faultMethodRefused
	}
	switch {
	case t[0] == '/':
		return r.parsePath(t)
	case len(t) == 1 && t[0] == '*' && r.MethodID == MethodOptions:
		r.Form, r.Path, r.PlainPath = FormAsterisk, t, true
		return faultNone
	case len(t) > 7 && equalFold(t[:7], "http://"):
		return r.parseAbsolute(t[7:])
	case len(t) > 8 && equalFold(t[:8], "https://"):
		r.HTTPS = true
		return r.parseAbsolute(t[8:])
	}
	return faultTarget
}

var rootPath = []byte("/")

// parseAbsolute reads what follows the scheme of an absolute-form target.
func (r *Request) parseAbsolute(t []byte) fault {
	r.Form = FormAbsolute
	end := bytes.IndexAny(t, "/?#")
	if end < 0 {
		end = len(t)
	}
	if _, _, ok := splitHost(t[:end]); !ok {
		return faultTarget
	}
	r.Host = t[:end]
	if end < len(t) && t[end] == '/' {
		return r.parsePath(t[end:])
	}
	if f := r.parsePath(t[end:]); f != faultNone {
		return f
	}
	r.Path = rootPath
	return faultNone
}

// parsePath splits path and query. A fragment is never part of a request target.
func (r *Request) parsePath(t []byte) fault {
	var kinds, odd uint8
	end := len(t)
	for i, c := range t {
		if c == '?' {
			end = i
			break
		}
		kinds |= pathKind[c]
		if c == '/' && i+1 < len(t) {
			odd |= pathKind[t[i+1]] & (pathDot | pathSlash)
		}
	}
	r.Path = t[:end]
	if end < len(t) {
		r.HasQuery, r.Query = true, t[end+1:]
	}
	if kinds&pathHash != 0 || bytes.IndexByte(r.Query, '#') >= 0 {
		return faultTarget
	}
	r.PlainPath = odd == 0 && kinds&(pathEscape|pathOther) == 0
	if !r.PlainPath && !soundPath(r.Path) {
		return faultPath
	}
	return faultNone
}

// splitHost checks "host" or "host:port" by RFC 3986 §3.2 without userinfo, and without empty labels. The name may not
// be empty.
func splitHost(b []byte) (name []byte, port uint16, ok bool) {
	end := hostEnd(b)
	if end <= 0 {
		return nil, 0, false
	}
	if end == len(b) {
		return b, 0, true
	}
	if b[end] != ':' || len(b)-end > 6 {
		return nil, 0, false
	}
	n := 0
	for _, c := range b[end+1:] {
		if c < '0' || c > '9' {
			return nil, 0, false
		}
		n = n*10 + int(c-'0')
	}
	return b[:end], uint16(n), n < 1<<16
}

// hostEnd returns the length of the host name or address at the start of b, -1 if it is malformed.
func hostEnd(b []byte) int {
	if len(b) > 0 && b[0] == '[' {
		return addressEnd(b)
	}
	for i, c := range b {
		switch {
		case c == '.':
			if i+1 < len(b) && b[i+1] == '.' {
				return -1
			}
		case class[c]&(classUnreserved|classSubDelim) != 0:
		case c == '%':
			if i+2 >= len(b) || class[b[i+1]]&class[b[i+2]]&classHex == 0 {
				return -1
			}
		case c == ':':
			return i
		default:
			return -1
		}
	}
	return len(b)
}

// addressEnd returns the length of the bracketed IPv6 address at the start of b, -1 if it cannot be one.
func addressEnd(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch c := b[i]; {
		case c == ']' && i > 2:
			return i + 1
		case class[c]&classHex == 0 && c != ':' && c != '.':
			return -1
		}
	}
	return -1
}
