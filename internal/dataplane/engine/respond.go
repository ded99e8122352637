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

// bufferedAnswerLimit bounds an answer that a response phase sees as a whole.
const bufferedAnswerLimit = 8 << 20

// passAnswer sends the upstream's answer to the client.
func (ex *exchange) passAnswer(t *target) {
	c, x := ex.conn, ex.conn.x
	x.Times.FirstByte = c.engine.now()
	ex.respDecoder.ResetResponse(&ex.resp, &c.engine.answerLimits)
	ex.answerHeader.list = &ex.resp.Header
	x.Answer.Status, x.Answer.Header, x.Answer.Source = ex.resp.Status, &ex.answerHeader, plugin.SourceUpstream
	if ex.resp.Status == 101 {
		ex.upgrade(t)
		return
	}
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
	c, x := ex.conn, ex.conn.x
	ex.filterHeader()
	ex.startAnswer(x.FiltersBody() && !ex.resp.Header.HasID(http1.HeaderContentLength))
	framing := ex.sentFraming
	err := ex.pump(t, func(data []byte, last bool) error {
		if x.FiltersBody() {
			filtered, fault := x.FilterBody(data, last)
			if fault != nil {
				c.engine.fault(fault, x)
			}
			data = filtered
		}
		return ex.sendBody(framing, data, last)
	})
	ex.finishAnswer(err)
}

// passWhole reads the answer's body before anything is sent.
func (ex *exchange) passWhole(t *target, limit int64) {
	c, x := ex.conn, ex.conn.x
	ex.whole = ex.whole[:0]
	err := ex.pump(t, func(data []byte, _ bool) error {
		if int64(len(ex.whole)+len(data)) > limit {
			return errAnswerTooLarge
		}
		ex.whole = append(ex.whole, data...)
		return nil
	})
	if err != nil {
		ex.dropUpstream()
		ex.answerProxyError(502, errorpage.Message(502))
		return
	}
	x.Answer.Body = ex.whole
	if fault := x.ResponsePhase(); fault != nil {
		c.engine.fault(fault, x)
		ex.releaseUpstream()
		ex.answerError(500, errorpage.Message(500))
		return
	}
	ex.filterHeader()
	body, fault := x.FilterBody(x.Answer.Body, true)
	if fault != nil {
		c.engine.fault(fault, x)
		body = x.Answer.Body
	}
	if mayHaveBody(x.Answer.Status) && ex.resp.Framing != http1.BodyNone {
		ex.resp.Framing, ex.resp.ContentLength = http1.BodyLength, int64(len(body))
	}
	ex.startAnswer(false)
	ex.finishAnswer(ex.sendBody(ex.sentFraming, body, true))
}

var errAnswerTooLarge = errors.New("engine: the upstream's answer is larger than a plugin can take")

func (ex *exchange) filterHeader() {
	if fault := ex.conn.x.FilterHeader(); fault != nil {
		ex.conn.engine.fault(fault, ex.conn.x)
	}
}

// startAnswer appends the answer's head to the output. rechunk says that a
// body filter may change the length that the upstream announced.
func (ex *exchange) startAnswer(rechunk bool) {
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
		h.AddID(http1.HeaderDate, c.engine.date())
	}
	head := http1.ResponseHead{Status: x.Answer.Status, Header: h, Framing: ex.resp.Framing, ContentLength: ex.resp.ContentLength}
	if x.Answer.Status == ex.resp.Status {
		head.Reason = ex.resp.Reason
	}
	chunked := ex.resp.Framing == http1.BodyChunked || ex.resp.Framing == http1.BodyUntilClose || rechunk && ex.resp.Framing == http1.BodyLength
	if chunked {
		head.Framing = http1.BodyChunked
		if c.req.Minor == 0 {
			head.Framing = http1.BodyUntilClose
			c.keep = false
		}
	}
	ex.sentFraming = head.Framing
	ex.writeHead(&head)
}

// sendBody appends a piece of the body in the framing of the answer and
// writes everything out.
func (ex *exchange) sendBody(framing http1.Framing, data []byte, last bool) error {
	c := ex.conn
	if framing == http1.BodyNone {
		return c.flush()
	}
	if framing == http1.BodyChunked {
		c.out = http1.AppendChunk(c.out, data)
		if last {
			c.out = http1.AppendLastChunk(c.out, ex.respDecoder.Trailers())
		}
	} else {
		c.out = append(c.out, data...)
	}
	return c.flush()
}

// finishAnswer gives the upstream connection back, or ends both connections
// when the answer could not be completed.
func (ex *exchange) finishAnswer(err error) {
	c := ex.conn
	if err == nil {
		ex.releaseUpstream()
		return
	}
	// What was sent cannot be taken back: only closing tells the client that
	// the answer is incomplete.
	c.keep = false
	ex.broken = true
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

// pump reads the answer's body and hands it on; the last call has last set.
func (ex *exchange) pump(t *target, emit func(data []byte, last bool) error) error {
	conn := ex.upConn
	for {
		data, n, done, err := ex.respDecoder.Decode(conn.Buffered())
		conn.Consume(n)
		if err != nil {
			return err
		}
		if len(data) > 0 || done {
			if err := emit(data, done); err != nil {
				return err
			}
		}
		if done {
			return nil
		}
		if len(conn.Buffered()) > 0 && n > 0 {
			continue
		}
		_ = conn.SetReadDeadline(time.Now().Add(t.readTimeout))
		if err := conn.Fill(); err != nil {
			if errors.Is(err, io.EOF) && ex.resp.Framing == http1.BodyUntilClose {
				return emit(nil, true)
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
	if set.LatencyTokens {
		received := x.Times.FirstByte
		if received.IsZero() {
			received = c.engine.now()
		}
		sent := x.Times.AccessDone
		if sent.IsZero() {
			sent = received
		}
		h.ReplaceID(http1.HeaderXKongUpstreamLatency, ex.decimal(received.Sub(sent).Milliseconds()))
		h.ReplaceID(http1.HeaderXKongProxyLatency, ex.decimal(sent.Sub(x.Times.Start).Milliseconds()))
	}
	if set.ViaToken {
		via := c.engine.via
		if old, ok := joined(h, &c.arena, http1.HeaderVia); ok {
			via = c.arena.Join(old, http1.View(", "), via)
		}
		h.ReplaceID(http1.HeaderVia, via)
	}
}
