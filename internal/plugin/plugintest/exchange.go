// SPDX-License-Identifier: Apache-2.0

// Package plugintest runs plugins in memory: an Exchange, a Directory and a
// Host for tests, without sockets and without the engine.
package plugintest

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// Exchange implements plugin.Exchange. Tests set its fields before a phase runs
// and look at them afterwards. It is used by one goroutine at a time.
type Exchange struct {
	Ctx             context.Context //nolint:containedctx // what Context returns: an exchange carries its request's
	ClientFacts     plugin.Client
	RequestFacts    plugin.Request
	RequestHeader   *Header
	UpstreamRequest plugin.Upstream
	RequestBody     []byte
	BodyComplete    bool
	MatchedRoute    *entity.Route
	MatchedService  *entity.Service
	Groups          []plugin.Capture
	Who             plugin.Identity
	People          plugin.Directory
	Reply           *plugin.Reply // what Exit was given
	Answer          plugin.Response
	AnswerHeader    *Header
	Times           plugin.Marks
	Attempts        []plugin.Try
	RequestID       string

	values []any
}

// New returns the exchange of an HTTP/1.1 request from 127.0.0.1 for
// http://localhost, with headers given as name, value pairs. It starts at now.
func New(now time.Time, method, target string, headers ...string) *Exchange {
	path, query, hasQuery := strings.Cut(target, "?")
	local, peer := netip.MustParseAddrPort("127.0.0.1:8000"), netip.MustParseAddrPort("127.0.0.1:40000")
	x := &Exchange{
		Ctx: context.Background(),
		ClientFacts: plugin.Client{
			Peer: peer, IP: peer.Addr(), Port: peer.Port(), Local: local,
			ForwardedScheme: "http", ForwardedHost: "localhost", ForwardedPort: local.Port(),
		},
		RequestFacts: plugin.Request{
			Method: method, Scheme: "http", Authority: "localhost", Host: "localhost", Target: target,
			Path: path, Query: query, HasQuery: hasQuery, Major: 1, Minor: 1,
		},
		RequestHeader:   NewHeader(append([]string{"Host", "localhost"}, headers...)...),
		UpstreamRequest: plugin.Upstream{Scheme: "http", Host: "upstream.test", Port: 80, Method: method, Path: path, Query: query, HasQuery: hasQuery},
		BodyComplete:    true,
		MatchedRoute:    &entity.Route{ID: "11111111-1111-4111-8111-111111111111", Name: "route"},
		MatchedService:  &entity.Service{ID: "22222222-2222-4222-8222-222222222222", Name: "service"},
		People:          &Directory{},
		AnswerHeader:    NewHeader(),
		Times:           plugin.Marks{Start: now, Access: now},
		RequestID:       "0123456789abcdef0123456789abcdef",
		values:          make([]any, plugin.SlotCount()),
	}
	return x
}

// Context implements plugin.Exchange.
func (x *Exchange) Context() context.Context { return x.Ctx }

// Keep implements plugin.Exchange.
func (x *Exchange) Keep(view string) string { return strings.Clone(view) }

// Client implements plugin.Exchange.
func (x *Exchange) Client() *plugin.Client { return &x.ClientFacts }

// Request implements plugin.Exchange.
func (x *Exchange) Request() *plugin.Request { return &x.RequestFacts }

// Header implements plugin.Exchange.
func (x *Exchange) Header() plugin.Header { return x.RequestHeader }

// Upstream implements plugin.Exchange.
func (x *Exchange) Upstream() *plugin.Upstream { return &x.UpstreamRequest }

// Body implements plugin.Exchange.
func (x *Exchange) Body() ([]byte, bool) { return x.RequestBody, x.BodyComplete }

// SetBody implements plugin.Exchange.
func (x *Exchange) SetBody(body []byte) { x.RequestBody, x.BodyComplete = body, true }

// Route implements plugin.Exchange.
func (x *Exchange) Route() *entity.Route { return x.MatchedRoute }

// Service implements plugin.Exchange.
func (x *Exchange) Service() *entity.Service { return x.MatchedService }

// Captures implements plugin.Exchange.
func (x *Exchange) Captures() []plugin.Capture { return x.Groups }

// Identity implements plugin.Exchange.
func (x *Exchange) Identity() plugin.Identity { return x.Who }

// Authenticate implements plugin.Exchange.
func (x *Exchange) Authenticate(id plugin.Identity) { x.Who = id }

// Directory implements plugin.Exchange.
func (x *Exchange) Directory() plugin.Directory { return x.People }

// Exit implements plugin.Exchange.
func (x *Exchange) Exit(r plugin.Reply) {
	if x.Reply == nil {
		x.Reply = &r
	}
}

// Exited implements plugin.Exchange.
func (x *Exchange) Exited() bool { return x.Reply != nil }

// Response implements plugin.Exchange.
func (x *Exchange) Response() *plugin.Response {
	x.Answer.Header = x.AnswerHeader
	return &x.Answer
}

// Value implements plugin.Exchange.
func (x *Exchange) Value(s plugin.Slot) any { return x.values[s] }

// SetValue implements plugin.Exchange.
func (x *Exchange) SetValue(s plugin.Slot, v any) { x.values[s] = v }

// Marks implements plugin.Exchange.
func (x *Exchange) Marks() *plugin.Marks { return &x.Times }

// Tries implements plugin.Exchange.
func (x *Exchange) Tries() []plugin.Try { return x.Attempts }

// ID implements plugin.Exchange.
func (x *Exchange) ID() string { return x.RequestID }
