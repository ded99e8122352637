// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
	"github.com/kong/kong-istio-gateway/internal/dataplane/listener"
	"github.com/kong/kong-istio-gateway/internal/dataplane/stream"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

func decode(t *testing.T, text string) *entity.Set {
	t.Helper()
	set, problems := entity.Decode([]byte("_format_version: \"3.0\"\n"+text), entity.SchemaSet{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return set
}

// Both halves get one configuration, or neither does, and both end with a
// drain.
func TestStreamsAndRequestsShareAConfiguration(t *testing.T) {
	g, err := New(Options{Settings: engine.DefaultSettings(), Streams: stream.DefaultSettings(), Logger: slog.New(slog.DiscardHandler), Product: "kong/test"})
	if err != nil {
		t.Fatal(err)
	}
	loopback := netip.MustParseAddrPort("127.0.0.1:0")
	if err := g.Streams.Listen(t.Context(), []listener.Spec{{Address: loopback}}); err != nil {
		t.Fatal(err)
	}
	up, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = up.Close() }()
	go func() {
		for {
			c, err := up.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "hello")
			_ = c.Close()
		}
	}()
	hello := func() string {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", g.Streams.Addresses()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		got, _ := io.ReadAll(c)
		return string(got)
	}
	_, port, _ := net.SplitHostPort(up.Addr().String())
	streams := `
- {name: l4, host: 127.0.0.1, port: ` + port + `, protocol: tcp, routes: [{name: l4, protocols: [tcp], sources: [{ip: 127.0.0.1}]}]}`
	requests := `
- {name: l7, host: 127.0.0.1, routes: [{name: l7, paths: [/]}]}`
	if rejected := g.ApplyWhole(decode(t, "services:"+requests+streams)); len(rejected) > 0 {
		t.Fatal(rejected)
	}
	if got := hello(); got != "hello" {
		t.Errorf("got %q", got)
	}
	brokenRequests := `
- {name: l7, host: 127.0.0.1, protocol: tcp, routes: [{name: l7, paths: [/]}]}`
	brokenStreams := `
- {name: l4, host: 127.0.0.1, protocol: http, routes: [{name: l4, protocols: [tcp], sources: [{ip: 127.0.0.1}]}]}`
	for config, routes := range map[string]string{
		brokenRequests:                 "l7",
		requests + brokenStreams:       "l4",
		brokenRequests + brokenStreams: "l7 l4",
	} {
		rejected := g.ApplyWhole(decode(t, "services:"+config))
		for route := range strings.FieldsSeq(routes) {
			found := false
			for _, r := range rejected {
				found = found || r.Name == route
			}
			if !found {
				t.Errorf("%s: rejected %v, not %s", config, rejected, route)
			}
		}
		if got := hello(); got != "hello" {
			t.Errorf("what ran does not run any more: got %q", got)
		}
	}
	if rejected := g.Apply(decode(t, "services:"+brokenRequests+brokenStreams)); len(rejected) < 2 {
		t.Errorf("rejected %v", rejected)
	}
	if got := hello(); got != "" {
		t.Errorf("a route whose service cannot be used gave %q", got)
	}
	for e := range decode(t, "services:"+strings.ReplaceAll(requests, "l7", "other")).All() {
		if rejected := g.Update(entity.Delta{Put: []entity.Entity{e}}); len(rejected) < 2 {
			t.Errorf("rejected %v", rejected)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := g.Drain(ctx); err != nil {
		t.Error(err)
	}
}
