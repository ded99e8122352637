// SPDX-License-Identifier: Apache-2.0

package logformat

import (
	"crypto/tls"
	"net/netip"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
)

func streamed() *plugintest.Session {
	s := plugintest.NewSession(start)
	s.MatchedRoute = &entity.Route{ID: "11111111-1111-4111-8111-111111111111", Name: "main", Protocols: []entity.Protocol{"tcp"},
		Destinations: []entity.Endpoint{{IP: "10.0.0.1"}}, Service: &entity.Ref{ID: "22222222-2222-4222-8222-222222222222"}}
	s.MatchedService = &entity.Service{ID: "22222222-2222-4222-8222-222222222222", Name: "db", Host: "127.0.0.1", Protocol: "tcp"}
	s.EndStatus = 200
	s.FromClient, s.ToClient, s.FromUpstream, s.ToUpstream = 10, 20, 21, 11
	s.Times.End = start.Add(1500 * time.Millisecond)
	s.Attempts = []plugin.Try{{Address: netip.MustParseAddrPort("10.0.0.1:5432"), Started: start.Add(2 * time.Millisecond), Latency: time.Millisecond}}
	return s
}

func TestSessions(t *testing.T) {
	for name, change := range map[string]func(*plugintest.Session){
		"session": func(*plugintest.Session) {},
		"session-tls": func(s *plugintest.Session) {
			s.ClientFacts.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256}
			s.ClientFacts.ForwardedPort = 443
		},
		"session-refused": func(s *plugintest.Session) {
			s.Attempts, s.EndStatus, s.ToUpstream, s.FromUpstream, s.ToClient = nil, 403, 0, 0, 0
		},
		"session-tries": func(s *plugintest.Session) {
			s.EndStatus = 502
			s.Attempts[0].Failure, s.Attempts[0].Status = "failed", 504
			s.Attempts = append(s.Attempts, s.Attempts[0])
			s.Attempts[1].Status, s.Attempts[1].Started = 0, start.Add(9*time.Millisecond)
		},
		"session-changed": func(s *plugintest.Session) {
			Set(s, "custom.deep", "v")
			Set(s, "tries", nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := streamed()
			change(s)
			golden(t, name, New(start).AppendSession([]byte("before"), s))
		})
	}
}
