// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/asynctest"
	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
)

// patience is how long a test waits for what must come.
const patience = asynctest.Patience

var until = asynctest.Until

// rig is a started engine with a plaintext and a TLS listener.
type rig struct {
	*engine.Engine
	t             testing.TB
	plain, secure string
	log           *asynctest.Log
	access        *asynctest.Log
	accessLog     *engine.AccessLog
	schemas       entity.SchemaSet
	drained       bool
	// crashes is set where connections are meant to fail by an own mistake.
	crashes bool
}

// probes are plugins made of functions, by name.
type probes map[string]func() *plugin.Phases

// rigOptions change what a rig is made of.
type rigOptions struct {
	settings func(*engine.Settings)
	plugins  probes
	dialer   *net.Dialer
	// http1 offers no HTTP/2 over TLS.
	http1 bool
	// proxied makes connections begin with a PROXY header.
	proxied bool
	// mesh marks the listeners as those behind the pod's sidecar.
	mesh bool
	// queueing leaves connections in the kernel's queues until the drain.
	queueing bool
	// accessLog replaces the one that the rig can show.
	accessLog *engine.AccessLog
}

// startRig runs an engine with the configuration until the test ends.
func startRig(t testing.TB, config string, o rigOptions) *rig {
	t.Helper()
	r := &rig{t: t, log: &asynctest.Log{}, access: &asynctest.Log{}}
	if r.accessLog = o.accessLog; r.accessLog == nil {
		r.accessLog = engine.NewAccessLog(r.access)
	}
	settings := engine.DefaultSettings()
	if o.settings != nil {
		o.settings(&settings)
	}
	catalog := r.catalog(o.plugins)
	dialer := o.dialer
	if dialer == nil {
		dialer = &net.Dialer{}
	}
	var err error
	r.Engine, err = engine.New(engine.Options{
		Settings: settings, Catalog: catalog, Schemas: r.schemas, Dialer: dialer, Product: "kong/test",
		Logger: slog.New(slog.NewTextHandler(r.log, nil)), AccessLog: r.accessLog,
		Resolve: func(_ context.Context, host string) ([]balancer.Address, time.Time, error) {
			if strings.HasSuffix(host, ".invalid") {
				return nil, time.Time{}, errors.New("no such host")
			}
			return []balancer.Address{{Addr: netip.MustParseAddr("127.0.0.1")}}, time.Now().Add(time.Hour), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.apply(config)
	loopback := netip.MustParseAddrPort("127.0.0.1:0")
	specs := []engine.ListenSpec{
		{Address: loopback, ProxyProtocol: o.proxied, Mesh: o.mesh},
		{Address: loopback, TLS: true, HTTP2: !o.http1, ProxyProtocol: o.proxied, Mesh: o.mesh},
	}
	listen := r.Listen
	if o.queueing {
		listen = r.Open
	}
	if err := listen(t.Context(), specs); err != nil {
		t.Fatal(err)
	}
	r.plain, r.secure = r.Addresses()[0].String(), r.Addresses()[1].String()
	t.Cleanup(r.stop)
	return r
}

func (r *rig) stop() {
	if !r.drained {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = r.Drain(ctx)
	}
	r.accessLog.Close()
	if log := r.log.String(); strings.Contains(log, "requests do not end") || strings.Contains(log, "connection failed") && !r.crashes {
		r.t.Errorf("engine log:\n%s", log)
	}
}

// catalog registers the probes with falling priorities, in the order of their
// names.
func (r *rig) catalog(plugins probes) *pipeline.Catalog {
	r.t.Helper()
	var known []entity.PluginSchema
	var registrations []plugin.Registration
	for name, phases := range plugins {
		known = append(known, entity.PluginSchema{Name: name, Protocols: entity.HTTPProtocols(), Config: schema.NewRecord(schema.String("tag"))})
		registrations = append(registrations, plugin.Registration{
			Name: name, Priority: 1000 - int(name[len(name)-1]),
			Configure: func(c plugin.Config) (*plugin.Phases, error) {
				if c.Values["tag"] == "unusable" {
					return nil, errors.New("tag is unusable")
				}
				return phases(), nil
			},
		})
	}
	var err error
	if r.schemas, err = entity.NewSchemaSet(known...); err != nil {
		r.t.Fatal(err)
	}
	catalog, err := pipeline.NewCatalog(&plugintest.Host{}, r.schemas, registrations...)
	if err != nil {
		r.t.Fatal(err)
	}
	return catalog
}

// apply makes a declarative document the running configuration.
func (r *rig) apply(config string) []pipeline.Rejection {
	r.t.Helper()
	set, problems := entity.Decode([]byte("_format_version: \"3.0\"\n"+config), r.schemas)
	if len(problems) > 0 {
		r.t.Fatalf("config: %v", problems)
	}
	return r.Apply(set)
}

// service is the configuration of one service and a route for everything.
func service(url, more string) string {
	return fmt.Sprintf("services:\n- {name: s, url: %q, retries: 2, routes: [{name: r, paths: [/], strip_path: false}]}\n%s", url, more)
}

// serve runs an HTTP server until the test ends.
func serve(t testing.TB, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// serveTLS is serve over TLS.
func serveTLS(t testing.TB, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewTLSServer(handler)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// scripted is an upstream whose connections are handled byte by byte.
type scripted struct {
	net.Listener
	url string
	mu  sync.Mutex
	// opened counts connections.
	opened int
}

// script runs each with every connection, and its number from 1.
func script(t testing.TB, each func(n int, c net.Conn, in *bufio.Reader)) *scripted {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &scripted{Listener: l, url: "http://" + l.Addr().String()}
	var running sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); running.Wait() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.opened++
			n := s.opened
			s.mu.Unlock()
			running.Add(1)
			go func() {
				defer running.Done()
				defer func() { _ = c.Close() }()
				_ = c.SetDeadline(time.Now().Add(patience))
				each(n, c, bufio.NewReader(c))
			}()
		}
	}()
	return s
}

func (s *scripted) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened
}

// readHead reads a head up to its empty line.
func readHead(in *bufio.Reader) string {
	var head strings.Builder
	for {
		line, err := in.ReadString('\n')
		head.WriteString(line)
		if err != nil || line == "\r\n" {
			return head.String()
		}
	}
}

// wire is a client that writes and reads bytes.
type wire struct {
	net.Conn
	t  testing.TB
	in *bufio.Reader
}

func dialRig(t testing.TB, address string) *wire {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return wrap(t, c)
}

func wrap(t testing.TB, c net.Conn) *wire {
	_ = c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { _ = c.Close() })
	return &wire{Conn: c, t: t, in: bufio.NewReader(c)}
}

func (w *wire) send(text string) *wire {
	w.t.Helper()
	// Each exchange has its time, however many there are.
	_ = w.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(w, text); err != nil {
		w.t.Fatalf("send: %v", err)
	}
	return w
}

// answer reads one answer with its body.
func (w *wire) answer(method string) (*http.Response, string) {
	w.t.Helper()
	r, err := http.ReadResponse(w.in, &http.Request{Method: method})
	if err != nil {
		w.t.Fatalf("answer: %v", err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.t.Fatalf("body: %v", err)
	}
	return r, string(body)
}

// ended fails the test unless the connection ends now, without further bytes.
func (w *wire) ended() {
	w.t.Helper()
	rest, err := io.ReadAll(w.in)
	if err != nil || len(rest) > 0 {
		w.t.Fatalf("want the end of the connection, got %q, %v", rest, err)
	}
}

// get sends a request on a connection of its own.
func (r *rig) get(path string) (*http.Response, string) {
	r.t.Helper()
	return dialRig(r.t, r.plain).send("GET " + path + " HTTP/1.1\r\nHost: client.test\r\nConnection: close\r\n\r\n").answer("GET")
}
