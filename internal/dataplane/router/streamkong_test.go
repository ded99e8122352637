// SPDX-License-Identifier: Apache-2.0

package router

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// address is an endpoint: ip may be empty, port 0.
func address(ip string, port int) entity.Endpoint {
	e := entity.Endpoint{IP: ip}
	if port != 0 {
		e.Port = &port
	}
	return e
}

func matched(t *testing.T, s *Stream, protocol entity.Protocol, source, destination, sni string) string {
	t.Helper()
	r, ok := s.Match(&StreamInput{
		Protocol: protocol, SNI: sni,
		Source: netip.MustParseAddrPort(source), Destination: netip.MustParseAddrPort(destination),
	})
	if !ok {
		return ""
	}
	return string(r.Entity.ID)
}

func compileStream(t *testing.T, routes ...*entity.Route) *Stream {
	t.Helper()
	items := make([]Item, 0, len(routes))
	for _, r := range routes {
		items = append(items, Item{Route: r})
	}
	s, problems := NewStream(items, Traditional)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return s
}

// The rules of Kong's router for sources and destinations: an address before a
// port before a range, address and port together before each alone.
func TestStreamEndpointsAsKong(t *testing.T) {
	lists := []struct {
		id   entity.ID
		list []entity.Endpoint
	}{
		{"addresses", []entity.Endpoint{address("127.0.0.1", 0), address("127.0.0.2", 0)}},
		{"ports", []entity.Endpoint{address("", 65001), address("", 65002)}},
		{"range", []entity.Endpoint{address("127.168.0.0/8", 0)}},
		{"address-and-port", []entity.Endpoint{address("127.0.0.1", 65001)}},
		{"mixed", []entity.Endpoint{address("127.0.0.2", 65300), address("127.168.0.0/16", 65301)}},
	}
	var bySource, byDestination []*entity.Route
	for _, l := range lists {
		bySource = append(bySource, &entity.Route{ID: l.id, Protocols: []entity.Protocol{"tcp"}, Sources: l.list})
		byDestination = append(byDestination, &entity.Route{ID: l.id, Protocols: []entity.Protocol{"tcp"}, Destinations: l.list})
	}
	sources, destinations := compileStream(t, bySource...), compileStream(t, byDestination...)
	for at, want := range map[string]string{
		"127.0.0.1:1":        "addresses",
		"127.0.0.2:1":        "addresses",
		"127.0.0.3:65001":    "ports",
		"127.168.0.1:1":      "range",
		"127.0.0.1:65001":    "address-and-port",
		"127.0.0.2:65300":    "mixed",
		"127.168.10.1:65301": "mixed",
		"10.0.0.1:1":         "",
		"10.0.0.2:65301":     "",
	} {
		if got := matched(t, sources, "tcp", at, "192.0.2.1:9", ""); got != want {
			t.Errorf("source %s: %q, want %q", at, got, want)
		}
		if got := matched(t, destinations, "tcp", "192.0.2.1:9", at, ""); got != want {
			t.Errorf("destination %s: %q, want %q", at, got, want)
		}
	}
}

