// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"
	"unsafe"

	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/dataplane/errorpage"
	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/internal/dataplane/http2"
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/dataplane/router"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// exchange is the state of one request and its answer, whatever protocol client
// and upstream speak. It is reused.
type exchange struct {
	*handle // nil while the exchange serves no client
	client  *clientFacts
	down    downstream
	// http2 says that the client speaks HTTP/2.
	http2 bool

	// req is the request, filled in by who owns the exchange before run. Requests
	// of HTTP/2 have Minor 1.
	req      http1.Request
	headSize int64 // bytes of the request's head
	arena    http1.Arena
	header   headerView
	x        *pipeline.Exchange

	// original is what the forwarded headers are built from.
	original forwarded

	snapshot *snapshot
	match    router.Result
	route    *router.Route
	service  *service
	input    router.Input
	id       [32]byte

	// body of the request; while an upload runs, it owns received and readDone
	readDone bool   // the request body was read to its end
	received int64  // bytes of the request body that were read
	stash    []byte // request body bytes held in memory
	reserved int64  // of the budget for them
	path     []byte // normalised path
	upPath   []byte // path sent upstream

	// answer
	resp         http1.Response
	local        http1.Header // header of answers made here
	answerHeader headerView
	head         http1.Header // header sent upstream
	whole        []byte       // buffered answer body, or the body of an answer made here
	wholeLimit   int64
	sentFraming  http1.Framing
	sentLeft     int64 // bytes still due in an answer with a length
	filtering    bool  // body filters run
	refusals     int   // how often an upstream did not take the request
	tried        bool  // the upstream phase was reached
	broken       bool  // the answer could not be completed
	// clock is a time that was read after whatever was waited for last, zero
	// when there is none.
	clock   time.Time
	ownDate bool // the answer's Date is ours

	// up is the stream of the last try, nil before the first one; upOpen says
	// that it was neither released nor closed.
	up         upstreamStream
	upOpen     bool
	http1      http1Upstream
	overHTTP2  http2Upstream
	uploading  *upload
	asked      []*balancer.Peer // peers that were tried
	hash       string           // key of consistent hashing, once hashed
	hashed     bool
	hashCookie *balancer.Cookie

	// The heads that the two sides are given; here, since they would escape.
	sentRequest http1.RequestHead
	sentAnswer  http1.ResponseHead

	// What pump calls, bound once.
	emitStream, emitWhole func(data []byte, last, more bool) error
}

// init connects the parts of a new exchange to each other.
func (ex *exchange) init() {
	ex.x = pipeline.NewExchange(nil)
	ex.header = headerView{list: &ex.req.Header, arena: &ex.arena}
	ex.x.RequestHeader = &ex.header
	ex.x.MatchCaptures = ex.captures
	ex.answerHeader = headerView{arena: &ex.arena}
	ex.emitStream, ex.emitWhole = ex.streamPiece, ex.wholePiece
}

// bind makes the exchange one of a client. The handle is that of this exchange
// alone; it stays with the client, because others look at it at any time.
func (ex *exchange) bind(h *handle, client *clientFacts, down downstream) {
	ex.handle, ex.client, ex.down = h, client, down
	ex.x.Belong(h.life)
}

// unbind ends bind, between two requests.
func (ex *exchange) unbind() {
	ex.handle, ex.client, ex.down, ex.http2 = nil, nil, nil, false
	ex.x.Belong(nil)
}

// begin starts an exchange at the time of its first byte. headSize is how many
// bytes its head had.
func (ex *exchange) begin(now time.Time, headSize int64) {
	x := ex.x
	ex.snapshot = ex.hold()
	ex.headSize, ex.received = headSize, 0
	newRequestID(&ex.id)
	x.RequestID = view(ex.id[:])
	x.Times.Start = now
	x.People = ex.snapshot.people
	x.Answer = plugin.Response{}
	ex.match, ex.route, ex.service = router.Result{}, nil, nil
	ex.readDone, ex.tried, ex.broken, ex.filtering, ex.ownDate = true, false, false, false, false
	ex.uploading, ex.clock = nil, time.Time{}
	ex.refusals = 0
	clear(ex.asked)
	ex.asked, ex.hash, ex.hashed, ex.hashCookie = ex.asked[:0], "", false, nil
	ex.stash, ex.whole = ex.stash[:0], ex.whole[:0]
	ex.local.Reset()
	ex.resp.Reset()
}

