// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/dataplane/errorpage"
	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// proxy sends the request upstream, trying again where Kong does, and passes
// the answer on.
func (ex *exchange) proxy() {
	c, x := ex.conn, ex.conn.x
	if x.UpstreamRequest.Proxy != nil {
		ex.answerError(500, errorpage.Message(500))
		return
	}
	if !ex.readDone && !x.BodyReplaced && ex.buffersRequest() {
		if err := ex.readBody(int64(c.engine.settings.ClientBodyBufferSize), false); err != nil {
			ex.refuseBody(err)
			return
		}
	}
	x.Times.AccessDone = c.engine.now()
	t := ex.target()
	for left := t.retries; ; left-- {
		peer, err := t.pick(ex)
		if err != nil {
			ex.answerPickError(err)
			return
		}
		ex.asked = append(ex.asked, peer)
		began := c.engine.now()
		result := ex.try(t, peer)
		if result.err == nil {
			t.balancer.ReportStatus(peer, ex.resp.Status)
			ex.passAnswer(t)
			t.balancer.Done(peer, c.engine.now().Sub(began))
			return
		}
		t.balancer.Done(peer, 0)
		if result.client {
			// The client is gone or broke its own request.
			ex.refuseBody(result.err)
			return
		}
		if result.stale && result.retry {
			// A kept-alive connection had been closed in the meantime: that says
			// nothing about the peer, and nginx does not count it as a try.
			ex.asked = ex.asked[:len(ex.asked)-1]
			left++
			continue
		}
		if left <= 0 || !result.retry {
			t.balancer.ReportStatus(peer, result.status())
			ex.answerProxyError(result.status(), errorpage.Message(result.status()))
			return
		}
		t.balancer.ReportFailure(peer, result.failure())
	}
}

// buffersRequest reports whether the body is read ahead of the connection.
func (ex *exchange) buffersRequest() bool { return ex.route == nil || ex.route.RequestBuffering }

// attempt is how one try ended.
type attempt struct {
	err     error
	timeout bool
	// retry says that another target may be asked.
	retry bool
	// stale says that a reused connection failed before any answer.
	stale bool
	// client says that the failure is the client's.
	client bool
}

func (a *attempt) status() int {
	if a.timeout {
		return 504
	}
	return 502
}

func (a *attempt) failure() balancer.Failure {
	if a.timeout {
		return balancer.FailureTimeout
	}
	return balancer.FailureTCP
}

// hashKey returns what consistent hashing hashes.
func (ex *exchange) hashKey(t *target) string {
	if t.upstream == nil || t.upstream.Algorithm != balancer.ConsistentHashing {
		return ""
	}
	if ex.hashed {
		return ex.hash
	}
	ex.hashed = true
	ex.hash, ex.hashCookie = balancer.HashKey(t.upstream, hashFacts{ex}, uuid.NewString)
	return ex.hash
}

// try sends the request to one peer and reads the head of its answer.
func (ex *exchange) try(t *target, p *balancer.Peer) (result attempt) {
	c, x := ex.conn, ex.conn.x
	ex.tried = true
	now := c.engine.now()
	x.Times.Sent = now
	x.Attempts = append(x.Attempts, plugin.Try{Address: p.Addr, Started: now, Latency: now.Sub(x.Times.AccessDone)})
	record := &x.Attempts[len(x.Attempts)-1]
	defer func() {
		if result.err != nil {
			record.Failure = "failed"
			if ex.upConn != nil {
				ex.dropUpstream()
			}
		}
	}()
	conn := t.pool(p).Reuse()
	if conn == nil {
		ctx, cancel := context.WithTimeout(x.Context(), t.connectTimeout)
		opened, err := t.pool(p).Open(ctx)
		cancel()
		if err != nil {
			return attempt{err: err, timeout: isTimeout(err), retry: true}
		}
		conn = opened
	}
	record.Reused = conn.Reused()
	conn.Buf = getUpstreamBuffer()
	ex.upConn = conn
	err := ex.send(t, p)
	if err == nil {
		err = ex.readAnswerHead(t)
	}
	if err == nil {
		record.Status = ex.resp.Status
		return attempt{}
	}
	if failed := ex.uploading.clientFailure(); failed != nil {
		return attempt{err: failed, client: true}
	}
	result = attempt{err: err, timeout: isTimeout(err)}
	result.stale = record.Reused && !result.timeout
	result.retry = ex.replayable()
	return result
}

