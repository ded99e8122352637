// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"strings"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/dataplane/errorpage"
	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/dataplane/router"
	"github.com/kong/kong-istio-gateway/internal/dataplane/upstream"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// exchange is the state of one request on a connection. It is reused.
type exchange struct {
	conn     *conn
	snapshot *snapshot
	match    router.Result
	route    *router.Route
	service  *service
	input    router.Input
	id       [32]byte

	// body of the request
	decoder  http1.Decoder
	readDone bool   // the request body was read to its end
	stash    []byte // request body bytes held in memory
	path     []byte // normalised path
	upPath   []byte // path sent upstream

	// answer
	resp         http1.Response
	respDecoder  http1.Decoder
	local        http1.Header // header of answers made here
	answerHeader headerView
	head         http1.Header // header sent upstream
	headBytes    []byte
	whole        []byte // buffered answer body
	sentFraming  http1.Framing
	tried        bool // an upstream connection was attempted
	sent         bool // the head of an answer was written
	broken       bool // the answer could not be completed
	upConn       *upstream.Conn
	uploading    *upload
	asked        []*balancer.Peer // peers that were tried
	hash         string           // key of consistent hashing, once hashed
	hashed       bool
	hashCookie   *balancer.Cookie
}

// begin starts an exchange at the time of its first complete head.
func (ex *exchange) begin(now time.Time) {
	c := ex.conn
	// Published before it is used: a reload that does not see the mark has
	// swapped first, and then the second look finds the newer snapshot.
	for {
		ex.snapshot = c.engine.current.Load()
		c.using.Store(ex.snapshot)
		if c.engine.current.Load() == ex.snapshot {
			break
		}
	}
	x := c.x
	x.Reset()
	newRequestID(&ex.id)
	x.RequestID = view(ex.id[:])
	x.Times.Start = now
	x.People = ex.snapshot.people
	ex.match, ex.route, ex.service = router.Result{}, nil, nil
	ex.readDone, ex.tried, ex.sent, ex.broken, ex.uploading = true, false, false, false, nil
	clear(ex.asked)
	ex.asked, ex.hash, ex.hashed, ex.hashCookie = ex.asked[:0], "", false, nil
	ex.stash, ex.whole = ex.stash[:0], ex.whole[:0]
	ex.local.Reset()
	x.Answer = plugin.Response{}
}

// run takes a parsed request to its answer.
func (ex *exchange) run() {
	c, x := ex.conn, ex.conn.x
	ex.readDone = c.req.Framing == http1.BodyNone || c.req.ContentLength == 0
	ex.decoder.ResetRequest(&c.req, &c.engine.limits)
	ex.describe()
	if fault := x.Rewrite(ex.snapshot.plans.Unrouted()); fault != nil {
		c.engine.fault(fault, x)
	}
	if x.Exited() {
		x.Collect(ex.snapshot.plans.Unrouted())
		ex.answerExit()
		return
	}
	if !ex.findRoute() {
		x.Collect(ex.snapshot.plans.Unrouted())
		ex.answerError(404, "no Route matched with those values")
		return
	}
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
	}
	if fault := x.Access(plan); fault != nil {
		c.engine.fault(fault, x)
	}
	switch {
	case x.Exited():
		ex.answerExit()
	case ex.service == nil && x.UpstreamRequest.Host == "":
		ex.answerError(503, "no Service found with those values")
	default:
		ex.proxy()
	}
}

// describe fills in what plugins and the router may ask about the request.
func (ex *exchange) describe() {
	c, x := ex.conn, ex.conn.x
	r := &c.req
	scheme := "http"
	if c.tls != nil {
		scheme = "https"
	}
	host, port := router.SplitHost(view(r.Host))
	x.RequestFacts = plugin.Request{
		Method: view(r.Method), Scheme: scheme, Authority: view(r.Host), Host: host,
		Target: view(r.Target), Path: view(r.Path), Query: view(r.Query), HasQuery: r.HasQuery,
		Major: 1, Minor: int(r.Minor), Size: int64(c.filled - len(c.pending)),
	}
	x.ClientFacts = plugin.Client{Peer: c.peer, Local: c.local, TLS: c.tls, Trusted: c.engine.settings.trusted(c.peer.Addr())}
	c.engine.settings.resolveClient(&x.ClientFacts, &r.Header, scheme, host)
	x.BodyComplete = ex.readDone

	path := r.Path
	if !r.PlainPath {
		ex.path = http1.NormalizePath(ex.path, r.Path)
		path = ex.path
	}
	ex.input = router.Input{Host: host, Port: port, Method: x.RequestFacts.Method, Path: view(path), TLS: c.tls != nil, Headers: &c.header}
	if c.tls != nil {
		ex.input.SNI = strings.ToLower(strings.TrimSuffix(c.tls.ServerName, "."))
	}
}

