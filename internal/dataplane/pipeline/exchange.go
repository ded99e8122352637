// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// Exchange is one request with its answer. The engine fills the exported
// fields, hands the Exchange to the phases, and reuses it for the next request
// after Reset. It is used by one goroutine at a time.
type Exchange struct {
	ClientFacts     plugin.Client
	RequestFacts    plugin.Request
	RequestHeader   plugin.Header
	UpstreamRequest plugin.Upstream
	Answer          plugin.Response
	Times           plugin.Marks
	Attempts        []plugin.Try
	RequestID       string
	MatchedRoute    *entity.Route
	MatchedService  *entity.Service
	People          plugin.Directory
	// MatchCaptures yields the regex captures on demand, nil without any.
	MatchCaptures func() []plugin.Capture

	// RequestBody is the body when BodyComplete, or a plugin's replacement.
	RequestBody  []byte
	BodyComplete bool
	BodyReplaced bool

	parent context.Context
	ctx    context.Context
	cancel context.CancelFunc

	identity plugin.Identity
	values   []any
	picked   []*Instance
	filters  int
	exited   bool
	reply    plugin.Reply
}

// NewExchange returns an Exchange whose contexts descend from parent.
func NewExchange(parent context.Context) *Exchange {
	return &Exchange{parent: parent, values: make([]any, plugin.SlotCount())}
}

// Reset forgets everything of the last request and keeps the memory.
func (x *Exchange) Reset() {
	if x.cancel != nil {
		x.cancel()
	}
	clear(x.values)
	clear(x.picked)
	*x = Exchange{
		parent:        x.parent,
		RequestHeader: x.RequestHeader,
		Attempts:      x.Attempts[:0],
		values:        x.values,
		picked:        x.picked[:0],
	}
}

// Cancel ends the context that plugins may be waiting on.
func (x *Exchange) Cancel() {
	if x.cancel != nil {
		x.cancel()
	}
}

// Context implements plugin.Exchange. It is made on first use, so that
// exchanges without a waiting plugin pay nothing for it.
func (x *Exchange) Context() context.Context {
	if x.ctx == nil {
		x.ctx, x.cancel = context.WithCancel(x.parent)
	}
	return x.ctx
}

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
func (x *Exchange) SetBody(body []byte) {
	x.RequestBody, x.BodyComplete, x.BodyReplaced = body, true, true
}

// Route implements plugin.Exchange.
func (x *Exchange) Route() *entity.Route { return x.MatchedRoute }

// Service implements plugin.Exchange.
func (x *Exchange) Service() *entity.Service { return x.MatchedService }

// Captures implements plugin.Exchange.
func (x *Exchange) Captures() []plugin.Capture {
	if x.MatchCaptures == nil {
		return nil
	}
	return x.MatchCaptures()
}

// Identity implements plugin.Exchange.
func (x *Exchange) Identity() plugin.Identity { return x.identity }

// Authenticate implements plugin.Exchange.
func (x *Exchange) Authenticate(id plugin.Identity) { x.identity = id }

// Directory implements plugin.Exchange.
func (x *Exchange) Directory() plugin.Directory { return x.People }

// Exit implements plugin.Exchange.
func (x *Exchange) Exit(r plugin.Reply) {
	if !x.exited {
		x.exited, x.reply = true, r
	}
}

// Exited implements plugin.Exchange.
func (x *Exchange) Exited() bool { return x.exited }

// Reply returns the answer given through Exit.
func (x *Exchange) Reply() *plugin.Reply { return &x.reply }

// Response implements plugin.Exchange.
func (x *Exchange) Response() *plugin.Response { return &x.Answer }

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
