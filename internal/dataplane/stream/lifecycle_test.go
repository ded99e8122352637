// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// hold is an upstream that keeps what it gets until the client ends.
func hold(t testing.TB) string {
	return upstream(t, func(c *net.TCPConn) {
		_, _ = io.WriteString(c, "in ")
		_, _ = io.Copy(io.Discard, c)
		_, _ = io.WriteString(c, "out")
	})
}

// begin opens a session and waits until it is connected.
func (r *rig) begin(i int) *net.TCPConn {
	r.t.Helper()
	c := r.dial(i)
	if _, err := io.ReadFull(c, make([]byte, 3)); err != nil {
		r.t.Fatal(err)
	}
	return c
}

func TestReloadLeavesSessionsAlone(t *testing.T) {
	r := start(t, nil, "")
	first, second := hold(t), echo(t)
	withTag := func(upstream, tag string) string {
		return strings.Replace(route("tcp", upstream, ""), "{name: probe}", "{id: 5ef61b5e-96be-4b9e-8d8e-0a8b2a1ee2b1, name: probe, config: {tag: "+tag+"}}", 1)
	}
	r.config(withTag(first, "one"))
	c := r.begin(0)
	r.config(withTag(first, "one")) // the same content: the same instance
	r.config(withTag(second, "two"))
	if got := talk(t, r.dial(0), "x"); got != "hello x 1 bytes" {
		t.Errorf("a new session got %q", got)
	}
	r.session()
	select {
	case tag := <-r.closed:
		t.Fatalf("the instance %s was closed while a session used it", tag)
	default:
	}
	if got := talk(t, c, "more"); got != "out" {
		t.Errorf("the old session got %q", got)
	}
	if s := r.session(); s.MatchedService.Port == nil || fmt.Sprint(*s.MatchedService.Port) != first[strings.LastIndexByte(first, ':')+1:] {
		t.Errorf("logged with %+v", s.MatchedService)
	}
	select {
	case tag := <-r.closed:
		if tag != "one" {
			t.Errorf("the instance %s was closed", tag)
		}
	case <-time.After(patience):
		t.Error("the old instance is not closed")
	}
}

// Changes one by one give what the whole gives, and those of others cost
// nothing.
func TestUpdates(t *testing.T) {
	first, second := echo(t), hold(t)
	r := start(t, nil, "")
	whole := r.set(fmt.Sprintf(`
plugins: [{name: probe}]
upstreams: [{name: many.test, targets: [{target: %q}]}]
services: [{name: s, host: many.test, port: 1, protocol: tcp, routes: [{name: r, protocols: [tcp], destinations: [{port: PORT0}]}]}]
`, first))
	for e := range whole.All() { // in any order, one by one
		r.Update(entity.Delta{Put: []entity.Entity{e}})
	}
	if rejected := r.Update(entity.Delta{}); len(rejected) > 0 {
		t.Fatalf("rejected: %v", rejected)
	}
	if got := talk(t, r.dial(0), "x"); got != "hello x 1 bytes" {
		t.Errorf("got %q", got)
	}
	r.session()
	current := r.current.Load()
	other := r.set(`
upstreams: [{name: other.test, targets: [{target: 10.0.0.1}]}]
services: [{name: o, host: other.test, routes: [{name: h, paths: [/]}], plugins: [{name: ip-restriction, protocols: [http], config: {deny: [10.0.0.1]}}]}]
consumers: [{username: c}]
`)
	for e := range other.All() {
		r.Update(entity.Delta{Put: []entity.Entity{e}})
		r.Update(entity.Delta{Removed: []entity.Key{entity.KeyOf(e)}})
	}
	if r.current.Load() != current {
		t.Error("what concerns no stream made a new snapshot")
	}
	target := *whole.Targets[0]
	target.Target = second
	r.Update(entity.Delta{Put: []entity.Entity{&target}})
	if got := talk(t, r.dial(0), "x"); got != "in out" {
		t.Errorf("after the target changed: got %q", got)
	}
	r.session()
	if rejected := r.Update(entity.Delta{Removed: []entity.Key{entity.KeyOf(whole.Services[0])}}); len(rejected) != 1 {
		t.Errorf("rejected: %v", rejected)
	}
	closedSilently(t, r.dial(0))
	if s := r.session(); s.EndStatus != 503 {
		t.Errorf("status %d", s.EndStatus)
	}
	if rejected := r.Update(entity.Delta{Removed: []entity.Key{entity.KeyOf(whole.Routes[0])}}); len(rejected) != 0 {
		t.Errorf("rejected: %v", rejected)
	}
}