// replayable reports whether the request may be sent again: all of it is still
// here, and its method may have been acted upon twice (nginx's
// proxy_next_upstream without non_idempotent).
func (ex *exchange) replayable() bool {
	if ex.uploading != nil {
		return false
	}
	switch ex.conn.req.MethodID {
	case http1.MethodPost, http1.MethodPatch:
		return false
	case http1.MethodOther:
		return ex.conn.x.UpstreamRequest.Method != "LOCK"
	}
	return true
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}

// send writes the request. What of the body was not read ahead is left to an
// upload.
func (ex *exchange) send(t *target, p *balancer.Peer) error {
	c, x := ex.conn, ex.conn.x
	framing, length := ex.upstreamFraming()
	if err := ex.appendHead(t, p, framing, length); err != nil {
		return err
	}
	first := x.RequestBody
	if !x.BodyReplaced {
		first = ex.stash
	}
	streaming := !x.BodyReplaced && !ex.readDone
	out := ex.headBytes
	switch {
	case len(first) == 0:
	case streaming && framing == http1.BodyChunked:
		out = http1.AppendChunk(out, first)
	case len(first) <= bodyBuffer:
		out = append(out, first...)
		first = nil
	}
	ex.headBytes = out
	conn := ex.upConn
	_ = conn.SetWriteDeadline(time.Now().Add(t.writeTimeout))
	if _, err := conn.Write(out); err != nil {
		return err
	}
	if len(first) > bodyBuffer && !(streaming && framing == http1.BodyChunked) {
		if _, err := conn.Write(first); err != nil {
			return err
		}
	}
	if !streaming {
		return nil
	}
	if err := ex.sendContinue(); err != nil {
		return err
	}
	ex.uploading = &upload{ex: ex, conn: conn, chunked: framing == http1.BodyChunked, timeout: t.writeTimeout, done: make(chan struct{})}
	c.engine.background.Add(1)
	go ex.uploading.run()
	return nil
}

// appendHead renders the request head as the upstream will see it
// (https://docs.konghq.com/gateway/latest/how-kong-works/routing-traffic/#proxying-behavior).
func (ex *exchange) appendHead(t *target, p *balancer.Peer, framing http1.Framing, length int64) (err error) {
	c, x := ex.conn, ex.conn.x
	h := &ex.head
	h.CopyFrom(&c.req.Header)
	ex.forwardedHeaders(h)
	head := http1.RequestHead{
		Method: http1.View(x.UpstreamRequest.Method), Path: http1.View(x.UpstreamRequest.Path),
		Query: http1.View(x.UpstreamRequest.Query), HasQuery: x.UpstreamRequest.HasQuery,
		Host: ex.upstreamHost(t, p), Header: h, Framing: framing, ContentLength: length,
		Connection: http1.ConnectionKeepAlive,
	}
	if c.req.WebSocket {
		head.Connection = http1.ConnectionUpgrade
	}
	ex.headBytes, err = http1.AppendRequestHead(ex.headBytes[:0], &head)
	return err
}

func (ex *exchange) upstreamHost(t *target, p *balancer.Peer) []byte {
	x := ex.conn.x
	switch {
	case x.UpstreamRequest.Authority != "":
		return http1.View(x.UpstreamRequest.Authority)
	case ex.route != nil && ex.route.PreserveHost && len(ex.conn.req.Host) > 0:
		return ex.conn.req.Host
	case t.hostHeader() != "":
		return http1.View(t.hostHeader())
	}
	return ex.authority(p.Host, int(p.Addr.Port()), t)
}

