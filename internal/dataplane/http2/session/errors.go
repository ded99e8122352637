// SPDX-License-Identifier: Apache-2.0

package session

import (
	"errors"
	"net"
	"os"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http2"
)

// Errors of streams.
var (
	// ErrTimeout is a wait that took too long. It satisfies net.Error.
	ErrTimeout error = &timeoutError{}
	// ErrStopped is a Read that StopReading ended.
	ErrStopped = errors.New("http2: reading was stopped")
	// ErrClosed is a connection that ended under its streams.
	ErrClosed = errors.New("http2: connection closed")
	// ErrUnavailable is a connection that takes no further stream.
	ErrUnavailable = errors.New("http2: the connection takes no further stream")
)

type timeoutError struct{}

// Error implements error.
func (*timeoutError) Error() string { return "http2: timeout" }

// Timeout implements net.Error.
func (*timeoutError) Timeout() bool { return true }

// Temporary implements net.Error.
func (*timeoutError) Temporary() bool { return true }

// StreamError is a stream that was reset.
type StreamError struct {
	Code http2.ErrCode
	// ByPeer tells the peer's reset from our own, for what the peer did.
	ByPeer bool
	// Unprocessed says that the peer did not act on the request, which may be sent again whatever its method.
	Unprocessed bool
}

// Error implements error.
func (e *StreamError) Error() string {
	if e.ByPeer {
		return "http2: stream reset by peer: " + e.Code.String()
	}
	return "http2: stream reset: " + e.Code.String()
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}