func TestPreparedMayBeDiscarded(t *testing.T) {
	r := start(t, nil, "")
	r.config(strings.Replace(route("tcp", echo(t), ""), "{name: probe}", "{name: probe, config: {tag: stays}}", 1))
	prepared, rejected := r.Prepare(r.set(strings.Replace(route("tcp", refusing(t), ""), "{name: probe}", "{name: probe, config: {tag: goes}}", 1)))
	if len(rejected) > 0 {
		t.Fatal(rejected)
	}
	prepared.Discard()
	if tag := <-r.closed; tag != "goes" {
		t.Errorf("%s was closed", tag)
	}
	if got := talk(t, r.dial(0), "x"); got != "hello x 1 bytes" {
		t.Errorf("got %q", got)
	}
}

// A thousand reloads with an open session keep memory flat.
func TestReloadsKeepMemoryFlat(t *testing.T) {
	r := start(t, nil, "")
	up := hold(t)
	var sets []*entity.Set
	for i := range 10 {
		tag := strings.Repeat(fmt.Sprint(i), 10_000)
		sets = append(sets, r.set(strings.Replace(route("tcp", up, ""), "{name: probe}", fmt.Sprintf("{name: probe, config: {tag: %q}}", tag), 1)))
	}
	reload := func(n int) {
		for i := range n {
			r.Apply(sets[i%len(sets)])
			for len(r.closed) > 0 {
				<-r.closed
			}
		}
	}
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	reload(1)
	c := r.begin(0)
	reload(100)
	before := heap()
	reload(1000)
	if after := heap(); after > before+(2<<20) {
		t.Errorf("%d KiB before, %d KiB after", before>>10, after>>10)
	}
	if got := talk(t, c, ""); got != "out" {
		t.Errorf("got %q", got)
	}
}

func TestDrain(t *testing.T) {
	r := start(t, nil, "")
	r.config(route("tcp", hold(t), ""))
	c := r.begin(0)
	drained := make(chan error, 1)
	r.drained = true
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		drained <- r.Drain(ctx)
	}()
	until(t, "new connections are refused", func() bool {
		dialer := net.Dialer{Timeout: 50 * time.Millisecond}
		again, err := dialer.DialContext(t.Context(), "tcp", c.RemoteAddr().String())
		if err == nil {
			_ = again.Close()
		}
		return err != nil && !isTimeout(err)
	})
	select {
	case err := <-drained:
		t.Fatalf("drained with an open session: %v", err)
	default:
	}
	if got := talk(t, c, "x"); got != "out" {
		t.Errorf("got %q", got)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	r.session()
	if tag := <-r.closed; tag != "<nil>" {
		t.Errorf("closed %s", tag)
	}
}

func TestDrainCutsOff(t *testing.T) {
	r := start(t, nil, "", "udp", "ssl")
	r.config(route("tcp", hold(t), ""))
	c := r.begin(0)
	silent := r.dial(2) // no ClientHello yet
	until(t, "both are accepted", func() bool { return r.Stats().Totals().Active[TCP] == 2 })
	r.drained = true
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := r.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("drained: %v", err)
	}
	closedSilently(t, c)
	closedSilently(t, silent)
	if s := r.session(); s.EndStatus != 200 {
		t.Errorf("status %d", s.EndStatus)
	}
}

