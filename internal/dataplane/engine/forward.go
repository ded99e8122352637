// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/dataplane/errorpage"
	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/internal/dataplane/upstream"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// proxy sends the request upstream, trying again where Kong does, and passes
// the answer on.
func (ex *exchange) proxy() {
	x := ex.x
	if x.UpstreamRequest.Proxy != nil {
		ex.answerError(500, errorpage.Message(500))
		return
	}
	now := time.Now()
	x.Times.AccessDone = now
	t := ex.target()
	peer, err := t.pick(ex)
	if err != nil {
		ex.answerPickError(err)
		return
	}
	ex.tried = true
	if err := ex.readAhead(t); err != nil {
		t.balancer.Done(peer, 0)
		ex.refuseBody(err)
		return
	}
	for left := t.retries; ; left-- {
		ex.asked = append(ex.asked, peer)
		result := ex.try(t, peer, now)
		if result.err == nil {
			t.balancer.ReportStatus(peer, ex.resp.Status)
			ex.passAnswer(t)
			t.balancer.Done(peer, time.Since(now))
			return
		}
		t.balancer.Done(peer, 0)
		stale := result.stale && result.retry
		switch {
		case ex.over():
			ex.abandon()
			return
		case result.client:
			// The client broke its own request, or stopped sending.
			ex.refuseBody(result.err)
			return
		case ex.cancelled():
			ex.passCancel()
			return
		case stale:
			// A kept-alive connection had been closed in the meantime: that says
			// nothing about the peer, and nginx does not count it as a try.
			ex.asked = ex.asked[:len(ex.asked)-1]
			left++
		case left <= 0 || !result.retry:
			t.balancer.ReportStatus(peer, result.status())
			ex.answerProxyError(result.status(), errorpage.Message(result.status()))
			return
		default:
			t.balancer.ReportFailure(peer, result.failure())
		}
		if peer, err = t.pick(ex); err != nil {
			ex.answerPickError(err)
			return
		}
		now = time.Now()
	}
}

// readAhead reads what of the body must be known before an upstream connection
// is opened. Without request_buffering, and towards gRPC services, that is what
// arrived with the head.
func (ex *exchange) readAhead(t *target) error {
	if ex.readDone || ex.x.BodyReplaced {
		return nil
	}
	var err error
	if !overHTTP2(t.scheme) && (ex.route == nil || ex.route.RequestBuffering) {
		err = ex.readBody(int64(ex.engine.settings.ClientBodyBufferSize), false)
	} else {
		err = ex.takeArrived()
	}
	ex.awaitDeparture()
	return err
}