func TestStreamPrecedenceAsKong(t *testing.T) {
	tls := []entity.Protocol{"tls"}
	sni := &entity.Route{ID: "sni", Protocols: tls, SNIs: []string{"www.example.org"}}
	source := &entity.Route{ID: "source", Protocols: tls, Sources: []entity.Endpoint{address("127.0.0.1", 0)}}
	destination := &entity.Route{ID: "destination", Protocols: tls, Destinations: []entity.Endpoint{address("172.168.0.1", 0)}}
	both := &entity.Route{ID: "both", Protocols: tls, Sources: source.Sources, Destinations: destination.Destinations}
	all := &entity.Route{ID: "all", Protocols: tls, SNIs: sni.SNIs, Sources: source.Sources, Destinations: destination.Destinations}
	for _, c := range []struct {
		routes []*entity.Route
		want   string
	}{
		{[]*entity.Route{destination, source, sni}, "sni"},
		{[]*entity.Route{destination, source}, "source"},
		{[]*entity.Route{sni, both, source, destination}, "both"},
		{[]*entity.Route{sni, both, all}, "all"},
	} {
		if got := matched(t, compileStream(t, c.routes...), "tls", "127.0.0.1:1", "172.168.0.1:2", "www.example.org"); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	first, second := int64(1), int64(2)
	older := &entity.Route{ID: "z", Protocols: tls, SNIs: sni.SNIs, CreatedAt: &first}
	newer := &entity.Route{ID: "a", Protocols: tls, SNIs: sni.SNIs, CreatedAt: &second}
	if got := matched(t, compileStream(t, newer, older), "tls", "127.0.0.1:1", "127.0.0.1:2", "www.example.org"); got != "z" {
		t.Errorf("%q, want the older route", got)
	}
}

func TestStreamServerNames(t *testing.T) {
	pass := []entity.Protocol{"tls_passthrough"}
	s := compileStream(t,
		&entity.Route{ID: "exact", Protocols: pass, SNIs: []string{"a.example.org"}},
		&entity.Route{ID: "suffix", Protocols: pass, SNIs: []string{"*.example.org"}},
		&entity.Route{ID: "deep", Protocols: pass, SNIs: []string{"*.deep.example.org"}},
		&entity.Route{ID: "prefix", Protocols: pass, SNIs: []string{"www.*"}},
		&entity.Route{ID: "part", Protocols: pass, SNIs: []string{"*-blue.test"}},
		&entity.Route{ID: "two", Protocols: []entity.Protocol{"tls"}, SNIs: []string{"one.test", "*.two.test"}},
		&entity.Route{ID: "port", Protocols: []entity.Protocol{"tls", "tcp"}, Destinations: []entity.Endpoint{address("", 9)}},
	)
	for sni, want := range map[string]string{
		"a.example.org":        "exact",
		"b.example.org":        "suffix",
		"b.a.example.org":      "suffix",
		"x.deep.example.org":   "deep",
		"x.y.deep.example.org": "deep",
		"example.org":          "port",
		".example.org":         "port",
		"www.net":              "prefix",
		"www.":                 "port",
		"www.example.org":      "suffix", // the longer of two wildcards
		"app-blue.test":        "part",
		"one.test":             "two",
		"a.two.test":           "two",
		"":                     "port",
	} {
		if got := matched(t, s, "tls", "192.0.2.1:1", "192.0.2.2:9", sni); got != want {
			t.Errorf("%q: %q, want %q", sni, got, want)
		}
	}
	// Where no ClientHello is read, there is no server name.
	if got := matched(t, s, "tcp", "192.0.2.1:1", "192.0.2.2:9", "a.example.org"); got != "port" {
		t.Errorf("tcp: %q", got)
	}
	anyName := compileStream(t, &entity.Route{ID: "any", Protocols: pass, SNIs: []string{"*"}})
	if got := matched(t, anyName, "tls", "192.0.2.1:1", "192.0.2.2:9", "x"); got != "any" {
		t.Errorf("*: %q", got)
	}
	if got := matched(t, anyName, "tls", "192.0.2.1:1", "192.0.2.2:9", ""); got != "" {
		t.Errorf("* without a server name: %q", got)
	}
}

// The index finds what trying all routes in their order finds.
func TestStreamIndex(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	protocols := [][]entity.Protocol{{"tcp"}, {"tls"}, {"udp"}, {"tls_passthrough"}, {"tcp", "tls"}}
	names := []string{"a.b.c", "b.c", "*.b.c", "*.c", "a.*", "a.b.*", "*", "*c", "x"}
	addresses := []string{"", "10.0.0.1", "10.0.0.0/24", "10.0.0.2"}
	endpoints := func() (out []entity.Endpoint) {
		for range random.IntN(3) {
			ip, port := addresses[random.IntN(len(addresses))], random.IntN(3)
			if ip != "" || port != 0 {
				out = append(out, address(ip, port))
			}
		}
		return out
	}
	for range 200 {
		var items []Item
		for i := range 12 {
			r := &entity.Route{ID: entity.ID(fmt.Sprint(i)), Protocols: protocols[random.IntN(len(protocols))], Sources: endpoints(), Destinations: endpoints()}
			for range random.IntN(3) {
				r.SNIs = append(r.SNIs, names[random.IntN(len(names))])
			}
			items = append(items, Item{Route: r})
		}
		s, _ := NewStream(items, Traditional)
		var all []*streamRoute
		for _, item := range items {
			if r, err := newStreamRoute(item); err == nil {
				all = append(all, r)
			}
		}
		for range 50 {
			in := &StreamInput{Protocol: protocols[random.IntN(3)][0], SNI: []string{"", "a.b.c", "b.c", "x", "q.c", "a.z"}[random.IntN(6)]}
			in.Source = netip.AddrPortFrom(netip.MustParseAddr(fmt.Sprintf("10.0.0.%d", 1+random.IntN(3))), uint16(random.IntN(4)))
			in.Destination = netip.AddrPortFrom(netip.MustParseAddr(fmt.Sprintf("10.0.0.%d", 1+random.IntN(3))), uint16(random.IntN(4)))
			if in.Protocol != "tls" {
				in.SNI = ""
			}
			var want *streamRoute
			for _, r := range all {
				if r.match(in) && (want == nil || compareStream(r, want) < 0) {
					want = r
				}
			}
			got, ok := s.Match(in)
			if ok != (want != nil) || ok && got.Entity.ID != want.route.Entity.ID {
				t.Fatalf("%+v: got %v, want %v", in, got, want)
			}
		}
	}
}

func BenchmarkStream(b *testing.B) {
	var items []Item
	for i := range 5000 {
		items = append(items, Item{Route: &entity.Route{ID: entity.ID(fmt.Sprint(i)), Protocols: []entity.Protocol{"tls_passthrough"}, SNIs: []string{fmt.Sprintf("h%d.example.org", i)}}})
	}
	s, _ := NewStream(items, Traditional)
	in := &StreamInput{Protocol: "tls", SNI: "h4999.example.org", Source: netip.MustParseAddrPort("10.0.0.1:1"), Destination: netip.MustParseAddrPort("10.0.0.2:2")}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := s.Match(in); !ok {
			b.Fatal("no route")
		}
	}
}