// run takes a parsed request to its answer.
func (ex *exchange) run() {
	x := ex.x
	ex.readDone = ex.req.Framing == http1.BodyNone || ex.req.ContentLength == 0
	ex.describe()
	ex.awaitDeparture()
	unrouted := ex.snapshot.plans.Unrouted()
	ex.engine.fault(x.Rewrite(unrouted), x)
	if x.Exited() {
		x.Collect(unrouted)
		ex.answerExit()
		return
	}
	if !ex.findRoute() {
		x.Collect(unrouted)
		ex.answerError(404, "no Route matched with those values")
		return
	}
	ex.original.take(&ex.req.Header, &ex.arena)
	x.Times.Access = x.Times.Start
	plan := ex.snapshot.planOf(ex.route)
	if ex.refusedProtocol(plan) {
		return
	}
	if need := plan.Needs().RequestBody; need > 0 && !ex.readDone {
		if err := ex.readBody(need, true); err != nil {
			x.Collect(plan)
			ex.refuseBody(err)
			return
		}
		ex.awaitDeparture()
	}
	ex.engine.fault(x.Access(plan), x)
	switch {
	case x.Exited():
		ex.answerExit()
	case ex.departed.Load():
		ex.abandon()
	case ex.service == nil && x.UpstreamRequest.Host == "":
		ex.answerError(503, "no Service found with those values")
	default:
		ex.proxy()
	}
}

// awaitDeparture has the client watched once nothing of its request is left to
// read.
func (ex *exchange) awaitDeparture() {
	if ex.readDone {
		ex.down.awaitDeparture()
	}
}

// context ends when the client leaves or the engine does. It costs nothing where
// nobody waits.
func (ex *exchange) context() context.Context { return ex.life.Lazy() }

// describe fills in what plugins and the router may ask about the request.
func (ex *exchange) describe() {
	x, client := ex.x, ex.client
	r := &ex.req
	scheme := "http"
	if client.tls != nil {
		scheme = "https"
	}
	if r.Form == http1.FormAbsolute {
		ex.lowerAuthority()
	}
	routed, port := router.SplitHost(view(r.Host))
	host := strings.TrimSuffix(routed, ".")
	x.RequestFacts = plugin.Request{
		Method: view(r.Method), Scheme: scheme, Authority: view(r.Host), Host: host,
		Target: view(r.Target), Path: view(r.Path), Query: view(r.Query), HasQuery: r.HasQuery,
		Major: 1, Minor: int(r.Minor), Size: ex.headSize,
	}
	if ex.http2 {
		x.RequestFacts.Major, x.RequestFacts.Minor = 2, 0
	}
	x.ClientFacts = plugin.Client{Peer: client.peer, Local: client.local, TLS: client.tls, Trusted: client.trusted}
	ex.engine.settings.resolveClient(&x.ClientFacts, client.proxied, &r.Header, scheme, host)
	x.BodyComplete = ex.readDone

	path := r.Path
	if !r.PlainPath {
		path = http1.NormalizePath(ex.path, r.Path)
		if unsafe.SliceData(path) != unsafe.SliceData(r.Path) {
			// Only a buffer of its own is kept: the next request would be read over
			// the other one, and then written over while it is read.
			ex.path = path
		}
	}
	ex.input = router.Input{
		Host: routed, Port: port, Method: x.RequestFacts.Method, Path: view(path),
		TLS: client.tls != nil, SNI: client.sni, Headers: &ex.header, Query: x.RequestFacts.Query,
		Source:      netip.AddrPortFrom(x.ClientFacts.IP, x.ClientFacts.Port),
		Destination: netip.AddrPortFrom(client.local.Addr(), ex.engine.settings.visiblePort(client.local.Port())),
	}
}

// lowerAuthority makes the host of an absolute target lower-case, as nginx
// does; a Host field is passed on as it is.
func (ex *exchange) lowerAuthority() {
	r := &ex.req
	lower := ex.arena.Copy(r.Host)
	for i, b := range lower {
		if b >= 'A' && b <= 'Z' {
			lower[i] = b + 'a' - 'A'
		}
	}
	r.Host = lower
	r.Header.SetID(http1.HeaderHost, lower)
}

func (ex *exchange) findRoute() bool {
	x := ex.x
	match, ok := ex.snapshot.router.Match(&ex.input)
	if !ok {
		return false
	}
	ex.match, ex.route = match, match.Route
	ex.service = ex.snapshot.serviceOf(ex.route)
	x.MatchedRoute, x.MatchedService = ex.route.Entity, ex.route.Service
	r := &ex.req
	x.UpstreamRequest = plugin.Upstream{Method: x.RequestFacts.Method, Query: view(r.Query), HasQuery: r.HasQuery}
	if ex.service != nil {
		x.UpstreamRequest.Scheme, x.UpstreamRequest.Host, x.UpstreamRequest.Port = ex.service.scheme, ex.service.host, ex.service.port
	}
	ex.upPath = ex.match.BuildPath(ex.upPath[:0])
	x.UpstreamRequest.Path = view(ex.upPath)
	return true
}