// Sessions that were in the kernel's queue when the drain began are served.
func TestDrainServesTheQueue(t *testing.T) {
	r := start(t, nil, "")
	r.config(route("tcp", echo(t), ""))
	const n = 50
	conns := make([]*net.TCPConn, n)
	for i := range conns {
		conns[i] = r.dial(0)
	}
	r.drained = true
	drained := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		drained <- r.Drain(ctx)
	}()
	for _, c := range conns {
		if got := talk(t, c, "x"); got != "hello x 1 bytes" {
			t.Errorf("got %q", got)
		}
		_ = c.Close()
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

func TestSessionsAreLimited(t *testing.T) {
	r := start(t, func(s *Settings) { s.WorkerConnections = 3 }, "")
	r.config(route("tcp", hold(t), ""))
	var open []*net.TCPConn
	for range 3 {
		open = append(open, r.begin(0))
	}
	closedSilently(t, r.dial(0))
	if refused := r.Stats().Totals().Refused[TCP]; refused != 1 {
		t.Errorf("%d refused", refused)
	}
	_ = open[0].Close()
	r.session()
	until(t, "there is room again", func() bool { return r.Stats().Totals().Active[TCP] == 2 })
	r.begin(0)
}

// Clients that do not say what they want make way for those who do.
func TestOpeningSessionsAreLimited(t *testing.T) {
	cert := certificate(t, "a.test")
	r := start(t, func(s *Settings) { s.WorkerConnections = 40 }, "ssl")
	r.config(strings.Replace(route("tls_passthrough", secureEcho(t, cert), ""), "destinations: [{port: PORT0}]", "snis: [a.test]", 1))
	var silent []*net.TCPConn
	for i := range 200 {
		silent = append(silent, r.dial(0))
		until(t, "the connection is looked at", func() bool { return r.Stats().Totals().Accepted[TCP] == uint64(i+1) })
	}
	for _, c := range silent[:190] {
		closedSilently(t, c)
	}
	c, err := r.handshake(0, "a.test")
	if err != nil {
		t.Fatal(err)
	}
	if got := talk(t, c, "x"); got != "name=a.test shown= got=x" {
		t.Errorf("got %q", got)
	}
	if totals := r.Stats().Totals(); totals.Refused[TCP] < 190 || totals.Active[TCP] > 12 {
		t.Errorf("totals %+v", totals)
	}
}

// A plugin that blocks holds up its own session only.
func TestBlockingPlugin(t *testing.T) {
	r := start(t, nil, "")
	release := make(chan struct{})
	first := make(chan struct{}, 1)
	first <- struct{}{}
	r.preread = func(s plugin.Session) {
		select {
		case <-first:
			select {
			case <-release:
			case <-s.Context().Done():
			}
		default:
		}
	}
	r.config(route("tcp", echo(t), ""))
	held := r.dial(0)
	until(t, "the plugin blocks", func() bool { return len(first) == 0 })
	if got := talk(t, r.dial(0), "x"); got != "hello x 1 bytes" {
		t.Errorf("got %q", got)
	}
	close(release)
	if got := talk(t, held, "y"); got != "hello y 1 bytes" {
		t.Errorf("got %q", got)
	}
}

func TestListenNamesTheAddress(t *testing.T) {
	r := start(t, nil, "")
	other := New(r.options)
	spec := r.specs[0]
	spec.Address = netip.AddrPortFrom(spec.Address.Addr(), uint16(r.ports[0]))
	if err := other.Listen(t.Context(), append(r.specs[:0:0], spec)); err == nil || !strings.Contains(err.Error(), "stream_listen "+spec.Address.String()) {
		t.Errorf("%v", err)
	}
	if err := other.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSettings(t *testing.T) {
	values := map[string]string{
		"KONG_NGINX_SPROXY_PREREAD_TIMEOUT": "5", "KONG_NGINX_SPROXY_PREREAD_BUFFER_SIZE": "32k",
		"KONG_NGINX_SPROXY_PROXY_PROTOCOL_TIMEOUT": "500ms", "KONG_NGINX_SPROXY_SSL_HANDSHAKE_TIMEOUT": "7s",
		"KONG_NGINX_SPROXY_PROXY_RESPONSES": "0", "KONG_NGINX_SPROXY_PROXY_REQUESTS": "2", "KONG_NGINX_EVENTS_WORKER_CONNECTIONS": "100",
	}
	lookup := func(name string) (string, bool) { v, ok := values[name]; return v, ok }
	got, err := ReadSettings(lookup)
	want := Settings{PrereadTimeout: 5 * time.Second, PrereadBufferSize: 32 << 10, ProxyProtocolTimeout: 500 * time.Millisecond,
		SSLHandshakeTimeout: 7 * time.Second, ProxyResponses: 0, ProxyRequests: 2, WorkerConnections: 100}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%+v, %v", got, err)
	}
	for name := range values {
		if !ReadsSetting(name) {
			t.Errorf("%s is not known", name)
		}
		for _, wrong := range []string{"", "-1", "x", "9999999999999"} {
			values := map[string]string{name: wrong}
			_, err := ReadSettings(func(n string) (string, bool) { v, ok := values[n]; return v, ok })
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s=%q: %v", name, wrong, err)
			}
		}
	}
	values = map[string]string{"KONG_NGINX_EVENTS_WORKER_CONNECTIONS": "auto"}
	if got, err := ReadSettings(lookup); err != nil || fmt.Sprint(got) != fmt.Sprint(DefaultSettings()) {
		t.Errorf("%+v, %v", got, err)
	}
}
