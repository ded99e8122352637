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
// request id behind it, as Kong's proxy_access_log does. A goroutine of its own
// writes what was collected, so that a log that cannot be written does not
// stop traffic: lines beyond a bound are dropped and counted.
type AccessLog struct {
	out  io.Writer
	wake chan struct{}
	done chan struct{}

	mu      sync.Mutex
	buf     []byte
	dropped uint64
	closed  bool
}

const (
	// accessLogBound is how many bytes of lines may wait.
	accessLogBound = 4 << 20
	// accessLogDelay is how long lines are collected before they are written.
	accessLogDelay = 100 * time.Millisecond
)

// NewAccessLog returns a log that writes to out until Close.
func NewAccessLog(out io.Writer) *AccessLog {
	l := &AccessLog{out: out, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go l.run()
	return l
}

func (l *AccessLog) write(x *pipeline.Exchange) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.buf) > accessLogBound {
		l.dropped++
		return
	}
	l.buf = appendAccessLine(l.buf, x)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Dropped returns how many lines were not written.
func (l *AccessLog) Dropped() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dropped
}

// Close writes what was collected; later lines are dropped.
func (l *AccessLog) Close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	close(l.wake)
	<-l.done
}

func (l *AccessLog) run() {
	defer close(l.done)
	var lines []byte
	for open := true; open; {
		if _, open = <-l.wake; open {
			<-time.After(accessLogDelay)
		}
		l.mu.Lock()
		lines, l.buf = l.buf, lines[:0]
		l.mu.Unlock()
		if len(lines) > 0 {
			// There is nobody to tell that the log cannot be written.
			_, _ = l.out.Write(lines)
		}
	}
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
