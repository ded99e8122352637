// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/internal/dataplane/http2"
	"github.com/kong/kong-istio-gateway/internal/dataplane/http2/session"
)

// unlimited is how long a gRPC client may be silent between two messages that go
// upstream as they come: a client that watches says nothing. How long the server may
// be silent, read_timeout, bounds the call. What must be here before the server is
// asked is waited for no longer than client_body_timeout at a time.
const unlimited time.Duration = math.MaxInt64

// http2Downstream implements downstream on one stream of an HTTP/2 connection.
// It serves one stream after another.
type http2Downstream struct {
	handle // any goroutine
	conn   *http2Conn
	onFail func() // leave, bound once

	stream   *session.Stream
	ex       *exchange
	received int64 // bytes of the request's body
	waited   time.Duration
	live     bool   // a gRPC stream: no rate is asked of it, see unlimited
	held     []byte // of the answer, while more follows
	failed   error  // of the head
}

// serve takes the stream through an exchange. It returns false when nobody knows
// what of the downstream is still in use.
func (d *http2Downstream) serve(s *session.Stream) (clean bool) {
	w := works.Get().(*work)
	ex := &w.ex
	defer func() {
		if v := recover(); v != nil {
			d.engine.log.Error("connection failed", "peer", d.conn.conn.peer, "error", fmt.Sprint(v), "stack", string(debug.Stack()))
			ex.crash()
			s.OnFail(nil)
			d.drop()
			s.Reset(http2.CodeInternal)
		}
	}()
	d.stream, d.ex, d.received, d.waited, d.failed, d.held = s, ex, 0, 0, nil, d.held[:0]
	ex.bind(&d.handle, &d.conn.conn.clientFacts, d)
	ex.http2 = true
	request, refusal := s.Request()
	// The stream gets the memory of an earlier head for its next one.
	ex.req, *request = *request, ex.req
	d.live = ex.isGRPC()
	s.OnFail(d.onFail)
	ex.begin(time.Now(), int64(s.HeadSize()))
	if refusal != nil {
		ex.refuse(refusal)
	} else {
		ex.run()
	}
	code := http2.CodeInternal
	if ex.cancelled() {
		code = http2.CodeCancel
	}
	ex.end()
	if ex.broken {
		// Only a reset tells the client that the answer is incomplete.
		s.Reset(code)
	}
	s.OnFail(nil)
	// The stream may have failed just now.
	d.life.End()
	d.departed.Store(false)
	s.Overwrite(poison)
	poison(d.held[:cap(d.held)])
	if cap(d.held) > keptBytes {
		d.held = nil
	}
	d.stream, d.ex = nil, nil
	ex.unbind()
	w.shrink()
	works.Put(w)
	return true
}

// readBody implements downstream.
func (d *http2Downstream) readBody() (data []byte, last bool, err error) {
	if d.ex.req.ExpectContinue {
		data, last, ok, err := d.arrivedBody()
		if ok || err != nil {
			return data, last, err
		}
		if err := d.sendContinue(); err != nil {
			return nil, false, err
		}
	}
	patience := d.engine.settings.ClientBodyTimeout
	switch {
	case d.live && d.ex.uploading != nil:
		patience = unlimited
	case !d.live:
		patience = d.engine.settings.bodyPatience(d.received, d.waited)
	}
	began := time.Now()
	data, last, err = d.stream.Read(patience)
	d.waited += time.Since(began)
	if errors.Is(err, session.ErrStopped) {
		return nil, false, errStopped
	}
	if err == nil {
		err = d.took(data)
	}
	return data, last, err
}

// took enforces the limit of a body.
func (d *http2Downstream) took(data []byte) error {
	d.received += int64(len(data))
	if limit := d.conn.conn.limits.Body; limit > 0 && d.received > limit {
		return http1.ErrBodyTooLarge
	}
	return nil
}

// arrivedBody implements downstream.
func (d *http2Downstream) arrivedBody() (data []byte, last, ok bool, err error) {
	data, last = d.stream.Arrived()
	return data, last, last || len(data) > 0, d.took(data)
}

// requestTrailers implements downstream.
func (d *http2Downstream) requestTrailers() *http1.Header { return d.stream.Trailers() }

// stopReading implements downstream.
func (d *http2Downstream) stopReading() { d.stream.StopReading() }

// resumeReading implements downstream.
func (d *http2Downstream) resumeReading() { d.stream.ResumeReading() }

// sendContinue implements downstream.
func (d *http2Downstream) sendContinue() error {
	if !d.ex.req.ExpectContinue {
		return nil
	}
	d.ex.req.ExpectContinue = false
	return d.sendInterim(&http1.ResponseHead{Status: 100, ContentLength: -1})
}

// sendInterim implements downstream.
func (d *http2Downstream) sendInterim(head *http1.ResponseHead) error {
	if err := d.stream.WriteHead(head); err != nil {
		return err
	}
	return d.note(d.stream.Flush())
}

// note takes down that the client is gone.
func (d *http2Downstream) note(err error) error {
	if err != nil {
		d.departed.Store(true)
	}
	return err
}

// sendHead implements downstream.
func (d *http2Downstream) sendHead(head *http1.ResponseHead, _ bool) {
	if d.conn.last() {
		d.conn.session.DrainWithNext()
	}
	head.Connection = http1.ConnectionKeepAlive
	if head.ContentLength == 0 && head.Header.HasID(http1.HeaderGrpcStatus) {
		// A gRPC answer that is all trailers announces no length.
		head.ContentLength = -1
	}
	d.failed = d.stream.WriteHead(head)
}

// sendBody implements downstream.
func (d *http2Downstream) sendBody(data []byte, last, more bool, trailers *http1.Header) error {
	if d.failed != nil {
		return d.failed
	}
	if more && !last && len(d.held)+len(data) < writeBatch {
		d.held = append(d.held, data...)
		return nil
	}
	if len(d.held) > 0 {
		d.held = append(d.held, data...)
		data = d.held
		d.held = d.held[:0]
	}
	timeout := d.engine.settings.SendTimeout
	if last && trailers != nil && trailers.Len() > 0 {
		return d.note(d.stream.WriteTrailers(data, trailers, timeout))
	}
	return d.note(d.stream.Write(data, last, timeout))
}

// flush implements downstream.
func (d *http2Downstream) flush() error {
	if len(d.held) > 0 {
		return d.sendBody(nil, false, false, nil)
	}
	if d.failed != nil {
		return d.failed
	}
	return d.note(d.stream.Flush())
}

// sent implements downstream.
func (d *http2Downstream) sent() int64 { return d.stream.Written() }

// closeAfter implements downstream: a stream ends with its exchange.
func (d *http2Downstream) closeAfter() {}

// awaitDeparture implements downstream: the connection is always read.
func (d *http2Downstream) awaitDeparture() {}
