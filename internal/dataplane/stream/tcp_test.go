// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/plugin"
)

func TestTCP(t *testing.T) {
	r := start(t, nil, "")
	r.config(route("tcp", echo(t), ""))
	c := r.dial(0)
	if got := talk(t, c, "ping"); got != "hello ping 4 bytes" {
		t.Errorf("got %q", got)
	}
	s := r.session()
	if s.EndStatus != 200 || s.FromClient != 4 || s.ToUpstream != 4 || s.FromUpstream != 18 || s.ToClient != 18 || s.UsedProtocol != "tcp" {
		t.Errorf("session %+v", s)
	}
	local, remote := netip.MustParseAddrPort(c.LocalAddr().String()), netip.MustParseAddrPort(c.RemoteAddr().String())
	if f := s.ClientFacts; f.Peer != local || f.IP != local.Addr() || f.Port != local.Port() || f.Local != remote || f.TLS != nil {
		t.Errorf("client %+v", f)
	}
	if len(s.Attempts) != 1 || s.Attempts[0].Failure != "" || s.MatchedRoute.Name != "r" || s.MatchedService.Name != "s" {
		t.Errorf("attempts %+v, route %v", s.Attempts, s.MatchedRoute)
	}
	if m := s.Times; m.Access.Before(m.Start) || m.Sent.Before(m.AccessDone) || m.End.Before(m.Sent) {
		t.Errorf("marks %+v", m)
	}
	totals := r.Stats().Totals()
	if totals.Accepted[TCP] != 1 || totals.Active[TCP] != 0 || totals.Ended[TCP][0] != 1 || totals.Received != 4 || totals.Sent != 18 {
		t.Errorf("totals %+v", totals)
	}
}

// Each side may end its half first.
func TestHalfClose(t *testing.T) {
	r := start(t, nil, "")
	r.config(route("tcp", upstream(t, func(c *net.TCPConn) {
		_, _ = io.WriteString(c, "done")
		_ = c.CloseWrite()
		got, _ := io.ReadAll(c)
		if string(got) != "late" {
			t.Errorf("the upstream got %q", got)
		}
	}), ""))
	c := r.dial(0)
	if got, err := io.ReadAll(c); err != nil || string(got) != "done" {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := io.WriteString(c, "late"); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if s := r.session(); s.ToUpstream != 4 || s.ToClient != 4 {
		t.Errorf("%d up, %d down", s.ToUpstream, s.ToClient)
	}
}

// What is large goes through the kernel alone, in both directions at once, and
// nothing of it is lost or counted twice.
func TestBulk(t *testing.T) {
	const size = 48 << 20
	block := make([]byte, 1<<20)
	for i := range block {
		block[i] = byte(i * 7)
	}
	send := func(w io.Writer) error {
		for range size / len(block) {
			if _, err := w.Write(block); err != nil {
				return err
			}
		}
		return nil
	}
	whole := sha256.New()
	_ = send(whole)
	want := whole.Sum(nil)
	receive := func(r io.Reader) error {
		h := sha256.New()
		n, err := io.Copy(h, r)
		if err == nil && (n != size || !bytes.Equal(h.Sum(nil), want)) {
			err = fmt.Errorf("%d bytes, other content", n)
		}
		return err
	}
	both := func(c *net.TCPConn) error {
		sent := make(chan error, 1)
		go func() { sent <- errors.Join(send(c), c.CloseWrite()) }()
		return errors.Join(receive(c), <-sent)
	}
	r := start(t, nil, "")
	r.config(route("tcp", upstream(t, func(c *net.TCPConn) {
		if err := both(c); err != nil {
			t.Errorf("upstream: %v", err)
		}
	}), ""))
	if err := both(r.dial(0)); err != nil {
		t.Error(err)
	}
	if s := r.session(); s.FromClient != size || s.ToUpstream != size || s.FromUpstream != size || s.ToClient != size {
		t.Errorf("%d %d %d %d", s.FromClient, s.ToUpstream, s.FromUpstream, s.ToClient)
	}
}

// After a bulk transfer that pauses, small messages go on.
func TestBulkAndMessages(t *testing.T) {
	r := start(t, nil, "")
	r.config(route("tcp", upstream(t, func(c *net.TCPConn) { _, _ = io.Copy(c, struct{ io.Reader }{c}) }), ""))
	c := r.dial(0)
	block := bytes.Repeat([]byte("x"), 1<<20)
	for range 3 {
		go func() { _, _ = c.Write(block) }()
		if _, err := io.ReadFull(c, make([]byte, len(block))); err != nil {
			t.Fatal(err)
		}
		until(t, "the direction is no longer a bulk transfer", func() bool {
			message := []byte("m")
			begin := time.Now()
			if _, err := c.Write(message); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, message); err != nil {
				t.Fatal(err)
			}
			return time.Since(begin) < patience
		})
	}
}

