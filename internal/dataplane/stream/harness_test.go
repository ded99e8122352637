// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/asynctest"
	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/dataplane/dial"
	"github.com/kong/kong-istio-gateway/internal/dataplane/listener"
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
	iprestriction "github.com/kong/kong-istio-gateway/internal/plugins/ip-restriction"
	iprestrictionschema "github.com/kong/kong-istio-gateway/internal/plugins/ip-restriction/schema"
)

// patience is how long a test waits for what must come.
const patience = asynctest.Patience

var until = asynctest.Until

// rig is a started server. Ports are those of its listeners.
type rig struct {
	*Server
	t       testing.TB
	ports   []int
	log     *asynctest.Log
	schemas entity.SchemaSet
	drained bool
	// logged receives each session that the plugin "probe" logs.
	logged chan *pipeline.Session
	// preread is called by the plugin "probe".
	preread func(plugin.Session)
	closed  chan string // ids of closed instances of "probe"
}

// start runs a server with listeners on free loopback ports until the test
// ends. The flags are those of the listeners.
func start(t testing.TB, change func(*Settings), flags ...string) *rig {
	t.Helper()
	r := &rig{t: t, log: &asynctest.Log{}, logged: make(chan *pipeline.Session, 1000), closed: make(chan string, 100)}
	settings := DefaultSettings()
	if change != nil {
		change(&settings)
	}
	catalog := r.catalog()
	r.Server = New(Options{
		Settings: settings, Catalog: catalog, Schemas: r.schemas, Dialer: dial.New(nil, 0),
		Logger:    slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		ServerTLS: &tls.Config{Certificates: []tls.Certificate{certificate(t, "default.test")}, MinVersion: tls.VersionTLS12},
		ClientTLS: func(s *entity.Service, client *tls.Certificate, roots *x509.CertPool) *tls.Config {
			c := &tls.Config{InsecureSkipVerify: s.TLSVerify == nil || !*s.TLSVerify, RootCAs: roots}
			if client != nil {
				c.Certificates = []tls.Certificate{*client}
			}
			return c
		},
		Resolve: func(_ context.Context, host string) ([]balancer.Address, time.Time, error) {
			if strings.HasSuffix(host, ".invalid") {
				return nil, time.Time{}, errors.New("no such host")
			}
			return []balancer.Address{{Addr: netip.MustParseAddr("127.0.0.1")}}, time.Now().Add(time.Hour), nil
		},
	})
	entries := make([]string, 0, len(flags))
	for _, f := range flags {
		host := "127.0.0.1"
		if rest, ok := strings.CutPrefix(f, "any "); ok {
			host, f = "[::]", rest
		}
		entries = append(entries, host+":0 "+f)
	}
	specs, err := listener.Parse(listener.Stream, strings.Join(entries, ","))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Listen(t.Context(), specs); err != nil {
		t.Fatal(err)
	}
	for _, a := range r.Addresses() {
		r.ports = append(r.ports, int(netip.MustParseAddrPort(a.String()).Port()))
	}
	t.Cleanup(r.stop)
	return r
}

func (r *rig) stop() {
	if !r.drained {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = r.Drain(ctx)
	}
	if log := r.log.String(); strings.Contains(log, "sessions do not end") || !strings.Contains(r.t.Name(), "Fault") && strings.Contains(log, "plugin failed") {
		r.t.Errorf("log:\n%s", log)
	}
}

// catalog registers ip-restriction and a plugin "probe" that shows sessions.
func (r *rig) catalog() *pipeline.Catalog {
	r.t.Helper()
	probe := entity.PluginSchema{
		Name: "probe", Config: schema.NewRecord(schema.String("tag")),
		DefaultProtocols: []entity.Protocol{"tcp", "tls", "tls_passthrough", "udp"},
	}
	var err error
	if r.schemas, err = entity.NewSchemaSet(probe, iprestrictionschema.Plugin); err != nil {
		r.t.Fatal(err)
	}
	registration := plugin.Registration{Name: "probe", Priority: 10, Configure: func(c plugin.Config) (*plugin.Phases, error) {
		if c.Values["tag"] == "unusable" {
			return nil, errors.New("tag is unusable")
		}
		return &plugin.Phases{
			Preread: func(s plugin.Session) {
				if r.preread != nil {
					r.preread(s)
				}
			},
			StreamLog: func(s plugin.Session) { r.logged <- s.(*pipeline.Session) },
			Close:     func() { r.closed <- fmt.Sprint(c.Values["tag"]) },
		}, nil
	}}
	catalog, err := pipeline.NewCatalog(&plugintest.Host{}, r.schemas, registration, iprestriction.Registration)
	if err != nil {
		r.t.Fatal(err)
	}
	return catalog
}

