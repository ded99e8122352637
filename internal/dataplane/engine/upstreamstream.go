// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/internal/dataplane/upstream"
)

// upstreamStream is the upstream's side of one try: a request that is sent and
// the answer to it that is read. HTTP/1 has a connection for it, HTTP/2 one
// stream of a shared connection.
//
// Deadlines are the implementation's: the target's write_timeout bounds the wait
// of each write, flow control included, its read_timeout that of each read.
//
// The exchange's goroutine sends the head and reads. The rest of a body may be
// sent by an upload's goroutine at the same time. What any goroutine may call is
// said below. Once the stream was released or closed, only what says so may be
// called until recycle.
type upstreamStream interface {
	// sendHead sends the head with the first bytes of the body, which are good
	// during the call only. more says that further pieces follow through sendBody;
	// otherwise the request ends here.
	sendHead(head *http1.RequestHead, first []byte, more bool, now time.Time) error
	// sendBody sends a piece of the body. last ends the request with trailers,
	// which may be nil.
	sendBody(data []byte, last bool, trailers *http1.Header) error
	// readHead waits for the next head of the answer, which is an interim one
	// (see http1.Response.Interim) any number of times before the final one. The
	// views in resp are good until the next call, those of the final head until
	// recycle. A message that breaks the protocol is an *http1.Error, or
	// upstream.ErrFull.
	//
	// Framing is BodyNone when no body follows, BodyLength when its length is
	// known, and another one when it is not. KeepAlive is the stream's own note.
	readHead(method http1.Method, resp *http1.Response, now time.Time) error
	// ready reports whether readBody has something to say without a wait.
	ready() bool
	// readBody returns the next piece of the answer's body, which may be empty,
	// and is good until the next call. last says that the body ended with it.
	// It waits only when the stream is not ready.
	readBody() (data []byte, last bool, err error)
	// heard returns when the bytes came that were read last, the zero time when
	// nobody looked at the clock.
	heard() time.Time
	// trailers returns the trailers of the answer once its body was read to its
	// end, possibly none. They stay until recycle.
	trailers() *http1.Header

	// reused reports whether the stream's connection carried a request before.
	reused() bool
	// received reports whether anything of the answer came.
	received() bool
	// untouched reports whether the upstream cannot have seen the request as a
	// whole: nothing of it was sent, or the upstream said that it refused it
	// before any processing (RFC 9113 §8.7). It may be called after close.
	untouched() bool

	// aborter ends the stream from any goroutine: waiting calls return an error.
	// It stays good when the stream was released, and then does nothing to others.
	aborter() *upstream.Aborter
	// release ends the stream after the request was sent and the answer read to
	// its end. The connection serves others where both sides allow it.
	release(now time.Time)
	// close ends the stream at any time. HTTP/1 closes the connection, HTTP/2
	// resets the stream unless it has ended.
	close()
	// recycle says that nothing of what was read is looked at any more.
	recycle()
}
