// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"strconv"
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
	errBodyFilter     = errors.New("engine: a body filter failed")
)

// passAnswer sends the upstream's answer to the client.
func (ex *exchange) passAnswer(t *target) {
	x := ex.x
	ex.clock = ex.up.heard()
	x.Times.FirstByte = ex.now()
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
		ex.passWhole(need)
	} else {
		ex.passStream()
	}
}

// passStream sends the answer piece by piece as it comes.
func (ex *exchange) passStream() {
	ex.filterHeader()
	ex.startAnswer()
	ex.finishAnswer(ex.pump(ex.emitStream))
}

// streamPiece filters and sends one piece of the answer.
func (ex *exchange) streamPiece(data []byte, last, more bool) error {
	x := ex.x
	if last {
		ex.noteTrailers()
	}
	if ex.filtering {
		filtered, fault := x.FilterBody(data, last)
		if fault != nil {
			// What is missing from it must not look complete.
			ex.engine.fault(fault, x)
			return errBodyFilter
		}
		data = filtered
	}
	return ex.sendBody(data, last, more)
}

// noteTrailers shows the trailers to body filters.
func (ex *exchange) noteTrailers() {
	if t := ex.up.trailers(); t.Len() > 0 {
		ex.x.Answer.Trailer = &headerView{list: t, arena: &ex.arena}
	}
}

