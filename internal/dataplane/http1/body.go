// SPDX-License-Identifier: Apache-2.0

package http1

// Decoder finds the data and the end of a body in the bytes of a connection. Reset it for every message. Not safe for
// concurrent use.
type Decoder struct {
	framing  Framing
	side     side
	state    chunkState
	digits   uint8
	limits   *Limits
	left     int64 // bytes of data left in the body (BodyLength) or in the chunk
	received int64
	overhead int // see chunkOverhead
	line     int // bytes of the chunk line so far

	trailer    Header
	trailerBuf []byte
	scanner    fieldScanner
}

// ResetRequest makes d read the body that request announced. Errors of Decode have the status to answer with; Body of
// limits is enforced. limits is kept.
func (d *Decoder) ResetRequest(r *Request, limits *Limits) {
	d.reset(r.Framing, r.ContentLength, sideRequest, limits)
}

// ResetResponse makes d read the body that response announced. Errors of Decode have status 502. limits is kept.
func (d *Decoder) ResetResponse(r *Response, limits *Limits) {
	d.reset(r.Framing, r.ContentLength, sideResponse, limits)
}

func (d *Decoder) reset(f Framing, length int64, side side, limits *Limits) {
	if f != BodyLength {
		length = 0
	}
	d.framing, d.left, d.side, d.limits = f, length, side, limits
	d.state, d.digits, d.received, d.overhead, d.line = chunkSize, 0, 0, 0, 0
	d.trailer.Reset()
	d.trailerBuf = d.trailerBuf[:0]
}

// Decode reads from the start of in. data is the next piece of the body, a view into in, possibly empty; consumed is how
// many bytes of in it took, data included; done says that the body ended there, and what follows in in belongs to the
// next message. Call again with in[consumed:] until it consumes nothing, or is done. An error, always an *Error, is
// final: the connection cannot be used any more.
func (d *Decoder) Decode(in []byte) (data []byte, consumed int, done bool, err error) {
	switch d.framing {
	case BodyLength:
		n := int(min(d.left, int64(len(in))))
		d.left -= int64(n)
		d.received += int64(n)
		return in[:n], n, d.left == 0, nil
	case BodyChunked:
		data, consumed, f := d.decodeChunks(in)
		if f == faultNone || f == faultNeedMore {
			return data, consumed, d.state == chunkDone, nil
		}
		if d.side == sideResponse {
			return nil, consumed, false, f.response()
		}
		return nil, consumed, false, f.request()
	case BodyUntilClose:
		d.received += int64(len(in))
		return in, len(in), false, nil
	}
	return nil, 0, true, nil
}

// DecodeInPlace is Decode for all of in at once: the data is moved together at the start of in, which it overwrites.
func (d *Decoder) DecodeInPlace(in []byte) (data []byte, consumed int, done bool, err error) {
	n := 0
	for {
		piece, c, done, err := d.Decode(in[consumed:])
		n += copy(in[n:], piece)
		consumed += c
		if done || err != nil || c == 0 || consumed == len(in) {
			return in[:n], consumed, done, err
		}
	}
}

// Ended tells what the end of the connection means: true if the body is complete by it.
func (d *Decoder) Ended() bool {
	switch d.framing {
	case BodyLength:
		return d.left == 0
	case BodyChunked:
		return d.state == chunkDone
	}
	return true
}

// Left returns how many of the coming bytes are certain to be data: the rest of the body or of the current chunk.
func (d *Decoder) Left() int64 {
	if d.framing == BodyChunked && d.state != chunkData {
		return 0
	}
	return d.left
}

// Received returns the number of data bytes so far.
func (d *Decoder) Received() int64 { return d.received }

// Trailers returns the trailer fields of a chunked body that is done, without those that a trailer must not hold. They
// are valid until the next Reset.
func (d *Decoder) Trailers() *Header { return &d.trailer }
