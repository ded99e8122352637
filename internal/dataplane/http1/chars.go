// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"encoding/binary"
	"math/bits"
)

// Character classes, one bit each.
const (
	classToken      uint8 = 1 << iota // tchar, RFC 9110 §5.6.2
	classUnderscore                   // '_', which some servers take for '-'
	classUnreserved                   // RFC 3986 §2.3
	classReserved                     // RFC 3986 §2.2, and '%'
	classSubDelim                     // RFC 3986 §2.2
	classHex
)

var class = buildClasses()

func buildClasses() (t [256]uint8) {
	set := func(chars string, bit uint8) {
		for i := range len(chars) {
			t[chars[i]] |= bit
		}
	}
	const alnum = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	set(alnum+"!#$%&'*+-.^_`|~", classToken)
	set("_", classUnderscore)
	set(alnum+"-._~", classUnreserved)
	set(":/?#[]@!$&'()*+,;=%", classReserved)
	set("!$&'()*+,;=", classSubDelim)
	set("0123456789abcdefABCDEF", classHex)
	return t
}

// lower maps ASCII upper case to lower case and leaves every other byte.
var lower = buildLower()

func buildLower() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
		if i >= 'A' && i <= 'Z' {
			t[i] = byte(i) | 0x20
		}
	}
	return t
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// skipText returns the index, from i on, of the first byte that a field value may not hold: a control character other
// than HTAB, or DEL (RFC 9110 §5.5); len(b) if there is none.
func skipText(b []byte, i int) int {
	for {
		for i+8 <= len(b) {
			x := binary.LittleEndian.Uint64(b[i:])
			// Bytes below 0x20, and bytes equal to 0x7f. Borrows make only bytes above the first hit unreliable.
			hit := ((x - ones*0x20) &^ x) | (((x ^ ones*0x7f) - ones) &^ (x ^ ones*0x7f))
			if hit &= highs; hit != 0 {
				i += bits.TrailingZeros64(hit) >> 3
				break
			}
			i += 8
		}
		for ; i < len(b); i++ {
			if c := b[i]; (c < 0x20 && c != '\t') || c == 0x7f {
				return i
			} else if c == '\t' {
				i++
				break
			}
		}
		if i >= len(b) {
			return len(b)
		}
	}
}

// skipVisible returns the index, from i on, of the first byte that is a blank, a control character or DEL; len(b) if
// there is none.
func skipVisible(b []byte, i int) int {
	for i+8 <= len(b) {
		x := binary.LittleEndian.Uint64(b[i:])
		hit := ((x - ones*0x21) &^ x) | (((x ^ ones*0x7f) - ones) &^ (x ^ ones*0x7f))
		if hit &= highs; hit != 0 {
			return i + bits.TrailingZeros64(hit)>>3
		}
		i += 8
	}
	for i < len(b) && b[i] > 0x20 && b[i] != 0x7f {
		i++
	}
	return i
}

// trimBlanks removes SP and HTAB at both ends.
func trimBlanks(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// equalFold compares ASCII without case.
func equalFold[A, B ~[]byte | ~string](a A, b B) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower[a[i]] != lower[b[i]] {
			return false
		}
	}
	return true
}

// equalLoose is equalFold with '_' equal to '-'.
func equalLoose[A, B ~[]byte | ~string](a A, b B) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if dash(lower[a[i]]) != dash(lower[b[i]]) {
			return false
		}
	}
	return true
}

func dash(c byte) byte {
	if c == '_' {
		return '-'
	}
	return c
}

func isToken[T ~[]byte | ~string](b T) bool {
	for i := range len(b) {
		if class[b[i]]&classToken == 0 {
			return false
		}
	}
	return len(b) > 0
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}