func (ex *exchange) findRoute() bool {
	x := ex.conn.x
	match, ok := ex.snapshot.router.Match(&ex.input)
	if !ok {
		return false
	}
	ex.match, ex.route = match, match.Route
	ex.service = ex.route.Data.(*routed).service
	x.MatchedRoute, x.MatchedService = ex.route.Entity, ex.route.Service
	x.MatchCaptures = ex.captures
	r := &ex.conn.req
	x.UpstreamRequest = plugin.Upstream{Method: x.RequestFacts.Method, Query: view(r.Query), HasQuery: r.HasQuery}
	if ex.service != nil {
		x.UpstreamRequest.Scheme, x.UpstreamRequest.Host, x.UpstreamRequest.Port = ex.service.scheme, ex.service.host, ex.service.port
	}
	ex.upPath = ex.match.BuildPath(ex.upPath[:0])
	x.UpstreamRequest.Path = view(ex.upPath)
	return true
}

func (ex *exchange) captures() []plugin.Capture {
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

// refusedProtocol answers requests whose protocol the route does not take.
func (ex *exchange) refusedProtocol(plan *pipeline.Plan) bool {
	c, x := ex.conn, ex.conn.x
	https := c.tls != nil || x.ClientFacts.Trusted && x.ClientFacts.ForwardedScheme == "https"
	if c.tls == nil && x.ClientFacts.Trusted && x.ClientFacts.ForwardedScheme != "https" {
		https = false
	}
	if !ex.route.HTTPSRequired() || https {
		return false
	}
	x.Collect(plan)
	status := ex.route.HTTPSRedirectStatus
	if status == 426 {
		ex.local.Add("Upgrade", http1.View("TLS/1.2, HTTP/1.1"))
		ex.answerError(426, "Please use HTTPS protocol")
		return true
	}
	location := c.arena.Join(http1.View("https://"), http1.View(x.ClientFacts.ForwardedHost), requestURI(&c.req))
	ex.local.AddID(http1.HeaderLocation, location)
	ex.answer(status, nil, plugin.SourceError)
	return true
}

// requestURI returns path and query as the client sent them.
func requestURI(r *http1.Request) []byte {
	if r.Form != http1.FormAbsolute {
		return r.Target
	}
	uri := append([]byte(nil), r.Path...)
	if r.HasQuery {
		uri = append(append(uri, '?'), r.Query...)
	}
	return uri
}

// refuse answers a request that could not be parsed.
func (ex *exchange) refuse(err error) {
	x := ex.conn.x
	ex.readDone = false
	x.RequestFacts = plugin.Request{Method: view(ex.conn.req.Method), Scheme: "http", Target: view(ex.conn.req.Target), Major: 1, Minor: 1}
	x.ClientFacts = plugin.Client{Peer: ex.conn.peer, Local: ex.conn.local, IP: ex.conn.peer.Addr(), Port: ex.conn.peer.Port(), TLS: ex.conn.tls}
	x.Collect(ex.snapshot.plans.Unrouted())
	var bad *http1.Error
	if !errors.As(err, &bad) {
		bad = &http1.Error{Status: 400, Message: errorpage.Message(400)}
	}
	ex.answerProxyError(bad.Status, bad.Message)
}

// refuseBody answers a request whose body could not be taken.
func (ex *exchange) refuseBody(err error) {
	ex.conn.keep = false
	var bad *http1.Error
	switch {
	case errors.As(err, &bad):
		ex.answerProxyError(bad.Status, bad.Message)
	case errors.Is(err, errBodyTooLarge):
		ex.answerProxyError(413, errorpage.Message(413))
	default:
		// The client left, or stopped sending: nobody waits for an answer.
		ex.conn.x.Answer.Status = 499
	}
}

// end runs the log phase and lets go of what the exchange held.
func (ex *exchange) end() {
	c, x := ex.conn, ex.conn.x
	x.Times.End = time.Now()
	ex.uploading.stop()
	x.RequestFacts.Size += ex.decoder.Received()
	if fault := x.Log(); fault != nil {
		c.engine.fault(fault, x)
	}
	c.engine.stats.observe(x)
	c.engine.accessLog.write(x)
	if !ex.bodyDone() {
		c.keep = false
	}
	x.Cancel()
	c.using.Store(nil)
	if ex.snapshot.retired.Load() {
		c.engine.reclaim()
	}
	ex.snapshot = nil
}

// bodyDone reports whether the request body was read to its end.
func (ex *exchange) bodyDone() bool {
	if u := ex.uploading; u != nil {
		select {
		case <-u.done:
		default:
			return false
		}
	}
	return ex.readDone
}