func (ex *exchange) captures() []plugin.Capture {
	if ex.route == nil {
		return nil
	}
	groups, names := ex.match.Captures()
	out := make([]plugin.Capture, 0, len(groups))
	for i, g := range groups {
		name := ""
		if i < len(names) {
			name = names[i]
		}
		out = append(out, plugin.Capture{Name: name, Value: g})
	}
	return out
}

// refuse answers a request that could not be parsed.
func (ex *exchange) refuse(err error) {
	x, client := ex.x, ex.client
	ex.readDone = false
	x.RequestFacts = plugin.Request{
		Method: view(ex.req.Method), Scheme: "http", Target: view(ex.req.Target),
		Major: 1, Minor: 1, Size: ex.headSize,
	}
	if ex.http2 {
		x.RequestFacts.Major, x.RequestFacts.Minor = 2, 0
	}
	x.ClientFacts = plugin.Client{Peer: client.peer, Local: client.local, IP: client.peer.Addr(), Port: client.peer.Port(), TLS: client.tls, ForwardedScheme: "http"}
	x.Collect(ex.snapshot.plans.Unrouted())
	var bad *http1.Error
	if !errors.As(err, &bad) {
		bad = &http1.Error{Status: 400, Message: errorpage.Message(400)}
	}
	ex.answerProxyError(bad.Status, bad.Message)
}

// refuseBody answers a request whose body could not be taken.
func (ex *exchange) refuseBody(err error) {
	ex.down.closeAfter()
	var bad *http1.Error
	switch {
	case errors.As(err, &bad):
		ex.answerProxyError(bad.Status, bad.Message)
	case errors.Is(err, errBodyTooLarge):
		ex.answerProxyError(413, errorpage.Message(413))
	case isTimeout(err):
		ex.answerProxyError(408, errorpage.Message(408))
	default:
		ex.departed.Store(true)
		ex.abandon()
	}
}

// statusClientGone is nginx's status for requests whose client left.
const statusClientGone = 499

// abandon ends an exchange whose client left: nobody waits for an answer.
func (ex *exchange) abandon() {
	ex.breakOff()
	ex.x.Answer.Status, ex.x.Answer.Source = statusClientGone, plugin.SourceError
	ex.answerHeader.list = &ex.local
	ex.x.Answer.Header = &ex.answerHeader
}

// breakOff notes that the answer is not complete: only the end of the
// connection, or of the stream, tells the client.
func (ex *exchange) breakOff() {
	ex.broken = true
	ex.down.closeAfter()
}

// end runs the log phase and lets go of what the exchange held. It returns the
// time of the end.
func (ex *exchange) end() (at time.Time) {
	x := ex.x
	at = time.Now()
	x.Times.End = at
	ex.uploading.stop()
	x.RequestFacts.Size += ex.received
	x.Answer.Size += ex.down.sent()
	ex.engine.fault(x.Log(), x)
	ex.engine.stats.observe(x)
	ex.engine.accessLog.write(x)
	if ex.up != nil {
		ex.up.recycle()
		ex.up = nil
	}
	ex.unreserve()
	ex.life.End()
	ex.x = x.Release()
	if ex.snapshot != nil {
		ex.let(ex.snapshot)
		ex.snapshot = nil
	} else {
		ex.letInstances()
	}
	return at
}

// crash gives back, after an own mistake, what others would miss. The rest is
// left to the garbage collector: nobody knows what of it is still in use.
func (ex *exchange) crash() {
	ex.uploading.stop()
	ex.unreserve()
	if up, ok := ex.up.(*http2Upstream); ok && up.stream != nil {
		up.stream.Reset(http2.CodeInternal)
		up.stream.Done()
	}
}

// now returns the time since which nothing was waited for, or the present one.
func (ex *exchange) now() time.Time {
	if ex.clock.IsZero() {
		ex.clock = time.Now()
	}
	return ex.clock
}

// bodyDone reports whether the request body was read to its end.
func (ex *exchange) bodyDone() bool {
	if u := ex.uploading; u != nil {
		select {
		case <-u.done:
		default:
			return u.readAll.Load()
		}
	}
	return ex.readDone
}
