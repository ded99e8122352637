// SPDX-License-Identifier: Apache-2.0

package http1

import "bytes"

// Kinds of characters in a path, one bit each.
const (
	pathEscape uint8 = 1 << iota // '%'
	pathOther                    // neither reserved nor unreserved: escaped when forwarded
	pathHash                     // '#'
	pathDot
	pathSlash
)

var pathKind = buildPathKinds()

func buildPathKinds() (t [256]uint8) {
	for i := range t {
		if class[i]&(classReserved|classUnreserved) == 0 {
			t[i] = pathOther
		}
	}
	t['%'] = pathEscape
	t['#'] = pathHash
	t['.'] = pathDot
	t['/'] = pathSlash
	return t
}

// soundPath says whether every escape is well formed, none is a NUL, and the dot segments never climb above the root,
// with escaped dots and slashes taken for plain ones, as some servers do.
func soundPath(p []byte) bool {
	depth, length, dots := -1, 0, 0
	for i := 0; i <= len(p); i++ {
		c := byte('/')
		if i < len(p) {
			c = p[i]
		}
		if c == '%' {
			if i+2 >= len(p) || class[p[i+1]]&class[p[i+2]]&classHex == 0 {
				return false
			}
			c = unhex(p[i+1])<<4 | unhex(p[i+2])
			i += 2
			if c == 0 {
				return false
			}
		}
		if c != '/' {
			length++
			if c == '.' {
				dots++
			}
			continue
		}
		switch {
		case length == 2 && dots == 2:
			if depth--; depth < 0 {
				return false
			}
		case depth < 0:
			depth = 0
		case length == 0, length == 1 && dots == 1:
		default:
			depth++
		}
		length, dots = 0, 0
	}
	return true
}

// NormalizePath returns the form of a path that Kong's router matches: escapes are decoded except those of reserved
// characters and '%', which are put in upper case; dot segments are removed (RFC 3986 §5.2.4, staying below the root)
// and repeated slashes merged. A malformed escape is left alone. The path starts with '/'; the result is path itself
// when nothing changes, else it is built in dst[:0], which is grown as needed. dst may be path itself.
func NormalizePath(dst, path []byte) []byte {
	if isNormal(path) {
		return path
	}
	dst = dst[:0]
	for i := 0; i < len(path); {
		// Every pass reads a slash and the segment behind it, and leaves dst without a slash at its end.
		i++
		start := len(dst)
		dst = append(dst, '/')
		for i < len(path) && path[i] != '/' {
			c := path[i]
			if c != '%' || i+2 >= len(path) || class[path[i+1]]&class[path[i+2]]&classHex == 0 {
				dst = append(dst, c)
				i++
				continue
			}
			c = unhex(path[i+1])<<4 | unhex(path[i+2])
			if class[c]&classReserved != 0 {
				dst = append(dst, '%', upper(path[i+1]), upper(path[i+2]))
			} else {
				dst = append(dst, c)
			}
			i += 3
		}
		switch segment := dst[start+1:]; {
		case len(segment) == 0, len(segment) == 1 && segment[0] == '.':
			dst = dst[:start]
		case len(segment) == 2 && segment[0] == '.' && segment[1] == '.':
			dst = dst[:max(0, bytes.LastIndexByte(dst[:start], '/'))]
		default:
			continue
		}
		if i >= len(path) {
			dst = append(dst, '/')
		}
	}
	return dst
}

// isNormal says whether NormalizePath would change nothing.
func isNormal(path []byte) bool {
	for i, c := range path {
		switch {
		case c == '%':
			return false
		case c == '/' && i+1 < len(path) && (path[i+1] == '/' || path[i+1] == '.'):
			return false
		}
	}
	return true
}

func upper(c byte) byte {
	if c >= 'a' {
		return c - 0x20
	}
	return c
}

const upperHex = "0123456789ABCDEF"

// EscapePath returns the form of a normalised path that is sent upstream: everything that is neither reserved nor
// unreserved in RFC 3986 is escaped, as Kong does. The result is path itself when nothing changes, else it is built in
// dst[:0], which may not overlap with path.
func EscapePath(dst, path []byte) []byte {
	i := 0
	for i < len(path) && pathKind[path[i]]&pathOther == 0 {
		i++
	}
	if i == len(path) {
		return path
	}
	dst = append(dst[:0], path[:i]...)
	for _, c := range path[i:] {
		if pathKind[c]&pathOther == 0 {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}
