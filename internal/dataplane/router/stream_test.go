// SPDX-License-Identifier: Apache-2.0

package router

import (
	"net/netip"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

func TestStream(t *testing.T) {
	port := func(n int) *int { return &n }
	tcp, tls := []entity.Protocol{"tcp"}, []entity.Protocol{"tls"}
	s, problems := NewStream([]Item{
		{Route: &entity.Route{ID: "http", Paths: []string{"/"}}},
		{Route: &entity.Route{ID: "port", Protocols: tcp, Destinations: []entity.Endpoint{{Port: port(9000)}}}},
		{Route: &entity.Route{ID: "range", Protocols: tcp, Destinations: []entity.Endpoint{{IP: "10.0.0.0/8"}}}},
		{Route: &entity.Route{ID: "address", Protocols: tcp, Destinations: []entity.Endpoint{{IP: "10.0.0.1"}}}},
		{Route: &entity.Route{ID: "source", Protocols: tcp, Sources: []entity.Endpoint{{IP: "192.0.2.0/24"}}}},
		{Route: &entity.Route{ID: "both", Protocols: tcp, Sources: []entity.Endpoint{{IP: "192.0.2.7"}}, Destinations: []entity.Endpoint{{Port: port(9000)}}}},
		{Route: &entity.Route{ID: "udp", Protocols: []entity.Protocol{"udp"}, Destinations: []entity.Endpoint{{Port: port(53)}}}},
		{Route: &entity.Route{ID: "sni", Protocols: tls, SNIs: []string{"A.test."}}},
		{Route: &entity.Route{ID: "tls", Protocols: tls, Destinations: []entity.Endpoint{{Port: port(9000)}}}},
		{Route: &entity.Route{ID: "v6", Protocols: tcp, Destinations: []entity.Endpoint{{IP: "2001:db8::/32", Port: port(1)}}}},
	}, Traditional)
	if problems != nil {
		t.Fatal(problems)
	}
	for _, c := range []struct {
		protocol     entity.Protocol
		source, dest string
		sni, want    string
	}{
		{"tcp", "198.51.100.1:5", "203.0.113.1:9000", "", "port"},
		{"tcp", "198.51.100.1:5", "10.1.1.1:9000", "", "port"},
		{"tcp", "198.51.100.1:5", "10.1.1.1:9001", "", "range"},
		{"tcp", "198.51.100.1:5", "10.0.0.1:9000", "", "address"},
		{"tcp", "198.51.100.1:5", "[::ffff:10.0.0.1]:7", "", "address"},
		{"tcp", "192.0.2.8:5", "203.0.113.1:9000", "", "source"},
		{"tcp", "192.0.2.7:5", "203.0.113.1:9000", "", "both"},
		{"tcp", "198.51.100.1:5", "203.0.113.1:53", "", ""},
		{"udp", "198.51.100.1:5", "203.0.113.1:53", "", "udp"},
		{"tls", "198.51.100.1:5", "203.0.113.1:9000", "a.test", "sni"},
		{"tls", "198.51.100.1:5", "203.0.113.1:9000", "b.test", "tls"},
		{"tcp", "198.51.100.1:5", "[2001:db8::1]:1", "", "v6"},
		{"tcp", "198.51.100.1:5", "[2001:db8::1]:2", "", ""},
	} {
		r, ok := s.Match(&StreamInput{
			Protocol: c.protocol, SNI: c.sni,
			Source: netip.MustParseAddrPort(c.source), Destination: netip.MustParseAddrPort(c.dest),
		})
		got := ""
		if ok {
			got = string(r.Entity.ID)
		}
		if got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

func TestStreamProblems(t *testing.T) {
	port := 70000
	for field, r := range map[string]*entity.Route{
		"sources":      {Protocols: []entity.Protocol{"tcp"}, Sources: []entity.Endpoint{{IP: "10.0.0.0/33"}}},
		"destinations": {Protocols: []entity.Protocol{"tcp"}, Destinations: []entity.Endpoint{{Port: &port}}},
	} {
		if _, problems := NewStream([]Item{{Route: r}}, Traditional); len(problems) != 1 || problems[0].Field != field {
			t.Errorf("%s: %v", field, problems)
		}
	}
	if _, problems := NewStream([]Item{{Route: &entity.Route{Protocols: []entity.Protocol{"tcp"}}}}, Traditional); len(problems) != 1 {
		t.Errorf("no matcher: %v", problems)
	}
}
