// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"net/http"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// Session is one L4 connection or UDP association. The stream server fills the
// exported fields and hands the Session to the phases. It is used by one
// goroutine at a time.
type Session struct {
	ClientFacts    plugin.Client
	UsedProtocol   entity.Protocol
	ServerName     string
	MatchedRoute   *entity.Route
	MatchedService *entity.Service
	Times          plugin.Marks
	Attempts       []plugin.Try
	// EndStatus is 0 until something decides it.
	EndStatus int
	// The bytes that went each way.
	FromClient, ToClient, FromUpstream, ToUpstream int64

	life   *Lifetime
	values []any
	target Target
}

// Target is a host that a plugin chose; the zero value is none.
type Target struct {
	Host string
	Port int
}

// NewSession returns a Session whose context is that of life.
func NewSession(life *Lifetime) *Session { return &Session{life: life} }

var _ plugin.Session = (*Session)(nil)

// Context implements plugin.Session.
func (s *Session) Context() context.Context { return s.life.Context() }

// Client implements plugin.Session.
func (s *Session) Client() *plugin.Client { return &s.ClientFacts }

// Protocol implements plugin.Session.
func (s *Session) Protocol() entity.Protocol { return s.UsedProtocol }

// SNI implements plugin.Session.
func (s *Session) SNI() string { return s.ServerName }

// Route implements plugin.Session.
func (s *Session) Route() *entity.Route { return s.MatchedRoute }

// Service implements plugin.Session.
func (s *Session) Service() *entity.Service { return s.MatchedService }

// Abort implements plugin.Session.
func (s *Session) Abort() {
	if s.EndStatus == 0 {
		s.EndStatus = http.StatusForbidden
	}
}

// SetTarget implements plugin.Session.
func (s *Session) SetTarget(host string, port int) { s.target = Target{host, port} }

// Chosen returns the target that a plugin chose.
func (s *Session) Chosen() Target { return s.target }

// Value implements plugin.Session.
func (s *Session) Value(slot plugin.Slot) any {
	if s.values == nil {
		return nil
	}
	return s.values[slot]
}

// SetValue implements plugin.Session.
func (s *Session) SetValue(slot plugin.Slot, v any) {
	if s.values == nil {
		s.values = make([]any, plugin.SlotCount())
	}
	s.values[slot] = v
}

// Marks implements plugin.Session.
func (s *Session) Marks() *plugin.Marks { return &s.Times }

// Tries implements plugin.Session.
func (s *Session) Tries() []plugin.Try { return s.Attempts }

// Status implements plugin.Session.
func (s *Session) Status() int { return s.EndStatus }

// Received implements plugin.Session.
func (s *Session) Received() int64 { return s.FromClient }

// Sent implements plugin.Session.
func (s *Session) Sent() int64 { return s.ToClient }

// UpstreamReceived implements plugin.Session.
func (s *Session) UpstreamReceived() int64 { return s.FromUpstream }

// UpstreamSent implements plugin.Session.
func (s *Session) UpstreamSent() int64 { return s.ToUpstream }