func TestRetries(t *testing.T) {
	up := echo(t)
	r := start(t, nil, "")
	targets := ""
	for _, a := range []string{refusing(t), refusing(t), up} {
		targets += fmt.Sprintf("{target: %q},", a)
	}
	r.config(fmt.Sprintf(`
plugins: [{name: probe}]
upstreams: [{name: many.test, algorithm: round-robin, targets: [%s]}]
services:
- {name: s, host: many.test, port: 1, protocol: tcp, retries: 2, routes: [{name: r, protocols: [tcp], destinations: [{port: PORT0}]}]}
`, targets))
	for range 4 {
		if got := talk(t, r.dial(0), "x"); got != "hello x 1 bytes" {
			t.Fatalf("got %q", got)
		}
		s := r.session()
		for i, try := range s.Attempts {
			if last := i == len(s.Attempts)-1; (try.Failure == "") != last || last && try.Address.String() != up {
				t.Errorf("attempt %d of %+v", i, s.Attempts)
			}
		}
	}
}

func TestNoUpstream(t *testing.T) {
	gone := refusing(t)
	host, port, _ := net.SplitHostPort(gone)
	for _, c := range []struct {
		name, service string
		status, tries int
	}{
		{"refused", fmt.Sprintf("host: %s, port: %s, retries: 1", host, port), 502, 2},
		{"no name", "host: nowhere.invalid, port: 1", 503, 0},
		{"no targets", "host: empty.test, port: 1", 503, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, nil, "")
			r.config(fmt.Sprintf(`
plugins: [{name: probe}]
upstreams: [{name: empty.test}]
services:
- {name: s, protocol: tcp, %s, routes: [{name: r, protocols: [tcp], destinations: [{port: PORT0}]}]}
`, c.service))
			closedSilently(t, r.dial(0))
			if s := r.session(); s.EndStatus != c.status || len(s.Attempts) != c.tries {
				t.Errorf("status %d after %+v", s.EndStatus, s.Attempts)
			}
		})
	}
}

func TestNoRouteNoService(t *testing.T) {
	r := start(t, nil, "")
	closedSilently(t, r.dial(0)) // nothing is configured
	until(t, "the session counts", func() bool { return r.Stats().Totals().Ended[TCP][3] == 1 })
	r.config(`
plugins: [{name: probe}]
routes: [{name: r, protocols: [tcp], destinations: [{port: PORT0}]}]
`)
	closedSilently(t, r.dial(0))
	if s := r.session(); s.EndStatus != 503 {
		t.Errorf("without a service: status %d", s.EndStatus)
	}
}

func TestConnectTimeout(t *testing.T) {
	// A listener whose queue is full does not answer.
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	shorten(t, l)
	r := start(t, nil, "")
	r.config(route("tcp", l.Addr().String(), "connect_timeout: 50, "))
	var dialer net.Dialer
	for full := false; !full; {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		c, err := dialer.DialContext(ctx, "tcp", l.Addr().String())
		cancel()
		if full = err != nil; !full {
			defer func() { _ = c.Close() }()
		}
	}
	closedSilently(t, r.dial(0))
	if s := r.session(); s.EndStatus != 502 || len(s.Attempts) != 3 || s.Attempts[0].Status != 504 {
		t.Errorf("status %d, %+v", s.EndStatus, s.Attempts)
	}
}

func TestIdleSessionsEnd(t *testing.T) {
	r := start(t, nil, "")
	r.config(route("tcp", upstream(t, func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) }), "read_timeout: 1000, "))
	c := r.dial(0)
	begin := time.Now()
	// What moves one way keeps the other alive.
	for time.Since(begin) < 2*time.Second {
		if _, err := io.WriteString(c, "x"); err != nil {
			t.Fatalf("after %s: %v", time.Since(begin), err)
		}
		<-time.After(20 * time.Millisecond)
	}
	last := time.Now()
	closedSilently(t, c)
	if idle := time.Since(last); idle < 700*time.Millisecond || idle > patience/2 {
		t.Errorf("closed after %s", idle)
	}
	if s := r.session(); s.EndStatus != 200 {
		t.Errorf("status %d", s.EndStatus)
	}
}

