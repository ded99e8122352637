// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"strconv"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/errorpage"
	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// answerError answers with Kong's error template for a message of the router
// or the runloop.
func (ex *exchange) answerError(status int, message string) {
	ex.answerTemplate(status, message, errorpage.Negotiate(ex.accept()), plugin.SourceError)
}

// answerProxyError answers with the template for errors below the plugins.
func (ex *exchange) answerProxyError(status int, message string) {
	contentType, _ := ex.req.Header.GetID(http1.HeaderContentType)
	t := errorpage.NegotiateProxy(ex.accept(), view(contentType), ex.engine.settings.ErrorDefaultType)
	ex.answerTemplate(status, message, t, plugin.SourceError)
}

// accept returns the Accept lines of the request as one list.
func (ex *exchange) accept() string {
	list, _ := joined(&ex.req.Header, &ex.arena, http1.HeaderAccept)
	return view(list)
}

func (ex *exchange) answerTemplate(status int, message string, t errorpage.Type, source plugin.Source) {
	if ex.isGRPC() {
		ex.answerGRPC(status, message, source)
		return
	}
	ex.whole = ex.engine.settings.ErrorTemplates.Append(ex.whole[:0], t, message, view(ex.id[:]))
	ex.local.SetID(http1.HeaderContentType, http1.View(t.ContentType()))
	ex.answer(status, ex.whole, source)
}

// answerExit sends the answer that a plugin gave through Exit.
func (ex *exchange) answerExit() {
	reply := ex.x.Reply()
	for _, f := range reply.Header {
		ex.local.Add(view(ex.arena.CopyString(f.Name)), ex.arena.CopyString(f.Value))
	}
	source := plugin.SourceExit
	if reply.Proxied {
		source = plugin.SourceUpstream
	}
	if reply.Body == nil && reply.Message != "" {
		ex.answerTemplate(reply.Status, reply.Message, errorpage.Negotiate(ex.accept()), source)
		return
	}
	ex.answer(reply.Status, reply.Body, source)
}

// answer sends an answer made here, after the response phases of the plugins.
func (ex *exchange) answer(status int, body []byte, source plugin.Source) {
	x := ex.x
	ex.answerHeader.list = &ex.local
	x.Answer.Status, x.Answer.Header, x.Answer.Source = status, &ex.answerHeader, source
	ex.local.SetID(http1.HeaderContentLength, ex.decimal(int64(len(body))))
	ex.filterHeader()
	if x.FiltersBody() {
		filtered, fault := x.FilterBody(body, true)
		ex.engine.fault(fault, x)
		body = filtered
	}
	// A filter that changes the length says so by deleting Content-Length.
	chunked := x.FiltersBody() && !ex.local.HasID(http1.HeaderContentLength) && ex.req.Minor > 0
	ex.addLocalHeaders(source)
	ex.settleStatus()
	head := &ex.sentAnswer
	*head = http1.ResponseHead{Status: x.Answer.Status, Header: &ex.local, Framing: http1.BodyLength, ContentLength: int64(len(body))}
	if chunked && mayHaveBody(head.Status) {
		head.Framing, head.ContentLength = http1.BodyChunked, -1
	}
	if ex.req.MethodID == http1.MethodHead || !mayHaveBody(head.Status) {
		head.Framing, body = http1.BodyNone, nil
	}
	ex.sendHead(head)
	if err := ex.down.sendBody(body, true, false, nil); err != nil {
		ex.breakOff()
	}
}

// addLocalHeaders adds the headers that Kong puts on answers of its own, or
// on errors of an upstream that was to be asked.
func (ex *exchange) addLocalHeaders(source plugin.Source) {
	x := ex.x
	now := time.Now()
	set := &ex.engine.settings.Headers
	h := &ex.local
	if ex.tried || source == plugin.SourceUpstream {
		ex.addProxyHeaders(h)
	} else if set.ResponseLatency {
		h.SetID(http1.HeaderXKongResponseLatency, ex.decimal(now.Sub(x.Times.Start).Milliseconds()))
	}
	if set.ServerToken {
		h.SetID(http1.HeaderServer, http1.View(ex.engine.options.Product))
	}
	if set.RequestID {
		h.SetID(http1.HeaderXKongRequestId, ex.id[:])
	}
	ex.addDebugHeaders(h)
	h.SetID(http1.HeaderDate, ex.engine.dates.at(now))
	ex.ownDate = true
}

func (ex *exchange) decimal(n int64) []byte {
	var digits [20]byte
	return ex.arena.Copy(strconv.AppendInt(digits[:0], max(n, 0), 10))
}

// sendHead sends the head of an answer, or has it wait for the body.
func (ex *exchange) sendHead(head *http1.ResponseHead) {
	ex.down.sendHead(head, ex.bodyDone())
	if ex.x.Logs() {
		ex.noteSent(head)
	}
}

// settleStatus replaces a status that no final answer can have.
func (ex *exchange) settleStatus() {
	if s := &ex.x.Answer.Status; *s < 200 || *s > 999 {
		*s = 500
	}
}

// noteSent makes the header that log plugins see what the client got: the
// fields of connection and framing are written apart from the list.
func (ex *exchange) noteSent(head *http1.ResponseHead) {
	h := head.Header
	if ex.ownDate {
		// Kong's logs show a Date only where the upstream sent it.
		h.DelID(http1.HeaderDate)
	}
	switch head.Connection {
	case http1.ConnectionClose:
		h.SetID(http1.HeaderConnection, http1.View("close"))
	case http1.ConnectionUpgrade:
		h.SetID(http1.HeaderConnection, http1.View("upgrade"))
	case http1.ConnectionCloseUpgrade:
		h.SetID(http1.HeaderConnection, http1.View("close, upgrade"))
	default:
		h.SetID(http1.HeaderConnection, http1.View("keep-alive"))
	}
	h.DelID(http1.HeaderContentLength)
	h.DelID(http1.HeaderTransferEncoding)
	switch {
	case head.Status < 200 || head.Status == 204:
	case head.Framing == http1.BodyChunked:
		h.AddID(http1.HeaderTransferEncoding, http1.View("chunked"))
	case head.Framing != http1.BodyUntilClose && head.ContentLength >= 0:
		h.AddID(http1.HeaderContentLength, ex.decimal(head.ContentLength))
	}
}

func mayHaveBody(status int) bool { return status >= 200 && status != 204 && status != 304 }