// config makes a declarative document the running configuration. PORT0, PORT1
// … are the ports of the listeners. Nothing may be rejected.
func (r *rig) config(text string) {
	r.t.Helper()
	if rejected := r.Apply(r.set(text)); len(rejected) > 0 {
		r.t.Fatalf("rejected: %v", rejected)
	}
}

func (r *rig) set(text string) *entity.Set {
	r.t.Helper()
	for i, port := range r.ports {
		text = strings.ReplaceAll(text, fmt.Sprintf("PORT%d", i), fmt.Sprint(port))
	}
	set, problems := entity.Decode([]byte("_format_version: \"3.0\"\n"+text), r.schemas)
	if len(problems) > 0 {
		r.t.Fatalf("config: %v\n%s", problems, text)
	}
	return set
}

// route is the configuration of one service with a route for the first
// listener, and the probe.
func route(protocol, upstream, more string) string {
	host, port, _ := net.SplitHostPort(upstream)
	return fmt.Sprintf(`
plugins: [{name: probe}]
services:
- {name: s, host: %q, port: %s, protocol: %s, retries: 2, %s routes: [{name: r, protocols: [%s], destinations: [{port: PORT0}]}]}
`, host, port, serviceProtocol(protocol), more, protocol)
}

func serviceProtocol(p string) string {
	if p == "tls" {
		return "tcp" // terminated here, plain behind
	}
	return p
}

// dial connects to a listener.
func (r *rig) dial(i int) *net.TCPConn {
	r.t.Helper()
	c, err := (&net.Dialer{Timeout: patience}).DialContext(r.t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", r.ports[i]))
	if err != nil {
		r.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	r.t.Cleanup(func() { _ = c.Close() })
	return c.(*net.TCPConn)
}

// session returns the next session that was logged.
func (r *rig) session() *pipeline.Session {
	r.t.Helper()
	select {
	case s := <-r.logged:
		return s
	case <-time.After(patience):
		r.t.Fatalf("no session was logged\n%s", r.log.String())
		return nil
	}
}

// upstream accepts connections and hands each to a function.
func upstream(t testing.TB, serve func(*net.TCPConn)) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer func() { _ = c.Close() }()
				_ = c.SetDeadline(time.Now().Add(patience))
				serve(c.(*net.TCPConn))
			})
		}
	})
	return l.Addr().String()
}

// echo is an upstream that greets, returns what it gets and says how much that
// was when the client is done.
func echo(t testing.TB) string {
	return upstream(t, func(c *net.TCPConn) {
		_, _ = io.WriteString(c, "hello ")
		n, _ := io.Copy(c, struct{ io.Reader }{c})
		_, _ = fmt.Fprintf(c, " %d bytes", n)
	})
}

// refusing returns an address where nobody listens.
func refusing(t testing.TB) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	return l.Addr().String()
}

// talk sends text, ends its half and returns everything that comes.
func talk(t testing.TB, c interface {
	io.ReadWriter
	CloseWrite() error
}, text string) string {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("%v after %q", err, got)
	}
	return string(got)
}

// closedSilently says whether the other side closes without a word.
func closedSilently(t testing.TB, c net.Conn) {
	t.Helper()
	if got, err := io.ReadAll(c); len(got) > 0 || err != nil && isTimeout(err) {
		t.Fatalf("read %q, %v", got, err)
	}
}

// certificate returns a self-signed certificate.
func certificate(t testing.TB, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}
