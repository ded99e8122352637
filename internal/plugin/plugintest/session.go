// SPDX-License-Identifier: Apache-2.0

package plugintest

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// Session implements plugin.Session. Tests set its fields before a phase runs
// and look at them afterwards. It is used by one goroutine at a time.
type Session struct {
	Ctx            context.Context //nolint:containedctx // what Context returns
	ClientFacts    plugin.Client
	UsedProtocol   entity.Protocol
	ServerName     string
	MatchedRoute   *entity.Route
	MatchedService *entity.Service
	Times          plugin.Marks
	Attempts       []plugin.Try
	// EndStatus is 403 after Abort.
	EndStatus int
	// TargetHost and TargetPort are what SetTarget was given.
	TargetHost string
	TargetPort int

	FromClient, ToClient, FromUpstream, ToUpstream int64

	values []any
}

// NewSession returns a TCP session from 127.0.0.1 that starts at now.
func NewSession(now time.Time) *Session {
	local, peer := netip.MustParseAddrPort("127.0.0.1:9000"), netip.MustParseAddrPort("127.0.0.1:40000")
	return &Session{
		Ctx:            context.Background(),
		ClientFacts:    plugin.Client{Peer: peer, IP: peer.Addr(), Port: peer.Port(), Local: local},
		UsedProtocol:   entity.ProtocolTCP,
		MatchedRoute:   &entity.Route{ID: "11111111-1111-4111-8111-111111111111", Name: "route"},
		MatchedService: &entity.Service{ID: "22222222-2222-4222-8222-222222222222", Name: "service"},
		Times:          plugin.Marks{Start: now, Access: now},
		values:         make([]any, plugin.SlotCount()),
	}
}

var _ plugin.Session = (*Session)(nil)

// Context implements plugin.Session.
func (s *Session) Context() context.Context { return s.Ctx }

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
func (s *Session) Abort() { s.EndStatus = http.StatusForbidden }

// SetTarget implements plugin.Session.
func (s *Session) SetTarget(host string, port int) { s.TargetHost, s.TargetPort = host, port }

// Value implements plugin.Session.
func (s *Session) Value(slot plugin.Slot) any { return s.values[slot] }

// SetValue implements plugin.Session.
func (s *Session) SetValue(slot plugin.Slot, v any) { s.values[slot] = v }

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
