// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
)

// AccessLog writes one line per request in nginx's combined format with the
// request id behind it, as Kong's proxy_access_log does. Lines are collected
// and written when the buffer is full or a second has passed.
type AccessLog struct {
	mu     sync.Mutex
	out    io.Writer
	buf    []byte
	timer  *time.Timer
	closed bool
}

const (
	accessLogBuffer = 64 << 10
	accessLogDelay  = time.Second
)

// NewAccessLog returns a log that writes to out.
func NewAccessLog(out io.Writer) *AccessLog { return &AccessLog{out: out} }

func (l *AccessLog) write(x *pipeline.Exchange) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = appendAccessLine(l.buf, x)
	switch {
	case len(l.buf) >= accessLogBuffer || l.closed:
		l.flushLocked()
	case l.timer == nil:
		l.timer = time.AfterFunc(accessLogDelay, l.Flush)
	}
}

// Flush writes what was collected.
func (l *AccessLog) Flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flushLocked()
}

func (l *AccessLog) flushLocked() {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	// A log that cannot be written must not stop traffic.
	_, _ = l.out.Write(l.buf)
	l.buf = l.buf[:0]
}

// Close writes what was collected; later lines are written at once.
func (l *AccessLog) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.flushLocked()
}

func appendAccessLine(b []byte, x *pipeline.Exchange) []byte {
	r := x.Request()
	b = x.Client().IP.AppendTo(b)
	b = append(b, " - - ["...)
	b = x.Times.Start.AppendFormat(b, "02/Jan/2006:15:04:05 -0700")
	b = append(b, "] \""...)
	b = appendEscaped(b, r.Method)
	b = append(b, ' ')
	b = appendEscaped(b, r.Target)
	b = append(b, " HTTP/"...)
	b = strconv.AppendInt(b, int64(r.Major), 10)
	b = append(b, '.')
	b = strconv.AppendInt(b, int64(r.Minor), 10)
	b = append(b, "\" "...)
	b = strconv.AppendInt(b, int64(x.Answer.Status), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, x.Answer.Size, 10)
	b = append(b, " \""...)
	b = appendEscaped(b, orDash(x.Header().Get("referer")))
	b = append(b, "\" \""...)
	b = appendEscaped(b, orDash(x.Header().Get("user-agent")))
	b = append(b, "\" kong_request_id: \""...)
	b = append(b, x.RequestID...)
	return append(b, "\"\n"...)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// appendEscaped writes what a client sent so that it cannot forge a line.
func appendEscaped(b []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\' || c < 0x20 || c >= 0x7f:
			b = append(b, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		default:
			b = append(b, c)
		}
	}
	return b
}
