// SPDX-License-Identifier: Apache-2.0

package http2

import "encoding/binary"

// ErrCode is an error code of RFC 9113 §7.
type ErrCode uint32

// The codes.
const (
	CodeNo                 ErrCode = 0x0
	CodeProtocol           ErrCode = 0x1
	CodeInternal           ErrCode = 0x2
	CodeFlowControl        ErrCode = 0x3
	CodeSettingsTimeout    ErrCode = 0x4
	CodeStreamClosed       ErrCode = 0x5
	CodeFrameSize          ErrCode = 0x6
	CodeRefusedStream      ErrCode = 0x7
	CodeCancel             ErrCode = 0x8
	CodeCompression        ErrCode = 0x9
	CodeConnect            ErrCode = 0xa
	CodeEnhanceYourCalm    ErrCode = 0xb
	CodeInadequateSecurity ErrCode = 0xc
	CodeHTTP11Required     ErrCode = 0xd
)

var codeNames = [...]string{"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
	"FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"}

// String returns the RFC's name.
func (c ErrCode) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return "unknown error code"
}

// ConnError is why a connection cannot go on. The GOAWAY that says so is in the output.
type ConnError struct {
	Code ErrCode
	// Reason says what is wrong, for logs. It never holds bytes of the peer.
	Reason string
}

// Error implements error.
func (e *ConnError) Error() string { return "http2: " + e.Code.String() + ": " + e.Reason }

// Frame types (RFC 9113 §6).
const (
	frameData         = 0x0
	frameHeaders      = 0x1
	framePriority     = 0x2
	frameRSTStream    = 0x3
	frameSettings     = 0x4
	framePushPromise  = 0x5
	framePing         = 0x6
	frameGoAway       = 0x7
	frameWindowUpdate = 0x8
	frameContinuation = 0x9
)

// Flags.
const (
	flagAck        = 0x1
	flagEndStream  = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

const (
	frameHeader = 9
	// maxFrame is the largest payload that we take, and send: what everyone must take.
	maxFrame  = 16 << 10
	maxID     = 1<<31 - 1
	maxWindow = 1<<31 - 1
	// firstWindow is every window before anything is said about it.
	firstWindow = 65535
)

// FrameRoom is how many bytes a read buffer must hold so that any frame fits.
const FrameRoom = frameHeader + maxFrame

// frame is one frame as it lies in the input.
type frame struct {
	kind, flags uint8
	id          uint32
	payload     []byte
}

func (f *frame) has(flag uint8) bool { return f.flags&flag != 0 }

// parseHeader reads a frame header. The payload is not in it.
func parseHeader(b []byte) (f frame, length int) {
	length = int(b[0])<<16 | int(b[1])<<8 | int(b[2])
	return frame{kind: b[3], flags: b[4], id: binary.BigEndian.Uint32(b[5:]) & maxID}, length
}

func appendHeader(dst []byte, length int, kind, flags uint8, id uint32) []byte {
	return append(dst, byte(length>>16), byte(length>>8), byte(length), kind, flags, byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
}

func appendRSTStream(dst []byte, id uint32, code ErrCode) []byte {
	return binary.BigEndian.AppendUint32(appendHeader(dst, 4, frameRSTStream, 0, id), uint32(code))
}

func appendWindowUpdate(dst []byte, id uint32, n int64) []byte {
	return binary.BigEndian.AppendUint32(appendHeader(dst, 4, frameWindowUpdate, 0, id), uint32(n))
}

func appendGoAway(dst []byte, last uint32, code ErrCode) []byte {
	dst = binary.BigEndian.AppendUint32(appendHeader(dst, 8, frameGoAway, 0, 0), last)
	return binary.BigEndian.AppendUint32(dst, uint32(code))
}

func appendPing(dst []byte, flags uint8, data []byte) []byte {
	return append(appendHeader(dst, 8, framePing, flags, 0), data[:8]...)
}

// unpad strips the padding of DATA or HEADERS.
func unpad(f *frame) (payload []byte, ok bool) {
	if !f.has(flagPadded) {
		return f.payload, true
	}
	if len(f.payload) == 0 || int(f.payload[0]) >= len(f.payload) {
		return nil, false
	}
	return f.payload[1 : len(f.payload)-int(f.payload[0])], true
}

// Preface is what a client sends first (RFC 9113 §3.4).
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Settings (RFC 9113 §6.5.2).
const (
	settingTableSize     = 0x1
	settingEnablePush    = 0x2
	settingMaxStreams    = 0x3
	settingInitialWindow = 0x4
	settingMaxFrame      = 0x5
	settingMaxHeaderList = 0x6
)

func appendSetting(dst []byte, id uint16, value uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(dst, id), value)
}
