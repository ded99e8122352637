// SPDX-License-Identifier: Apache-2.0

package http1

import "encoding/binary"

// phase is where in a head the parser is.
type phase uint8

const (
	phaseStart   phase = iota // empty lines before a request line, or the fixed part of a status line
	phaseMethod               // up to the first blank of a request line
	phaseTarget               // up to the second
	phaseVersion              // up to the end of the request line
	phaseReason               // up to the end of a status line
	phaseFields
	phaseDone
)

// head is the memory of an unfinished parse. Offsets are relative to the start of the buffer.
type head struct {
	phase phase
	// moved says that the buffer's memory changed since the first call, so that views already taken are stale.
	moved bool
	base  *byte
	// mark is where the current element of the first line starts, pos how far it is known to be good.
	mark, pos int
	scanner   fieldScanner
}

// enter notes where the buffer is.
func (p *head) enter(buf []byte) {
	if len(buf) == 0 {
		return
	}
	if p.base == nil {
		p.base = &buf[0]
	} else if p.base != &buf[0] {
		p.base, p.moved = &buf[0], true
	}
}

// beginFields notes that the fields start at pos.
func (p *head) beginFields(s side, lim *Limits) {
	p.phase = phaseFields
	p.scanner.begin(s, p.pos, max(lim.HeadBytes, p.pos))
}

// parseFields reads the fields up to the end of the head.
func (p *head) parseFields(buf []byte, lim *Limits, h *Header) fault {
	if p.phase == phaseFields {
		if f := p.scanner.scan(buf, lim, h); f != faultNone {
			return f
		}
		p.phase = phaseDone
	}
	return faultNone
}

// window bounds what the first line may use of buf, and says what it means to run out of it.
func (p *head) window(buf []byte, start, limit int, over fault) ([]byte, fault) {
	if len(buf) >= start+limit {
		return buf[:start+limit], over
	}
	return buf, faultNeedMore
}

const (
	http11 = 'H' | 'T'<<8 | 'T'<<16 | 'P'<<24 | '/'<<32 | '1'<<40 | '.'<<48 | '1'<<56
	http10 = 'H' | 'T'<<8 | 'T'<<16 | 'P'<<24 | '/'<<32 | '1'<<40 | '.'<<48 | '0'<<56
)

// versionLength is the length of an HTTP version.
const versionLength = len("HTTP/1.1")

// version reads an HTTP version at i. The fault is faultNeedMore when the window ends first, and bad when what is there
// cannot become a version.
func version(window []byte, i int, bad fault) (minor uint8, f fault) {
	if len(window)-i >= versionLength {
		switch binary.LittleEndian.Uint64(window[i:]) {
		case http11:
			return 1, faultNone
		case http10:
			return 0, faultNone
		}
	}
	const shape = "HTTP/0.0"
	for k := range versionLength {
		if i+k >= len(window) {
			return 0, faultNeedMore
		}
		c := window[i+k]
		if shape[k] == '0' && (c < '0' || c > '9') || shape[k] != '0' && c != shape[k] {
			return 0, bad
		}
	}
	switch {
	case window[i+5] == '0':
		return 0, bad
	case window[i+5] != '1':
		return 0, faultUnsupportedVersion
	}
	// RFC 9110 §2.5: a higher minor version is read as the highest one known.
	return 1, faultNone
}
