// SPDX-License-Identifier: Apache-2.0

package http1

import "bytes"

// chunkState is where in a chunked body the decoder is (RFC 9112 §7.1).
type chunkState uint8

const (
	chunkSize      chunkState = iota // before or among the digits of a size
	chunkBlank                       // blanks behind a size, which must lead to ';'
	chunkNameStart                   // behind ';'
	chunkName                        // in an extension name
	chunkNameEnd                     // blanks behind an extension name, which must lead to '=' or ';'
	chunkValue                       // behind '='
	chunkToken                       // in a value that is a token
	chunkQuoted                      // in a quoted value
	chunkEscaped                     // behind a backslash in a quoted value
	chunkQuotedEnd                   // behind a quoted value
	chunkValueEnd                    // blanks behind a value, which must lead to ';'
	chunkLF                          // LF of a chunk line
	chunkData
	chunkDataCR
	chunkDataLF
	chunkTrailer
	chunkDone
)

const (
	// maxChunkLine bounds one chunk line.
	maxChunkLine = 4 << 10
	// maxChunkOverhead bounds what the chunk lines of a body may take beyond a fair share of the data they carry, so that
	// a peer cannot make us read much for nothing.
	maxChunkOverhead = 16 << 10
	// fairChunkLine is the length of a chunk line, with its CRLF and that of the data, that is always fair.
	fairChunkLine = 16
	// maxSizeDigits is the number of hex digits of the largest int64, leading zeros included.
	maxSizeDigits = 16
)

// decodeChunks reads up to the end of one piece of data, the input, or the body.
func (d *Decoder) decodeChunks(in []byte) (data []byte, n int, f fault) {
	for n < len(in) {
		switch d.state {
		case chunkData:
			data = in[n:]
			if d.left < int64(len(data)) {
				data = data[:d.left]
			}
			d.left -= int64(len(data))
			d.received += int64(len(data))
			if d.left == 0 {
				d.state = chunkDataCR
			}
			n += len(data)
			// Take the line end along, so that a complete chunk needs no further call.
			for n < len(in) && (d.state == chunkDataCR || d.state == chunkDataLF) {
				if d.dataEnd(in[n]) != faultNone {
					break // The next call says so, once the data was taken.
				}
				n++
			}
			return data, n, faultNone
		case chunkDataCR, chunkDataLF:
			if f = d.dataEnd(in[n]); f != faultNone {
				return nil, n, f
			}
			n++
		case chunkTrailer:
			taken, f := d.readTrailer(in[n:])
			n += taken
			if f != faultNone {
				return nil, n, f
			}
		case chunkDone:
			return nil, n, faultNone
		default:
			if d.line++; d.line > maxChunkLine {
				return nil, n, faultChunkOverhead
			}
			if f = d.lineByte(in[n]); f != faultNone {
				return nil, n, f
			}
			n++
		}
	}
	return nil, n, faultNeedMore
}

// dataEnd takes one byte of the CRLF behind a chunk.
func (d *Decoder) dataEnd(c byte) fault {
	switch {
	case d.state == chunkDataCR && c == '\r':
		d.state = chunkDataLF
	case d.state == chunkDataLF && c == '\n':
		d.state, d.digits, d.line = chunkSize, 0, 0
	default:
		return faultChunkEnd
	}
	return faultNone
}

// lineByte takes one byte of a chunk line.
func (d *Decoder) lineByte(c byte) fault {
	switch d.state {
	case chunkSize:
		return d.sizeByte(c)
	case chunkLF:
		if c != '\n' {
			return faultBareCR
		}
		return d.beginChunk()
	case chunkQuoted, chunkEscaped:
		return d.quotedByte(c)
	}
	return d.extensionByte(c)
}

// sizeByte takes one byte of a chunk size, or of what follows it.
func (d *Decoder) sizeByte(c byte) fault {
	if class[c]&classHex != 0 {
		if d.digits++; d.digits > maxSizeDigits || d.left > (1<<63-1)>>4 {
			return faultChunkSize
		}
		d.left = d.left<<4 | int64(unhex(c))
		return faultNone
	}
	switch {
	case d.digits == 0:
		return faultChunkSize
	case c == '\r':
		d.state = chunkLF
	case c == ';':
		d.state = chunkNameStart
	case c == ' ' || c == '\t':
		d.state = chunkBlank
	default:
		return faultChunkSize
	}
	return faultNone
}