func (ex *exchange) forwardedHeaders(h *http1.Header) {
	c, x := ex.conn, ex.conn.x
	arena, client := &c.arena, &x.ClientFacts
	ip := arena.Copy(client.IP.AppendTo(ex.scratch()))
	forwarded := ip
	if old, ok := joined(h, arena, http1.HeaderXForwardedFor); ok {
		forwarded = arena.Join(old, http1.View(", "), client.Peer.Addr().AppendTo(ex.scratch()))
	}
	path, prefix := http1.View(x.RequestFacts.Path), http1.View(ex.match.ForwardedPrefix())
	if client.Trusted {
		if v, ok := h.GetID(http1.HeaderXForwardedPath); ok && len(v) > 0 {
			path = v
		}
		if v, ok := h.GetID(http1.HeaderXForwardedPrefix); ok && len(v) > 0 {
			prefix = v
		}
	}
	h.ReplaceID(http1.HeaderXRealIP, ip)
	h.ReplaceID(http1.HeaderXForwardedFor, forwarded)
	h.ReplaceID(http1.HeaderXForwardedProto, http1.View(client.ForwardedScheme))
	h.ReplaceID(http1.HeaderXForwardedHost, http1.View(client.ForwardedHost))
	h.ReplaceID(http1.HeaderXForwardedPort, ex.decimal(int64(client.ForwardedPort)))
	h.ReplaceID(http1.HeaderXForwardedPath, path)
	if len(prefix) > 0 {
		h.ReplaceID(http1.HeaderXForwardedPrefix, prefix)
	} else {
		h.ClearID(http1.HeaderXForwardedPrefix)
	}
	via := c.engine.via
	if old, ok := joined(h, arena, http1.HeaderVia); ok {
		via = arena.Join(old, http1.View(", "), via)
	}
	h.ReplaceID(http1.HeaderVia, via)
	if c.engine.settings.HeadersUpstream.RequestID {
		h.ReplaceID(http1.HeaderXKongRequestId, ex.id[:])
	}
}

// joined returns all lines of a header as one list.
func joined(h *http1.Header, arena *http1.Arena, id http1.HeaderID) ([]byte, bool) {
	var lines [8][]byte
	values := h.AppendValuesID(lines[:0], id)
	if len(values) == 0 {
		return nil, false
	}
	all := values[0]
	for _, v := range values[1:] {
		all = arena.Join(all, http1.View(", "), v)
	}
	return all, true
}

// scratch returns a short-lived buffer for rendering an address.
func (ex *exchange) scratch() []byte { return ex.conn.arena.Alloc(64)[:0] }

// readAnswerHead reads the head of the final answer, passing interim ones by.
func (ex *exchange) readAnswerHead(t *target) error {
	conn := ex.upConn
	method := http1.LookupMethod(http1.View(ex.conn.x.UpstreamRequest.Method))
	ex.resp.Reset()
	for {
		n, err := http1.ParseResponse(conn.Buffered(), &ex.conn.engine.answerLimits, method, &ex.resp)
		switch {
		case err == nil && ex.resp.Interim():
			conn.Consume(n)
			ex.resp.Reset()
			continue
		case err == nil:
			conn.Consume(n)
			return nil
		case !errors.Is(err, http1.ErrNeedMore):
			return err
		}
		_ = conn.SetReadDeadline(time.Now().Add(t.readTimeout))
		if err := conn.Fill(); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			// A failed upload is the reason, not the read that it ended.
			if cause := ex.uploading.upstreamFailure(); cause != nil {
				return cause
			}
			return err
		}
	}
}

func (ex *exchange) dropUpstream() {
	buf := ex.upConn.Buf
	ex.upConn.Buf = nil
	_ = ex.upConn.Close()
	putUpstreamBuffer(buf)
	ex.upConn = nil
}

func (ex *exchange) keepUpstream() {
	buf := ex.upConn.Buf
	ex.upConn.Buf = nil
	ex.upConn.Put()
	putUpstreamBuffer(buf)
	ex.upConn = nil
}

// answerPickError answers when no peer could be chosen.
func (ex *exchange) answerPickError(err error) {
	switch {
	case errors.Is(err, errNameResolution):
		ex.answerError(503, "name resolution failed")
	case errors.Is(err, balancer.ErrNoPeer):
		ex.answerError(503, "failure to get a peer from the ring-balancer")
	default:
		ex.answerError(500, errorpage.Message(500))
	}
}

// authority renders a peer as a Host header: the port is left out where it is
// the scheme's own.
func (ex *exchange) authority(host string, port int, t *target) []byte {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if t.scheme == "http" && port == 80 || t.scheme == "https" && port == 443 {
		return http1.View(host)
	}
	return ex.conn.arena.Join(http1.View(host), http1.View(":"), ex.decimal(int64(port)))
}

// hostOnly strips the port of a Host header.
func hostOnly(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return hostport
}
