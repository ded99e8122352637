// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"io"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/errorpage"
	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

const (
	// bufferedAnswerLimit bounds an answer that a response phase sees as a whole.
	bufferedAnswerLimit = 8 << 20
	// writeBatch is how much of an answer is collected before it is written,
	// while more of it has already arrived.
	writeBatch = 16 << 10
)

var (
	errAnswerTooLarge = errors.New("engine: the upstream's answer is larger than a plugin can take")
	errAnswerLength   = errors.New("engine: a body filter made the answer shorter than its Content-Length")
)

// passAnswer sends the upstream's answer to the client.
func (ex *exchange) passAnswer(t *target) {
	c, x := ex.conn, ex.conn.x
	x.Times.FirstByte = time.Now()
	ex.respDecoder.ResetResponse(&ex.resp, &c.engine.answerLimits)
	ex.answerHeader.list = &ex.resp.Header
	x.Answer.Status, x.Answer.Header, x.Answer.Source = ex.resp.Status, &ex.answerHeader, plugin.SourceUpstream
	if ex.resp.Status == 101 {
		ex.upgrade(t)
		return
	}
	ex.filtering = x.FiltersBody()
	need := x.ResponseBodyNeed()
	if x.Buffered() {
		need = max(need, bufferedAnswerLimit)
	}
	if need > 0 {
		ex.passWhole(t, need)
	} else {
		ex.passStream(t)
	}
}

// passStream sends the answer piece by piece as it comes.
func (ex *exchange) passStream(t *target) {
	ex.filterHeader()
	ex.startAnswer()
	ex.finishAnswer(ex.pump(t, ex.emitStream))
}

// streamPiece filters and sends one piece of the answer.
func (ex *exchange) streamPiece(data []byte, last, more bool) error {
	x := ex.conn.x
	if last {
		ex.noteTrailers()
	}
	if ex.filtering {
		filtered, fault := x.FilterBody(data, last)
		ex.conn.engine.fault(fault, x)
		data = filtered
	}
	return ex.sendBody(data, last, more)
}

// noteTrailers shows the trailers to body filters.
func (ex *exchange) noteTrailers() {
	if t := ex.respDecoder.Trailers(); t.Len() > 0 {
		ex.conn.x.Answer.Trailer = &headerView{list: t, arena: &ex.conn.arena}
	}
}

// passWhole reads the answer's body before anything is sent.
func (ex *exchange) passWhole(t *target, limit int64) {
	c, x := ex.conn, ex.conn.x
	ex.whole, ex.wholeLimit = ex.whole[:0], limit
	if err := ex.pump(t, ex.emitWhole); err != nil {
		ex.dropUpstream()
		if c.over() {
			ex.abandon()
			return
		}
		status := 502
		if isTimeout(err) {
			status = 504
		}
		ex.answerProxyError(status, errorpage.Message(status))
		return
	}
	ex.dropUpstream()
	ex.noteTrailers()
	x.Answer.Body = ex.whole
	if fault := x.ResponsePhase(); fault != nil {
		c.engine.fault(fault, x)
		ex.answerError(500, errorpage.Message(500))
		return
	}
	ex.filterHeader()
	body := x.Answer.Body
	if ex.filtering {
		filtered, fault := x.FilterBody(body, true)
		c.engine.fault(fault, x)
		body = filtered
	}
	if ex.resp.Framing == http1.BodyLength || ex.resp.Framing != http1.BodyNone && (x.Buffered() || c.req.Minor == 0) {
		ex.resp.Framing, ex.resp.ContentLength = http1.BodyLength, int64(len(body))
	}
	if c.req.Minor == 0 {
		// HTTP/1.0 knows no chunks, and the length is known.
		ex.filtering = false
	}
	ex.startAnswer()
	if err := ex.sendBody(body, true, false); err != nil {
		c.keep, ex.broken = false, true
	}
}

// wholePiece collects one piece of the answer.
func (ex *exchange) wholePiece(data []byte, _, _ bool) error {
	if int64(len(ex.whole)+len(data)) > ex.wholeLimit {
		return errAnswerTooLarge
	}
	ex.whole = append(ex.whole, data...)
	return nil
}

func (ex *exchange) filterHeader() {
	ex.conn.engine.fault(ex.conn.x.FilterHeader(), ex.conn.x)
}

// startAnswer appends the answer's head to the output.
func (ex *exchange) startAnswer() {
	c, x := ex.conn, ex.conn.x
	h := &ex.resp.Header
	ex.addProxyHeaders(h)
	ex.addHashCookie(h)
	set := &c.engine.settings.Headers
	if set.RequestID {
		h.ReplaceID(http1.HeaderXKongRequestId, ex.id[:])
	}
	if set.ServerToken && !h.HasID(http1.HeaderServer) {
		h.AddID(http1.HeaderServer, http1.View(c.engine.options.Product))
	}
	if !h.HasID(http1.HeaderDate) {
		h.AddID(http1.HeaderDate, c.engine.dates.at(x.Times.FirstByte))
		ex.ownDate = true
	}
	ex.settleStatus()
	head := http1.ResponseHead{Status: x.Answer.Status, Header: h}
	if x.Answer.Status == ex.resp.Status {
		head.Reason = ex.resp.Reason
	}
	ex.frameAnswer(&head)
	ex.writeHead(&head)
}