// An upstream that does not read for write_timeout ends the session.
func TestWriteTimeout(t *testing.T) {
	release := make(chan struct{})
	r := start(t, nil, "")
	r.config(route("tcp", upstream(t, func(*net.TCPConn) { <-release }), "write_timeout: 100, "))
	c := r.dial(0)
	block := make([]byte, 1<<20)
	for {
		if _, err := c.Write(block); err != nil {
			if isTimeout(err) {
				t.Errorf("the session goes on: %v", err)
			}
			break
		}
	}
	close(release)
	r.session()
}

func TestPluginsOfSessions(t *testing.T) {
	r := start(t, nil, "", "")
	up := echo(t)
	host, port, _ := net.SplitHostPort(up)
	r.config(fmt.Sprintf(`
plugins: [{name: probe}, {name: ip-restriction, route: allowed, config: {allow: [127.0.0.1]}}, {name: ip-restriction, config: {deny: [127.0.0.0/8]}}]
services:
- name: s
  host: %s
  port: %s
  protocol: tcp
  routes:
  - {name: allowed, protocols: [tcp], destinations: [{port: PORT0}]}
  - {name: denied, protocols: [tcp], destinations: [{port: PORT1}]}
`, host, port))
	if got := talk(t, r.dial(0), "x"); got != "hello x 1 bytes" {
		t.Errorf("got %q", got)
	}
	r.session()
	closedSilently(t, r.dial(1))
	if s := r.session(); s.EndStatus != 403 || len(s.Attempts) != 0 {
		t.Errorf("status %d, %+v", s.EndStatus, s.Attempts)
	}
}

func TestSetTarget(t *testing.T) {
	up := echo(t)
	address := netip.MustParseAddrPort(up)
	r := start(t, nil, "")
	r.preread = func(s plugin.Session) { s.SetTarget("chosen.test", int(address.Port())) }
	r.config(route("tcp", refusing(t), ""))
	if got := talk(t, r.dial(0), "x"); got != "hello x 1 bytes" {
		t.Errorf("got %q", got)
	}
}

func TestPluginFault(t *testing.T) {
	r := start(t, nil, "")
	r.preread = func(plugin.Session) { panic("broken") }
	r.config(route("tcp", echo(t), ""))
	closedSilently(t, r.dial(0))
	if s := r.session(); s.EndStatus != 500 {
		t.Errorf("status %d", s.EndStatus)
	}
	if !strings.Contains(r.log.String(), "plugin failed") {
		t.Error("nothing is logged")
	}
}

func TestRejections(t *testing.T) {
	r := start(t, nil, "")
	for field, config := range map[string]string{
		"protocol":     `{name: s, host: a.test, protocol: http, routes: [{name: r, protocols: [tcp], destinations: [{port: 1}]}]}`,
		"service":      `{name: s, host: a.test, protocol: https, routes: [{name: r, protocols: [tcp], destinations: [{port: 1}]}]}`,
		"config":       `{name: s, host: a.test, protocol: tcp, routes: [{name: r, protocols: [tcp], destinations: [{port: 1}], plugins: [{name: probe, config: {tag: unusable}}]}]}`,
		"destinations": `{name: s, host: a.test, protocol: tcp, routes: [{name: r, protocols: [tcp], expression: "net.dst.port == 1"}]}`,
	} {
		if field == "destinations" {
			field = "expression"
		}
		found := false
		for _, rejected := range r.Apply(r.set("services: [" + config + "]")) {
			found = found || rejected.Field == field
		}
		if !found {
			t.Errorf("%s is not rejected", field)
		}
	}
	// A route that cannot be served closes, and does not fall through.
	up := netip.MustParseAddrPort(echo(t))
	r.Apply(r.set(fmt.Sprintf(`
plugins: [{name: probe}]
services:
- {name: broken, host: a.test, protocol: http, routes: [{name: narrow, protocols: [tcp], sources: [{ip: 127.0.0.1}], destinations: [{port: PORT0}]}]}
- {name: wide, host: 127.0.0.1, port: %d, protocol: tcp, routes: [{name: wide, protocols: [tcp], destinations: [{port: PORT0}]}]}
`, up.Port())))
	closedSilently(t, r.dial(0))
	if s := r.session(); s.EndStatus != 503 || s.MatchedRoute.Name != "narrow" {
		t.Errorf("status %d by %s", s.EndStatus, s.MatchedRoute.Name)
	}
}
