// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"strconv"

	"github.com/kong/kong-istio-gateway/internal/dataplane/errorpage"
	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// answerError answers with Kong's error template for a message of the router
// or the runloop.
func (ex *exchange) answerError(status int, message string) {
	accept, _ := ex.conn.req.Header.GetID(http1.HeaderAccept)
	ex.answerTemplate(status, message, errorpage.Negotiate(view(accept)), plugin.SourceError)
}

// answerProxyError answers with the template for errors below the plugins.
func (ex *exchange) answerProxyError(status int, message string) {
	accept, _ := ex.conn.req.Header.GetID(http1.HeaderAccept)
	contentType, _ := ex.conn.req.Header.GetID(http1.HeaderContentType)
	t := errorpage.NegotiateProxy(view(accept), view(contentType), ex.conn.engine.settings.ErrorDefaultType)
	ex.answerTemplate(status, message, t, plugin.SourceError)
}

func (ex *exchange) answerTemplate(status int, message string, t errorpage.Type, source plugin.Source) {
	ex.whole = t.Append(ex.whole[:0], message, view(ex.id[:]))
	ex.local.SetID(http1.HeaderContentType, http1.View(t.ContentType()))
	ex.answer(status, ex.whole, source)
}

// answerExit sends the answer that a plugin gave through Exit.
func (ex *exchange) answerExit() {
	reply := ex.conn.x.Reply()
	for _, f := range reply.Header {
		ex.local.Add(view(ex.conn.arena.CopyString(f.Name)), ex.conn.arena.CopyString(f.Value))
	}
	source := plugin.SourceExit
	if reply.Proxied {
		source = plugin.SourceUpstream
	}
	if reply.Body == nil && reply.Message != "" {
		accept, _ := ex.conn.req.Header.GetID(http1.HeaderAccept)
		ex.answerTemplate(reply.Status, reply.Message, errorpage.Negotiate(view(accept)), source)
		return
	}
	ex.answer(reply.Status, reply.Body, source)
}

// answer sends an answer made here, after the response phases of the plugins.
func (ex *exchange) answer(status int, body []byte, source plugin.Source) {
	c, x := ex.conn, ex.conn.x
	ex.answerHeader.list = &ex.local
	x.Answer.Status, x.Answer.Header, x.Answer.Source = status, &ex.answerHeader, source
	if fault := x.FilterHeader(); fault != nil {
		c.engine.fault(fault, x)
	}
	if x.FiltersBody() {
		filtered, fault := x.FilterBody(body, true)
		if fault != nil {
			c.engine.fault(fault, x)
		} else {
			body = filtered
		}
	}
	ex.addLocalHeaders(source)
	ex.writeHead(&http1.ResponseHead{
		Status: x.Answer.Status, Header: &ex.local, Framing: http1.BodyLength, ContentLength: int64(len(body)),
	})
	if c.req.MethodID != http1.MethodHead && mayHaveBody(x.Answer.Status) {
		c.out = append(c.out, body...)
	}
	if err := c.flush(); err != nil {
		c.keep = false
	}
}

// addLocalHeaders adds the headers that Kong puts on answers of its own, or
// on errors of an upstream that was tried.
func (ex *exchange) addLocalHeaders(source plugin.Source) {
	c, x := ex.conn, ex.conn.x
	set := &c.engine.settings.Headers
	h := &ex.local
	if ex.tried || source == plugin.SourceUpstream {
		ex.addProxyHeaders(h)
	} else if set.LatencyTokens {
		now := c.engine.now()
		h.SetID(http1.HeaderXKongResponseLatency, ex.decimal(now.Sub(x.Times.Start).Milliseconds()))
	}
	if set.ServerToken {
		h.SetID(http1.HeaderServer, http1.View(c.engine.options.Product))
	}
	if set.RequestID {
		h.SetID(http1.HeaderXKongRequestId, ex.id[:])
	}
	h.SetID(http1.HeaderDate, c.engine.date())
}

func (ex *exchange) decimal(n int64) []byte {
	var digits [20]byte
	return ex.conn.arena.Copy(strconv.AppendInt(digits[:0], max(n, 0), 10))
}

// writeHead appends a response head with the connection's state to out.
func (ex *exchange) writeHead(head *http1.ResponseHead) {
	c := ex.conn
	head.Connection = http1.ConnectionKeepAlive
	if !c.keep || !ex.bodyDone() {
		head.Connection = http1.ConnectionClose
		c.keep = false
	}
	out, err := http1.AppendResponseHead(c.out, head)
	if err != nil {
		// A plugin chose a status that HTTP does not have.
		head.Status = 500
		out, _ = http1.AppendResponseHead(c.out, head)
	}
	c.out = out
	ex.sent = true
}

func mayHaveBody(status int) bool { return status >= 200 && status != 204 && status != 304 }