// frameAnswer decides how the end of the answer is found.
func (ex *exchange) frameAnswer(head *http1.ResponseHead) {
	c := ex.conn
	// A filter that changes the length says so by deleting Content-Length.
	resized := ex.filtering && !ex.resp.Header.HasID(http1.HeaderContentLength)
	head.Framing, head.ContentLength = ex.resp.Framing, ex.resp.ContentLength
	switch {
	case !mayHaveBody(head.Status):
		head.Framing, head.ContentLength = http1.BodyNone, -1
		if head.Status == 304 && ex.resp.Status == 304 {
			head.ContentLength = ex.resp.ContentLength
		}
	case head.Framing == http1.BodyNone && resized:
		head.ContentLength = -1
	case head.Framing == http1.BodyNone:
	case head.Framing == http1.BodyLength && !resized:
	case c.req.Minor == 0:
		head.Framing = http1.BodyUntilClose
		c.keep = false
	default:
		head.Framing = http1.BodyChunked
	}
	ex.sentFraming, ex.sentLeft = head.Framing, head.ContentLength
}

// sendBody sends a piece of the body in the framing of the answer. With more
// set, another piece follows without a wait.
func (ex *exchange) sendBody(data []byte, last, more bool) error {
	c := ex.conn
	switch ex.sentFraming {
	case http1.BodyNone:
		return c.flush()
	case http1.BodyChunked:
		c.out = http1.AppendChunk(c.out, data)
		if last {
			c.out = http1.AppendLastChunk(c.out, ex.respDecoder.Trailers())
		}
	case http1.BodyLength:
		data = data[:min(int64(len(data)), ex.sentLeft)]
		ex.sentLeft -= int64(len(data))
		if last && ex.sentLeft > 0 {
			c.out = append(c.out, data...)
			_ = c.flush()
			return errAnswerLength
		}
		fallthrough
	default:
		if len(c.out) == 0 && len(data) >= writeBatch/2 {
			return c.write(data)
		}
		c.out = append(c.out, data...)
	}
	if more && !last && len(c.out) < writeBatch {
		return nil
	}
	return c.flush()
}

// finishAnswer ends both connections when the answer could not be completed.
func (ex *exchange) finishAnswer(err error) {
	if err == nil {
		ex.dropUpstream()
		return
	}
	// What was sent cannot be taken back: only closing tells the client that
	// the answer is incomplete.
	_ = ex.conn.flush()
	ex.conn.keep, ex.broken = false, true
	ex.dropUpstream()
}

// releaseUpstream returns the upstream connection to its pool if the exchange
// left it clean.
func (ex *exchange) releaseUpstream() {
	complete := ex.uploading.stop()
	if complete && ex.resp.KeepAlive && ex.respDecoder.Ended() && ex.resp.Framing != http1.BodyUntilClose {
		ex.keepUpstream()
		return
	}
	ex.dropUpstream()
}

// pump reads the answer's body and hands it on; the last call has last set,
// and more says that the next call follows without a wait.
func (ex *exchange) pump(t *target, emit func(data []byte, last, more bool) error) error {
	conn := ex.upConn
	for {
		data, n, done, err := ex.respDecoder.Decode(conn.Buffered())
		conn.Consume(n)
		if err != nil {
			return err
		}
		more := len(conn.Buffered()) > 0
		if done {
			// Given back before the client knows: its next request finds it.
			ex.releaseUpstream()
		}
		if len(data) > 0 || done {
			if err := emit(data, done, more); err != nil {
				return err
			}
		}
		if done {
			return nil
		}
		if more && n > 0 {
			continue
		}
		// What was collected goes out before the wait.
		if err := ex.conn.flush(); err != nil {
			return err
		}
		conn.ArmRead(time.Now(), t.readTimeout)
		if err := conn.Fill(); err != nil {
			if errors.Is(err, io.EOF) && ex.resp.Framing == http1.BodyUntilClose {
				return emit(nil, true, false)
			}
			return err
		}
	}
}

// addProxyHeaders adds the headers of an answer that an upstream gave, or
// should have given.
func (ex *exchange) addProxyHeaders(h *http1.Header) {
	c, x := ex.conn, ex.conn.x
	set := &c.engine.settings.Headers
	if set.UpstreamStatus && len(x.Attempts) > 0 {
		if s := x.Attempts[len(x.Attempts)-1].Status; s > 0 {
			h.ReplaceID(http1.HeaderXKongUpstreamStatus, ex.decimal(int64(s)))
		}
	}
	if set.UpstreamLatency || set.ProxyLatency {
		received := x.Times.FirstByte
		if received.IsZero() {
			received = time.Now()
		}
		sent := x.Times.AccessDone
		if sent.IsZero() {
			sent = received
		}
		if set.UpstreamLatency {
			h.ReplaceID(http1.HeaderXKongUpstreamLatency, ex.decimal(received.Sub(sent).Milliseconds()))
		}
		if set.ProxyLatency {
			h.ReplaceID(http1.HeaderXKongProxyLatency, ex.decimal(sent.Sub(x.Times.Start).Milliseconds()))
		}
	}
	if set.ViaToken {
		via := c.engine.via
		if old, ok := joined(h, &c.arena, http1.HeaderVia); ok {
			via = c.arena.Join(old, http1.View(", "), via)
		}
		h.ReplaceID(http1.HeaderVia, via)
	}
}
