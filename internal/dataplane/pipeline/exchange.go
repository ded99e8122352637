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
	// MatchCaptures yields the regex captures on demand, nil without any. It
	// survives Reset.
	MatchCaptures func() []plugin.Capture

	// RequestBody is the body when BodyComplete, or a plugin's replacement.
	RequestBody  []byte
	BodyComplete bool
	BodyReplaced bool

	life *Lifetime
	guard

	identity plugin.Identity
	values   []any
	picked   []*Instance
	filters  int
	exited   bool
	reply    plugin.Reply
}

// NewExchange returns an Exchange whose context is that of life.
func NewExchange(life *Lifetime) *Exchange {
	return &Exchange{life: life, values: make([]any, plugin.SlotCount())}
}

// Belong makes life the one that the context is of. It is called between
// requests, before the Exchange serves another connection.
func (x *Exchange) Belong(life *Lifetime) { x.life = life }

// Reset forgets everything of the last request and keeps the memory.
func (x *Exchange) Reset() {
	clear(x.values)
	clear(x.picked)
	*x = Exchange{
		life:          x.life,
		RequestHeader: x.RequestHeader,
		MatchCaptures: x.MatchCaptures,
		Attempts:      x.Attempts[:0],
		values:        x.values,
		picked:        x.picked[:0],
	}
}

// Context implements plugin.Exchange.
func (x *Exchange) Context() context.Context { x.use(); return x.life.Context() }

// Keep implements plugin.Exchange.
func (x *Exchange) Keep(view string) string { return strings.Clone(view) }

// Client implements plugin.Exchange.
func (x *Exchange) Client() *plugin.Client { x.use(); return &x.ClientFacts }

// Request implements plugin.Exchange.
func (x *Exchange) Request() *plugin.Request { x.use(); return &x.RequestFacts }

// Header implements plugin.Exchange.
func (x *Exchange) Header() plugin.Header { x.use(); return x.RequestHeader }

// Upstream implements plugin.Exchange.
func (x *Exchange) Upstream() *plugin.Upstream { x.use(); return &x.UpstreamRequest }

// Body implements plugin.Exchange.
func (x *Exchange) Body() ([]byte, bool) { x.use(); return x.RequestBody, x.BodyComplete }

// SetBody implements plugin.Exchange.
func (x *Exchange) SetBody(body []byte) {
	x.use()
	x.RequestBody, x.BodyComplete, x.BodyReplaced = body, true, true
}

// Route implements plugin.Exchange.
func (x *Exchange) Route() *entity.Route { x.use(); return x.MatchedRoute }

// Service implements plugin.Exchange.
func (x *Exchange) Service() *entity.Service { x.use(); return x.MatchedService }

// Captures implements plugin.Exchange.
func (x *Exchange) Captures() []plugin.Capture {
	x.use()
	if x.MatchCaptures == nil {
		return nil
	}
	return x.MatchCaptures()
}

// Identity implements plugin.Exchange.
func (x *Exchange) Identity() plugin.Identity { x.use(); return x.identity }

// Authenticate implements plugin.Exchange.
func (x *Exchange) Authenticate(id plugin.Identity) { x.use(); x.identity = id }

// Directory implements plugin.Exchange.
func (x *Exchange) Directory() plugin.Directory { x.use(); return x.People }

// Exit implements plugin.Exchange.
func (x *Exchange) Exit(r plugin.Reply) {
	x.use()
	if !x.exited {
		x.exited, x.reply = true, r
	}
}

// Exited implements plugin.Exchange.
func (x *Exchange) Exited() bool { x.use(); return x.exited }

// Reply returns the answer given through Exit.
func (x *Exchange) Reply() *plugin.Reply { return &x.reply }

// Response implements plugin.Exchange.
func (x *Exchange) Response() *plugin.Response { x.use(); return &x.Answer }

// Value implements plugin.Exchange.
func (x *Exchange) Value(s plugin.Slot) any { x.use(); return x.values[s] }

// SetValue implements plugin.Exchange.
func (x *Exchange) SetValue(s plugin.Slot, v any) { x.use(); x.values[s] = v }

// Marks implements plugin.Exchange.
func (x *Exchange) Marks() *plugin.Marks { x.use(); return &x.Times }

// Tries implements plugin.Exchange.
func (x *Exchange) Tries() []plugin.Try { x.use(); return x.Attempts }

// ID implements plugin.Exchange.
func (x *Exchange) ID() string { x.use(); return x.RequestID }