// passWhole reads the answer's body before anything is sent.
func (ex *exchange) passWhole(limit int64) {
	x := ex.x
	ex.whole, ex.wholeLimit = ex.whole[:0], limit
	if err := ex.pump(ex.emitWhole); err != nil {
		ex.dropUpstream()
		if ex.over() {
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
	fault := x.ResponsePhase()
	ex.clock = time.Time{} // the phase may have waited
	if fault != nil {
		ex.engine.fault(fault, x)
		ex.answerError(500, errorpage.Message(500))
		return
	}
	ex.filterHeader()
	body := x.Answer.Body
	if ex.filtering {
		filtered, fault := x.FilterBody(body, true)
		if fault != nil {
			ex.engine.fault(fault, x)
			ex.answerError(500, errorpage.Message(500))
			return
		}
		body = filtered
	}
	if ex.resp.Framing == http1.BodyLength || ex.owesBody() || ex.resp.Framing != http1.BodyNone && (x.Buffered() || ex.req.Minor == 0) {
		ex.resp.Framing, ex.resp.ContentLength = http1.BodyLength, int64(len(body))
		if ex.resp.Header.HasID(http1.HeaderContentLength) {
			ex.resp.Header.SetID(http1.HeaderContentLength, ex.decimal(int64(len(body))))
		}
	}
	if ex.req.Minor == 0 {
		// HTTP/1.0 knows no chunks, and the length is known.
		ex.filtering = false
	}
	ex.startAnswer()
	if err := ex.sendBody(body, true, false); err != nil {
		ex.breakOff()
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
	ex.engine.fault(ex.x.FilterHeader(), ex.x)
}

// startAnswer appends the answer's head to the output.
func (ex *exchange) startAnswer() {
	x := ex.x
	h := &ex.resp.Header
	ex.addProxyHeaders(h)
	ex.addHashCookie(h)
	set := &ex.engine.settings.Headers
	if set.RequestID {
		h.ReplaceID(http1.HeaderXKongRequestId, ex.id[:])
	}
	if set.ServerToken && !h.HasID(http1.HeaderServer) {
		h.AddID(http1.HeaderServer, http1.View(ex.engine.options.Product))
	}
	ex.addDebugHeaders(h)
	if !h.HasID(http1.HeaderDate) {
		h.AddID(http1.HeaderDate, ex.engine.dates.at(x.Times.FirstByte))
		ex.ownDate = true
	}
	ex.settleStatus()
	head := &ex.sentAnswer
	*head = http1.ResponseHead{Status: x.Answer.Status, Header: h}
	if x.Answer.Status == ex.resp.Status {
		head.Reason = ex.resp.Reason
	}
	ex.frameAnswer(head)
	ex.sendHead(head)
}

// owesBody reports whether the client waits for a body although the upstream's
// answer could have none: because of its status, which a filter changed, or of
// the method that a plugin asked with.
func (ex *exchange) owesBody() bool {
	return ex.resp.Framing == http1.BodyNone && ex.req.MethodID != http1.MethodHead && mayHaveBody(ex.x.Answer.Status)
}

// frameAnswer decides how the end of the answer is found.
func (ex *exchange) frameAnswer(head *http1.ResponseHead) {
	head.Framing, head.ContentLength = ex.resp.Framing, ex.resp.ContentLength
	announced, ok := ex.announcedLength()
	if ok {
		head.ContentLength = announced
		if head.Framing != http1.BodyNone {
			head.Framing = http1.BodyLength
		}
	}
	// A filter that changes the length says so by deleting Content-Length.
	resized := ex.filtering && !ok
	switch {
	case !mayHaveBody(head.Status):
		head.Framing, head.ContentLength = http1.BodyNone, -1
		if head.Status == 304 && ex.resp.Status == 304 {
			head.ContentLength = announced
		}
	case ex.req.MethodID == http1.MethodHead:
		head.Framing = http1.BodyNone
		if resized {
			head.ContentLength = -1
		}
	case head.Framing == http1.BodyNone:
		head.Framing, head.ContentLength = http1.BodyLength, 0
	case head.Framing == http1.BodyLength && !resized:
	default:
		head.Framing = http1.BodyChunked
	}
	ex.sentFraming, ex.sentLeft = head.Framing, head.ContentLength
}

// announcedLength returns the Content-Length that the answer has after the
// header filters, -1 and false without one that can be read.
func (ex *exchange) announcedLength() (int64, bool) {
	value, ok := ex.resp.Header.GetID(http1.HeaderContentLength)
	if !ok {
		return -1, false
	}
	n, err := strconv.ParseInt(view(value), 10, 64)
	if err != nil || n < 0 {
		return -1, false
	}
	return n, true
}

// sendBody sends a piece of the body. With more set, another piece follows
// without a wait.
func (ex *exchange) sendBody(data []byte, last, more bool) error {
	switch ex.sentFraming {
	case http1.BodyNone:
		data = nil
	case http1.BodyLength:
		data = data[:min(int64(len(data)), ex.sentLeft)]
		ex.sentLeft -= int64(len(data))
		if last && ex.sentLeft > 0 {
			_ = ex.down.sendBody(data, false, false, nil)
			return errAnswerLength
		}
	}
	if !last {
		return ex.down.sendBody(data, false, more, nil)
	}
	return ex.down.sendBody(data, true, false, ex.up.trailers())
}

// finishAnswer ends both connections when the answer could not be completed.
func (ex *exchange) finishAnswer(err error) {
	if err == nil {
		ex.dropUpstream()
		return
	}
	// What was sent cannot be taken back: only closing tells the client that
	// the answer is incomplete.
	_ = ex.down.flush()
	ex.breakOff()
	ex.dropUpstream()
}

// releaseUpstream ends the upstream stream, whose answer was read to its end.
func (ex *exchange) releaseUpstream() {
	if ex.uploading.stop() {
		ex.keepUpstream()
		return
	}
	ex.dropUpstream()
}

// pump reads the answer's body and hands it on; the last call has last set,
// and more says that the next call follows without a wait.
func (ex *exchange) pump(emit func(data []byte, last, more bool) error) error {
	for {
		if !ex.up.ready() {
			// What was collected goes out before the wait.
			if err := ex.down.flush(); err != nil {
				return err
			}
			ex.clock = time.Time{}
		}
		data, last, err := ex.up.readBody()
		if err != nil {
			return err
		}
		ex.clock = ex.up.heard()
		if last {
			// Given back before the client knows: its next request finds it.
			ex.releaseUpstream()
			return emit(data, true, false)
		}
		if len(data) > 0 {
			if err := emit(data, false, ex.up.ready()); err != nil {
				return err
			}
		}
	}
}

// addProxyHeaders adds the headers of an answer that an upstream gave, or
// should have given.
func (ex *exchange) addProxyHeaders(h *http1.Header) {
	x := ex.x
	set := &ex.engine.settings.Headers
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
		via := ex.engine.via
		if ex.up == &ex.overHTTP2 {
			via = ex.engine.viaHTTP2
		}
		if old, ok := joined(h, &ex.arena, http1.HeaderVia); ok {
			via = ex.arena.Join(old, http1.View(", "), via)
		}
		h.ReplaceID(http1.HeaderVia, via)
	}
}