// extensionByte takes one byte of ";name=value" outside of quotes. Blanks may only stand before and behind ';' and '='.
func (d *Decoder) extensionByte(c byte) fault {
	next := chunkDone
	switch s := d.state; {
	case class[c]&classToken != 0:
		next = afterToken[s]
	case c == ' ' || c == '\t':
		next = afterBlank[s]
	case c == '=' && (s == chunkName || s == chunkNameEnd):
		next = chunkValue
	case c == '"' && s == chunkValue:
		next = chunkQuoted
	case c == ';' && s != chunkNameStart && s != chunkValue:
		next = chunkNameStart
	case c == '\r' && (s == chunkName || s == chunkToken || s == chunkQuotedEnd):
		next = chunkLF
	}
	if next == chunkDone {
		return faultChunkExtension
	}
	d.state = next
	return faultNone
}

// afterToken and afterBlank give the state behind a token character and a blank; chunkDone where none is allowed.
var (
	afterToken = buildTransitions(map[chunkState]chunkState{
		chunkNameStart: chunkName, chunkName: chunkName, chunkValue: chunkToken, chunkToken: chunkToken,
	})
	afterBlank = buildTransitions(map[chunkState]chunkState{
		chunkBlank: chunkBlank, chunkNameStart: chunkNameStart, chunkName: chunkNameEnd, chunkNameEnd: chunkNameEnd,
		chunkValue: chunkValue, chunkToken: chunkValueEnd, chunkQuotedEnd: chunkValueEnd, chunkValueEnd: chunkValueEnd,
	})
)

func buildTransitions(to map[chunkState]chunkState) (t [chunkDone]chunkState) {
	for from := range t {
		t[from] = chunkDone
		if next, ok := to[chunkState(from)]; ok {
			t[from] = next
		}
	}
	return t
}

// quotedByte takes one byte of a quoted extension value.
func (d *Decoder) quotedByte(c byte) fault {
	switch {
	case c < 0x20 && c != '\t' || c == 0x7f:
		return faultChunkExtension
	case d.state == chunkEscaped:
		d.state = chunkQuoted
	case c == '\\':
		d.state = chunkEscaped
	case c == '"':
		d.state = chunkQuotedEnd
	}
	return faultNone
}

// beginChunk starts the data, or the trailer section behind the last chunk.
func (d *Decoder) beginChunk() fault {
	// Data pays for its line: a byte of data for a byte of line, and every chunk its fair line.
	d.overhead = max(0, d.overhead+d.line-fairChunkLine)
	if d.left < int64(d.overhead) {
		d.overhead -= int(d.left)
	} else {
		d.overhead = 0
	}
	if d.overhead > maxChunkOverhead {
		return faultChunkOverhead
	}
	if d.left == 0 {
		d.state = chunkTrailer
		d.beginTrailer()
		return faultNone
	}
	if most := d.limits.Body; most > 0 && d.side == sideRequest && d.left > most-d.received {
		return faultBodyTooLarge
	}
	d.state = chunkData
	return faultNone
}

// readTrailer takes bytes of the trailer section. They are collected, since in is not ours to keep.
func (d *Decoder) readTrailer(in []byte) (n int, f fault) {
	if len(d.trailerBuf) == 0 && len(in) >= 2 && in[0] == '\r' && in[1] == '\n' {
		d.state = chunkDone
		return 2, faultNone
	}
	for n < len(in) {
		line := in[n:]
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line = line[:i+1]
		}
		line = line[:min(len(line), d.limits.TrailerBytes-len(d.trailerBuf))]
		d.trailerBuf = append(d.trailerBuf, line...)
		n += len(line)
		switch f = d.scanner.scan(d.trailerBuf, d.limits, &d.trailer); f {
		case faultNone:
			// The collected bytes may have moved since the first line.
			d.trailer.Reset()
			d.beginTrailer()
			d.scanner.scan(d.trailerBuf, d.limits, &d.trailer)
			d.state = chunkDone
			return n, faultNone
		case faultNeedMore:
		case faultHeadTooLarge:
			return n, faultTrailers
		default:
			return n, f
		}
	}
	return n, faultNeedMore
}

func (d *Decoder) beginTrailer() { d.scanner.begin(sideTrailer, 0, d.limits.TrailerBytes) }
