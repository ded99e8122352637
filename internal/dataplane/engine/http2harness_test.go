// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/plugins/registry"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

// h2Gateway is a started engine with a plaintext and a TLS listener.
type h2Gateway struct {
	*engine.Engine
	plain, secure string

	// facts are what the log phase saw, in order.
	mu    sync.Mutex
	facts []h2Facts
	// closed counts instances of the recording plugin that were closed.
	closed atomic.Int32
}

type h2Facts struct {
	plugin.Request
	Peer, Local netip.AddrPort
	TLS         bool
	Status      int
	ClosedEarly bool
}

type h2Host struct{ plugin.Host }

func (h2Host) Logger(string) *slog.Logger { return slog.New(slog.DiscardHandler) }

func (h2Host) Now() time.Time { return time.Now() }

// recorder is a plugin under the name of correlation-id that notes what the
// log phase is told.
func (g *h2Gateway) recorder() plugin.Registration {
	return plugin.Registration{Name: "correlation-id", Priority: 1, Configure: func(plugin.Config) (*plugin.Phases, error) {
		var closed atomic.Bool
		return &plugin.Phases{
			Log: func(x plugin.Exchange) {
				r, c := *x.Request(), x.Client()
				for _, s := range []*string{&r.Method, &r.Scheme, &r.Authority, &r.Host, &r.Target, &r.Path, &r.Query} {
					*s = strings.Clone(*s)
				}
				g.mu.Lock()
				defer g.mu.Unlock()
				g.facts = append(g.facts, h2Facts{
					Request: r, Peer: c.Peer, Local: c.Local, TLS: c.TLS != nil, Status: x.Response().Status, ClosedEarly: closed.Load(),
				})
			},
			Close: func() { closed.Store(true); g.closed.Add(1) },
		}, nil
	}}
}

func (g *h2Gateway) seen(t *testing.T, n int) []h2Facts {
	t.Helper()
	var out []h2Facts
	h2Until(t, "the log phase", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		out = append(out[:0], g.facts...)
		return len(out) >= n
	})
	return out
}

func h2Until(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(h2Wait); !done(); {
		if now := <-tick.C; now.After(end) {
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

func h2Start(t *testing.T, backend http.Handler, change func(*engine.Settings)) *h2Gateway {
	t.Helper()
	upstream := httptest.NewServer(backend)
	t.Cleanup(upstream.Close)
	return h2StartAt(t, upstream.URL, change)
}

func h2Set(t *testing.T, url, header string) *entity.Set {
	t.Helper()
	set, problems := entity.Decode(fmt.Appendf(nil, h2Config, url, header), schemas.All())
	if len(problems) > 0 {
		t.Fatalf("config: %v", problems)
	}
	return set
}

func h2StartAt(t *testing.T, url string, change func(*engine.Settings)) *h2Gateway {
	t.Helper()
	g := &h2Gateway{}
	registrations := []plugin.Registration{g.recorder()}
	for _, r := range registry.All() {
		if r.Name == "request-termination" {
			registrations = append(registrations, r)
		}
	}
	catalog, err := pipeline.NewCatalog(h2Host{}, schemas.All(), registrations...)
	if err != nil {
		t.Fatal(err)
	}
	settings := engine.DefaultSettings()
	if change != nil {
		change(&settings)
	}
	g.Engine, err = engine.New(engine.Options{
		Settings: settings, Catalog: catalog, Schemas: schemas.All(), Dialer: &net.Dialer{}, Product: "kong/9",
		Logger: slog.New(slog.DiscardHandler),
		Resolve: func(context.Context, string) ([]balancer.Address, time.Time, error) {
			return []balancer.Address{{Addr: netip.MustParseAddr("127.0.0.1")}}, time.Now().Add(time.Hour), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if rejected := g.Apply(h2Set(t, url, "x-id")); len(rejected) > 0 {
		t.Fatalf("rejected: %v", rejected)
	}
	loopback := netip.MustParseAddrPort("127.0.0.1:0")
	if err := g.Listen(t.Context(), []engine.ListenSpec{{Address: loopback}, {Address: loopback, TLS: true, HTTP2: true}}); err != nil {
		t.Fatal(err)
	}
	g.plain, g.secure = g.Addresses()[0].String(), g.Addresses()[1].String()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = g.Drain(ctx)
	})
	return g
}

// h2Client speaks HTTP/2 only: with prior knowledge, or over TLS.
func h2Client(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{
		TLSClientConfig:       &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // the gateway's own certificate
		Protocols:             &http.Protocols{},
		ExpectContinueTimeout: h2Wait,
	}
	transport.Protocols.SetHTTP2(true)
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 2 * h2Wait, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// h2Bases are the two ways to the gateway.
func (g *h2Gateway) h2Bases() map[string]string {
	return map[string]string{"prior knowledge": "http://" + g.plain, "TLS": "https://" + g.secure}
}

// h2Answer is the head of an answer whose body was read.
type h2Answer struct {
	StatusCode    int
	Header        http.Header
	ContentLength int64
}

func h2Do(t *testing.T, c *http.Client, method, url string, body io.Reader, header ...string) (h2Answer, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	text, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		t.Fatalf("%s %s: body: %v", method, url, err)
	}
	if resp.ProtoMajor != 2 {
		t.Errorf("%s %s: answered with %s", method, url, resp.Proto)
	}
	return h2Answer{resp.StatusCode, resp.Header, resp.ContentLength}, string(text)
}

// h2Echo answers with the request's body and puts its head into Seen-*.
func h2Echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	for name, values := range r.Header {
		w.Header().Set("Seen-"+name, strings.Join(values, "|"))
	}
	w.Header().Set("Seen-Proto", r.Proto)
	w.Header().Set("Seen-Host", r.Host)
	w.Header().Set("Seen-Uri", r.RequestURI)
	w.Header().Set("Seen-Length", strconv.FormatInt(r.ContentLength, 10))
	if status, _ := strconv.Atoi(r.URL.Query().Get("status")); status != 0 {
		w.WriteHeader(status)
	}
	_, _ = w.Write(body)
}