// attempt is how one try ended.
type attempt struct {
	err     error
	timeout bool
	// retry says that another target may be asked.
	retry bool
	// stale says that a reused connection ended before any answer.
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

// hashKey returns what consistent hashing hashes, or the client's cookie for
// sticky sessions.
func (ex *exchange) hashKey(t *target) string {
	if t.sticky() {
		return hashFacts{ex}.Cookie(t.upstream.StickySessionsCookie)
	}
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
func (ex *exchange) try(t *target, p *balancer.Peer, now time.Time) attempt {
	x := ex.x
	x.Times.Sent = now
	x.Attempts = append(x.Attempts, plugin.Try{Address: p.Addr, Started: now, Latency: now.Sub(x.Times.AccessDone)})
	record := &x.Attempts[len(x.Attempts)-1]
	host := ex.upstreamHost(t, p)
	now, err := ex.connect(t, t.pool(p, host, x.UpstreamRequest.SNI), now)
	if err != nil {
		failed := attempt{err: err, timeout: isTimeout(err), retry: true}
		record.Failure, record.Status = "failed", failed.status()
		return failed
	}
	record.Reused = ex.up.reused()
	if err = ex.send(host, now); err == nil {
		err = ex.readAnswerHead(now)
	}
	if err == nil {
		record.Status = ex.resp.Status
		return attempt{}
	}
	failed := ex.failedTry(err, record.Reused)
	record.Failure = "failed"
	if !failed.client && !ex.over() {
		record.Status = failed.status()
	}
	ex.dropUpstream()
	return failed
}

// connect takes an idle connection or opens one, and returns the time.
func (ex *exchange) connect(t *target, pool *upstream.Pool, now time.Time) (time.Time, error) {
	if overHTTP2(t.scheme) {
		return ex.connectHTTP2(t, pool, now)
	}
	conn := pool.Reuse(now)
	if conn == nil {
		ctx, cancel := context.WithTimeout(ex.life.Context(), t.connectTimeout)
		opened, err := pool.Open(ctx)
		cancel()
		if err != nil {
			return now, err
		}
		conn, now = opened, time.Now()
	}
	ex.http1.use(conn, &ex.engine.answerLimits, t)
	return now, ex.useUpstream(&ex.http1)
}

// useUpstream makes up the stream of the try under way.
func (ex *exchange) useUpstream(up upstreamStream) error {
	ex.up, ex.upOpen = up, true
	ex.handle.up.Store(up.aborter())
	if ex.over() {
		// Who ended the exchange may have looked before the stream was there.
		ex.dropUpstream()
		return context.Canceled
	}
	return nil
}

// failedTry tells what may follow an error after the connection was made.
func (ex *exchange) failedTry(err error, reused bool) attempt {
	if failed := ex.uploading.clientFailure(); failed != nil {
		return attempt{err: failed, client: true}
	}
	if cause := ex.uploading.upstreamFailure(); isTimeout(cause) {
		// The upstream took no more of the body; the read only found out.
		err = cause
	}
	result := attempt{err: err, timeout: isTimeout(err)}
	var broken *http1.Error
	switch {
	case errors.As(err, &broken) || errors.Is(err, upstream.ErrFull):
		// The upstream has answered, only not in HTTP: nginx's invalid_header,
		// which is not among the reasons to ask another one.
		return result
	case errors.Is(err, http1.ErrInvalidMethod) || errors.Is(err, http1.ErrInvalidTarget):
		// A plugin made a request that cannot be written.
		return result
	}
	result.stale = reused && !result.timeout && !ex.up.received()
	result.retry = ex.replayable() || ex.refusedUnseen()
	if ex.refusedUnseen() && ex.refusals < openTries {
		// The peer is well and said that it did nothing: it ends its connection,
		// or has too many streams (RFC 9113 §8.7).
		ex.refusals++
		result.stale = true
	}
	return result
}

// replayable reports whether the request may be sent again: all of it is still
// here, and nobody can have acted upon it, or its method may be acted upon twice
// (nginx's proxy_next_upstream without non_idempotent).
func (ex *exchange) replayable() bool {
	if ex.uploading != nil {
		return false
	}
	if ex.up.untouched() {
		return true
	}
	switch ex.x.UpstreamRequest.Method {
	case http.MethodPost, "LOCK", http.MethodPatch:
		return false
	}
	return true
}

// send sends the request. What of the body was not read ahead is left to an
// upload.
func (ex *exchange) send(host []byte, now time.Time) error {
	x := ex.x
	framing, length := ex.upstreamFraming()
	first := x.RequestBody
	if !x.BodyReplaced {
		first = ex.stash
	}
	streaming := !x.BodyReplaced && !ex.readDone
	trailing := ex.trailing()
	if err := ex.sendRequestHead(host, framing, length, first, streaming || trailing, now); err != nil {
		return err
	}
	switch {
	case trailing:
		return ex.up.sendBody(nil, true, ex.down.requestTrailers())
	case !streaming:
		return nil
	}
	if err := ex.down.sendContinue(); err != nil {
		return err
	}
	ex.startUpload()
	return nil
}

// maxInterim bounds the interim answers before a final one.
const maxInterim = 32

// readAnswerHead reads the head of the final answer and passes interim ones on.
func (ex *exchange) readAnswerHead(now time.Time) error {
	method := http1.LookupMethod(http1.View(ex.x.UpstreamRequest.Method))
	for interim := 0; ; interim++ {
		ex.resp.Reset()
		if err := ex.up.readHead(method, &ex.resp, now); err != nil || !ex.resp.Interim() {
			return err
		}
		if interim >= maxInterim {
			return errTooManyInterim
		}
		if err := ex.passInterim(); err != nil {
			return err
		}
		now = time.Now()
	}
}

var errTooManyInterim = &http1.Error{Status: 502, Message: errorpage.Message(502), Reason: "too many interim answers"}

// passInterim passes a 1xx on (RFC 9110 §15.2), but not 100, which only says that
// the upstream wants what we send anyway.
func (ex *exchange) passInterim() error {
	if ex.resp.Status == 100 {
		return nil
	}
	return ex.down.sendInterim(&http1.ResponseHead{
		Status: ex.resp.Status, Reason: ex.resp.Reason, Header: &ex.resp.Header, ContentLength: -1,
	})
}

// dropUpstream closes the upstream stream.
func (ex *exchange) dropUpstream() {
	if !ex.upOpen {
		return
	}
	ex.uploading.stop()
	ex.handle.up.Store(nil)
	ex.up.close()
	ex.upOpen = false
}

// keepUpstream releases the upstream stream, unless it was taken away.
func (ex *exchange) keepUpstream() {
	ex.upOpen = false
	if ex.handle.up.CompareAndSwap(ex.up.aborter(), nil) {
		ex.up.release(ex.now())
	} else {
		ex.up.close()
	}
}

// answerPickError answers when no peer could be chosen.
func (ex *exchange) answerPickError(err error) {
	switch {
	case ex.over():
		ex.abandon()
	case errors.Is(err, errNameResolution):
		ex.answerError(503, "name resolution failed")
	case errors.Is(err, balancer.ErrNoPeer):
		ex.answerError(503, "failure to get a peer from the ring-balancer")
	default:
		ex.answerError(500, errorpage.Message(500))
	}
}
