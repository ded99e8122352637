// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"strconv"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
)

// Encoder writes header blocks that refer to the static table only, so that they do not depend on those before. It holds
// scratch memory; the zero value is ready. Not safe for concurrent use.
type Encoder struct {
	name   []byte
	digits [20]byte
}

// AppendRequest appends the block of a request. Connection and framing fields of its header are left out; Framing
// BodyLength is announced. The scheme is http or https.
func (e *Encoder) AppendRequest(dst []byte, r *http1.RequestHead, scheme string) ([]byte, error) {
	switch string(r.Method) {
	case "GET":
		dst = append(dst, 0x80|staticMethodGet)
	case "POST":
		dst = append(dst, 0x80|staticMethodPost)
	default:
		if len(r.Method) == 0 || !http1.IsToken(r.Method) {
			return dst, http1.ErrInvalidMethod
		}
		dst = appendIndexedName(dst, staticMethodGet, false)
		dst = appendString(dst, r.Method)
	}
	if scheme == "https" {
		dst = append(dst, 0x80|staticSchemeHTTPS)
	} else {
		dst = append(dst, 0x80|staticSchemeHTTP)
	}
	if len(r.Path) == 0 {
		return dst, http1.ErrInvalidTarget
	}
	e.name = http1.AppendTarget(e.name[:0], r)
	if len(e.name) == 1 && e.name[0] == '/' {
		dst = append(dst, 0x80|staticPathRoot)
	} else {
		dst = appendIndexedName(dst, staticPathRoot, false)
		dst = appendString(dst, e.name)
	}
	if len(r.Host) > 0 {
		dst = appendIndexedName(dst, staticAuthority, false)
		dst = appendString(dst, r.Host)
	}
	if r.Framing == http1.BodyLength {
		dst = e.appendLength(dst, r.ContentLength)
	}
	return e.appendFields(dst, r.Header, true), nil
}

// AppendResponse appends the block of a response. Connection and framing fields of its header are left out; a known
// length is announced.
func (e *Encoder) AppendResponse(dst []byte, r *http1.ResponseHead) ([]byte, error) {
	switch r.Status {
	case 200:
		dst = append(dst, 0x80|staticStatus200)
	default:
		if r.Status < 100 || r.Status > 999 {
			return dst, http1.ErrInvalidStatus
		}
		dst = appendIndexedName(dst, staticStatus200, false)
		dst = append(dst, 3)
		dst = strconv.AppendInt(dst, int64(r.Status), 10)
	}
	if r.Status >= 200 && r.Status != 204 && (r.Framing == http1.BodyLength || r.Framing == http1.BodyNone) && r.ContentLength >= 0 {
		dst = e.appendLength(dst, r.ContentLength)
	}
	return e.appendFields(dst, r.Header, false), nil
}

// AppendTrailers appends the block of a trailer section, without the fields that must not be in one.
func (e *Encoder) AppendTrailers(dst []byte, h *http1.Header) []byte {
	for i := range h.Fields() {
		if !h.Fields()[i].Trailing() {
			continue
		}
		dst = e.appendField(dst, h, i, false)
	}
	return dst
}

func (e *Encoder) appendLength(dst []byte, n int64) []byte {
	dst = appendIndexedName(dst, staticContentLength, false)
	return appendString(dst, strconv.AppendInt(e.digits[:0], n, 10))
}

func (e *Encoder) appendFields(dst []byte, h *http1.Header, request bool) []byte {
	if h == nil {
		return dst
	}
	for i := range h.Fields() {
		dst = e.appendField(dst, h, i, request)
	}
	return dst
}

func (e *Encoder) appendField(dst []byte, h *http1.Header, i int, request bool) []byte {
	f, scratch, ok := h.Outgoing(i, request, e.name)
	e.name = scratch
	if !ok {
		return dst
	}
	if index := staticIndex[f.ID]; f.ID != http1.HeaderOther && index != 0 {
		dst = appendIndexedName(dst, index, sensitive(f.ID))
	} else {
		dst = append(dst, 0)
		dst = appendString(dst, f.Name)
	}
	return appendString(dst, f.Value)
}

// sensitive says that nobody behind us may enter the value into a table that others can probe (RFC 7541 §7.1.3).
func sensitive(id http1.HeaderID) bool {
	switch id {
	case http1.HeaderAuthorization, http1.HeaderProxyAuthorization, http1.HeaderCookie, http1.HeaderSetCookie:
		return true
	}
	return false
}

// appendIndexedName starts a literal without indexing whose name is in the static table.
func appendIndexedName(dst []byte, index uint8, never bool) []byte {
	var b byte
	if never {
		b = 0x10
	}
	if index < 15 {
		return append(dst, b|index)
	}
	return append(dst, b|15, index-15)
}

// appendString appends a string literal as it is: Huffman coding saves bytes and costs more than they do.
func appendString(dst, s []byte) []byte {
	n := uint64(len(s))
	if n < 127 {
		dst = append(dst, byte(n))
	} else {
		dst = append(dst, 127)
		for n -= 127; n >= 128; n >>= 7 {
			dst = append(dst, byte(n)|0x80)
		}
		dst = append(dst, byte(n))
	}
	return append(dst, s...)
}
