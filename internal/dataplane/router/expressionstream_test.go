// SPDX-License-Identifier: Apache-2.0

package router

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

func streamExpressionItem(id entity.ID, priority int64, text string, protocols ...entity.Protocol) Item {
	item := expressionItem(id, text, priority)
	item.Route.Protocols = protocols
	return item
}

func TestStreamExpressions(t *testing.T) {
	port := 9000
	s, problems := NewStream([]Item{
		{Route: &entity.Route{ID: "plain", Protocols: []entity.Protocol{"tcp"}, Destinations: []entity.Endpoint{{Port: &port}}}},
		streamExpressionItem("inside", 9, `net.src.ip in 10.0.0.0/8 && net.dst.port == 9000`, "tcp"),
		streamExpressionItem("name", 5, `tls.sni == "A.Test" && net.dst.port == 9443`, "tls"),
		streamExpressionItem("suffix", 4, `tls.sni =^ ".test"`, "tls_passthrough"),
		streamExpressionItem("both", 6, `net.dst.port == 53 || tls.sni == "dns.test"`, "tls", "udp"),
		streamExpressionItem("protocol", 1, `net.protocol == "tcp" && net.dst.port > 9100`, "tcp", "tls"),
	}, Expressions)
	if problems != nil {
		t.Fatal(problems)
	}
	for _, c := range []struct {
		protocol entity.Protocol
		from, to string
		sni      string
		want     entity.ID
	}{
		{"tcp", "10.1.1.1:5", "127.0.0.1:9000", "", "inside"},
		{"tcp", "11.1.1.1:5", "127.0.0.1:9000", "", "plain"},
		{"udp", "10.1.1.1:5", "127.0.0.1:9000", "", ""},
		{"tls", "10.1.1.1:5", "127.0.0.1:9443", "a.test", "name"},
		{"tls", "10.1.1.1:5", "127.0.0.1:9000", "a.test", "suffix"},
		{"tcp", "10.1.1.1:5", "127.0.0.1:9443", "", "protocol"},
		{"udp", "10.1.1.1:5", "127.0.0.1:53", "", "both"},
		{"tls", "10.1.1.1:5", "127.0.0.1:1", "dns.test", "both"},
		{"tcp", "10.1.1.1:5", "127.0.0.1:53", "", ""},
	} {
		in := &StreamInput{Protocol: c.protocol, Source: netip.MustParseAddrPort(c.from), Destination: netip.MustParseAddrPort(c.to), SNI: c.sni}
		var got entity.ID
		if r, ok := s.Match(in); ok {
			got = r.Entity.ID
		}
		if got != c.want {
			t.Errorf("%+v: %q, want %q", c, got, c.want)
		}
	}
	for flavor, want := range map[Flavor]string{
		Traditional: "KONG_ROUTER_FLAVOR to expressions, or write the route with sources, destinations or snis",
		Expressions: "1:1: http.path does not exist for the protocols",
	} {
		_, problems := NewStream([]Item{streamExpressionItem("r", 0, `http.path == "/"`, "tcp")}, flavor)
		if len(problems) != 1 || problems[0].Field != "expression" || !strings.Contains(problems[0].String(), want) {
			t.Errorf("%v", problems)
		}
	}
}

// TestStreamExpressionsAgainstTheReference: names and ports that are looked up
// change nothing.
func TestStreamExpressionsAgainstTheReference(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 5))
	predicates := []string{
		`tls.sni == "a.test"`, `tls.sni == "B.test"`, `tls.sni != "a.test"`, `net.dst.port == 1`, `net.dst.port == 2`, `net.dst.port == 65537`,
		`net.dst.port >= 2`, `net.src.ip in 10.0.0.0/8`, `net.protocol != "tcp"`, `lower(tls.sni) =^ "test"`,
	}
	var random func(depth int) string
	random = func(depth int) string {
		if depth == 0 || r.IntN(3) == 0 {
			return predicates[r.IntN(len(predicates))]
		}
		return fmt.Sprintf("%s(%s%s%s)", []string{"", "", "!"}[r.IntN(3)], random(depth-1), []string{" && ", " || "}[r.IntN(2)], random(depth-1))
	}
	for range 300 {
		var items []Item
		for i := range 12 {
			items = append(items, streamExpressionItem(entity.ID(fmt.Sprintf("%02d", i)), int64(r.IntN(3)), random(3), "tcp", "tls"))
		}
		s, problems := NewStream(items, Expressions)
		if problems != nil {
			t.Fatal(problems)
		}
		compareStreamExpressions(t, r, s)
	}
}

func compareStreamExpressions(t *testing.T, r *rand.Rand, s *Stream) {
	t.Helper()
	all := map[*streamExpression]bool{}
	for _, list := range s.expressions.name {
		for _, e := range list {
			all[e] = true
		}
	}
	for _, list := range s.expressions.port {
		for _, e := range list {
			all[e] = true
		}
	}
	for _, e := range s.expressions.rest {
		all[e] = true
	}
	if len(all) != 12 {
		t.Fatalf("%d of 12 routes are indexed", len(all))
	}
	for range 30 {
		in := &StreamInput{
			Protocol: []entity.Protocol{"tcp", "tls"}[r.IntN(2)], SNI: []string{"", "a.test", "b.test"}[r.IntN(3)],
			Source:      netip.AddrPortFrom([]netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("::1")}[r.IntN(2)], 7),
			Destination: netip.AddrPortFrom(netip.MustParseAddr("::1"), uint16(r.IntN(4))),
		}
		f := facts{protocol: string(in.Protocol), sni: in.SNI, source: in.Source, destination: in.Destination}
		var fitting []*streamExpression
		for e := range all {
			if e.program.eval(&f, &pathHit{}) {
				fitting = append(fitting, e)
			}
		}
		slices.SortFunc(fitting, func(a, b *streamExpression) int { return a.order - b.order })
		got, ok := s.Match(in)
		if ok != (len(fitting) > 0) || ok && got != fitting[0].route {
			t.Fatalf("%+v: %v", in, ok)
		}
	}
}
