// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/errorpage"
	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/internal/dataplane/http2"
	"github.com/kong/kong-istio-gateway/internal/dataplane/http2/session"
	"github.com/kong/kong-istio-gateway/internal/dataplane/upstream"
)

// errBrokenHTTP2 is an upstream that broke the rules of its answer.
var errBrokenHTTP2 = &http1.Error{Status: 502, Message: errorpage.Message(502), Reason: "the answer breaks HTTP/2"}

// openTries is how often a connection that was about to end is exchanged for
// another one.
const openTries = 3

// http2Upstream implements upstreamStream on a stream of an HTTP/2 connection.
// An exchange has one of them for all of its tries.
type http2Upstream struct {
	pool         *upstream.Pool
	conn         *session.Session
	stream       *session.Stream // nil before the head was sent
	ctx          context.Context //nolint:containedctx // of the exchange, between use and sendHead
	scheme       string
	readTimeout  time.Duration
	writeTimeout time.Duration
	connTimeout  time.Duration
	again        bool // the connection carried streams before
	answered     bool // something of the answer came
	unprocessed  bool // the upstream did not act on the request
	cancelled    bool // by the upstream
	ended        bool // the answer was read to its end
	end          *streamEnd
	encoder      http2.Encoder
	block        []byte
	noTrailers   http1.Header
}

// connectHTTP2 is connect for services over HTTP/2.
func (ex *exchange) connectHTTP2(t *target, pool *upstream.Pool, now time.Time) (time.Time, error) {
	conn, again, err := pool.Session(ex.context(), t.connectTimeout)
	if err != nil {
		return now, err
	}
	if !again {
		now = time.Now()
	}
	ex.overHTTP2.use(ex.context(), pool, conn, again, t)
	return now, ex.useUpstream(&ex.overHTTP2)
}

// refusedUnseen reports whether the upstream said that it did not act on the
// request, all of which is still here: then it is sent again, whatever its
// method (RFC 9113 §8.7).
func (ex *exchange) refusedUnseen() bool {
	return ex.uploading == nil && ex.up == &ex.overHTTP2 && ex.overHTTP2.untouched()
}

// streamEnd ends one stream from any goroutine, before it is there or when it
// is over, too.
type streamEnd struct {
	upstream.Aborter
	mu      sync.Mutex
	aborted bool
	stream  *session.Stream
	conn    *session.Session
	id      uint32
}

func newStreamEnd() *streamEnd {
	e := &streamEnd{}
	e.Aborter = *upstream.NewAborter(e.abort)
	return e
}

func (e *streamEnd) abort() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.aborted = true
	if e.stream != nil {
		e.stream.Abort(e.conn, e.id)
	}
}

// attach names the stream. It returns false if it was aborted before.
func (e *streamEnd) attach(conn *session.Session, s *session.Stream) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.conn, e.stream, e.id = conn, s, s.ID()
	return !e.aborted
}

// use begins a try on a connection.
func (u *http2Upstream) use(ctx context.Context, pool *upstream.Pool, conn *session.Session, again bool, t *target) {
	u.recycle()
	u.ctx, u.pool, u.conn, u.again = ctx, pool, conn, again
	u.scheme, u.readTimeout, u.writeTimeout, u.connTimeout = "http", t.readTimeout, t.writeTimeout, t.connectTimeout
	if t.scheme == upstream.ProtoGRPCS {
		u.scheme = "https"
	}
	u.answered, u.unprocessed, u.cancelled, u.ended = false, false, false, false
	u.end = newStreamEnd()
}

// sendHead implements upstreamStream.
func (u *http2Upstream) sendHead(head *http1.RequestHead, first []byte, more bool, _ time.Time) (err error) {
	if u.block, err = u.encoder.AppendRequest(u.block[:0], head, u.scheme); err != nil {
		return err
	}
	if err := u.open(http1.LookupMethod(head.Method), !more && len(first) == 0); err != nil {
		return u.note(err)
	}
	if !u.end.attach(u.conn, u.stream) {
		return context.Canceled
	}
	if len(first) == 0 {
		return nil
	}
	return u.note(u.stream.Write(first, !more, u.writeTimeout))
}

// open opens the stream. The connection may have filled up, or have ended, since
// it was chosen.
func (u *http2Upstream) open(method http1.Method, last bool) (err error) {
	for try := 0; ; try++ {
		if u.stream, err = u.conn.Open(method, u.block, last); err == nil || try == openTries {
			return err
		}
		if u.conn, u.again, err = u.pool.Session(u.ctx, u.connTimeout); err != nil {
			return err
		}
	}
}

// note takes down what an error says about the request.
func (u *http2Upstream) note(err error) error {
	var reset *session.StreamError
	switch {
	case err == nil:
	case errors.Is(err, session.ErrUnavailable):
		u.unprocessed = true
	case errors.As(err, &reset):
		u.unprocessed = reset.Unprocessed
		u.answered = true
		u.cancelled = reset.ByPeer && reset.Code == http2.CodeCancel
		if !reset.ByPeer && !u.end.wasAborted() {
			return errBrokenHTTP2
		}
	}
	return err
}

func (e *streamEnd) wasAborted() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.aborted
}

// sendBody implements upstreamStream. It is another goroutine's than what reads,
// so it leaves to that what an error says.
func (u *http2Upstream) sendBody(data []byte, last bool, trailers *http1.Header) error {
	if last && trailers != nil && trailers.Len() > 0 {
		return u.stream.WriteTrailers(data, trailers, u.writeTimeout)
	}
	return u.stream.Write(data, last, u.writeTimeout)
}

// readHead implements upstreamStream.
func (u *http2Upstream) readHead(_ http1.Method, resp *http1.Response, _ time.Time) error {
	err := u.note(u.stream.NextHead(resp, u.readTimeout))
	u.answered = u.answered || err == nil
	return err
}

// ready implements upstreamStream.
func (u *http2Upstream) ready() bool { return u.stream.Ready() }

// readBody implements upstreamStream.
func (u *http2Upstream) readBody() (data []byte, last bool, err error) {
	data, last, err = u.stream.Read(u.readTimeout)
	u.ended = last && err == nil
	return data, last, u.note(err)
}

// heard implements upstreamStream.
func (u *http2Upstream) heard() time.Time { return time.Time{} }

// trailers implements upstreamStream.
func (u *http2Upstream) trailers() *http1.Header {
	if u.stream == nil {
		return &u.noTrailers
	}
	return u.stream.Trailers()
}

// reused implements upstreamStream.
func (u *http2Upstream) reused() bool { return u.again }

// received implements upstreamStream.
func (u *http2Upstream) received() bool { return u.answered }

// untouched implements upstreamStream.
func (u *http2Upstream) untouched() bool { return u.stream == nil || u.unprocessed }

// aborter implements upstreamStream.
func (u *http2Upstream) aborter() *upstream.Aborter { return &u.end.Aborter }

// release implements upstreamStream: a stream that has ended on both sides is
// given back when nobody looks at its answer any more.
func (u *http2Upstream) release(time.Time) {}

// close implements upstreamStream.
func (u *http2Upstream) close() {
	if u.stream != nil {
		u.stream.Reset(http2.CodeCancel)
	}
}

// recycle implements upstreamStream.
func (u *http2Upstream) recycle() {
	if u.stream != nil {
		u.stream.Overwrite(poison)
		u.stream.Done()
	}
	u.stream, u.conn, u.pool, u.ctx, u.end = nil, nil, nil, nil, nil
	u.cancelled = false
	if cap(u.block) > keptBytes {
		u.block = nil
	}
}
