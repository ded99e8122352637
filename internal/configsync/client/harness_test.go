// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/asynctest"
	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/configsync/client"
	"github.com/kong/kong-istio-gateway/internal/configsync/server"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

const serverName = "stream.kong-system.svc"

var edge = configsync.Gateway{Namespace: "kong-istio", Name: "edge"}

var eventually = asynctest.Until

// checkLeaks fails the test when goroutines of the stream outlive it.
func checkLeaks(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		var stacks string
		buf := make([]byte, 1<<20)
		if !asynctest.Comes(func() bool {
			stacks = string(buf[:runtime.Stack(buf, true)])
			return !strings.Contains(stacks, "configsync/server.") && !strings.Contains(stacks, "grpc/internal/transport") &&
				!strings.Contains(stacks, "configsync/client.")
		}) {
			t.Errorf("goroutines are left:\n%s", stacks)
		}
	})
}

// authority is a root certificate.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: t.Name()}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func (a *authority) issue(t *testing.T) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{serverName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// tokens is an authenticator: a token names the pod it belongs to.
type tokens map[string]server.Identity

func (m tokens) Authenticate(_ context.Context, token string) (server.Identity, error) {
	id, ok := m[token]
	if !ok {
		return id, errors.New("the token is not valid")
	}
	return id, nil
}

// world is a Service with managers behind it, and what is mounted into pods.
type world struct {
	t       *testing.T
	ca      *authority
	cert    atomic.Pointer[tls.Certificate]
	caDir   string
	token   string
	mu      sync.Mutex
	hosts   map[string]string // address of the Service → listener
	read    atomic.Int64      // bytes that proxies received
	dialled atomic.Int64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	checkLeaks(t)
	w := &world{t: t, ca: newAuthority(t), hosts: make(map[string]string)}
	dir := t.TempDir()
	w.caDir, w.token = filepath.Join(dir, "ca"), filepath.Join(dir, "token")
	if err := os.Mkdir(w.caDir, 0o700); err != nil {
		t.Fatal(err)
	}
	w.write(filepath.Join(w.caDir, "ca.crt"), w.ca.pem())
	w.write(w.token, []byte("pod-1\n"))
	w.cert.Store(w.ca.issue(t))
	return w
}

func (w *world) write(file string, data []byte) {
	w.t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

type manager struct {
	*server.Server
	changes atomic.Int64
	ahead   chan configsync.Position
	stop    func()
}

// lead starts a leading manager at an address of the Service.
func (w *world) lead(address string) *manager {
	w.t.Helper()
	m := &manager{ahead: make(chan configsync.Position, 100)}
	ids := tokens{}
	for _, pod := range []string{"pod-1", "pod-2"} {
		ids[pod] = server.Identity{Gateway: edge, PodName: pod, PodUID: "uid-" + pod}
	}
	m.Server = server.New(server.Config{
		TLS: &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return w.cert.Load(), nil
		}},
		Authenticator: ids, Schemas: configsync.CoreSchemas(), Logger: slog.New(slog.DiscardHandler),
		OnChange: func(configsync.Gateway) { m.changes.Add(1) },
		OnAhead: func(_ configsync.Gateway, p configsync.Position) {
			select {
			case m.ahead <- p:
			default:
			}
		},
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	w.hosts[address] = listener.Addr().String()
	w.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Serve(ctx, listener) }()
	var once sync.Once
	m.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				w.t.Errorf("Serve: %v", err)
			}
		})
	}
	w.t.Cleanup(m.stop)
	return m
}

type countedConn struct {
	net.Conn
	read *atomic.Int64
}

func (c countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.read.Add(int64(n))
	return n, err
}

func (w *world) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port != "8005" {
		return nil, fmt.Errorf("dialled %s: %w", address, err)
	}
	w.mu.Lock()
	target, ok := w.hosts[host]
	w.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("%s: connection refused", address)
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, target)
	if err != nil {
		return nil, err
	}
	w.dialled.Add(1)
	return countedConn{conn, &w.read}, nil
}

// proxy is a client with a data plane that only remembers.
type proxy struct {
	*client.Client
	mu      sync.Mutex
	updates []client.Update
	reject  func(client.Update) []configsync.Rejection
	stop    func()
}

func (p *proxy) apply(_ context.Context, u client.Update) []configsync.Rejection {
	p.mu.Lock()
	p.updates = append(p.updates, u)
	reject := p.reject
	p.mu.Unlock()
	if reject == nil {
		return nil
	}
	return reject(u)
}

func (p *proxy) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.updates)
}

func (p *proxy) last() client.Update {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.updates) == 0 {
		return client.Update{}
	}
	return p.updates[len(p.updates)-1]
}

// proxy makes a client; change may alter its configuration.
func (w *world) proxy(change func(*client.Config)) *proxy {
	w.t.Helper()
	p := &proxy{}
	c := client.Config{
		Gateway: edge, Pod: client.Pod{Name: "pod-1", UID: "uid-pod-1", Node: "node"}, Version: "1.2.3",
		Schemas: configsync.CoreSchemas(), Target: "dns:///" + serverName + ":8005", CADir: w.caDir, TokenFile: w.token,
		Apply: p.apply, Dial: w.dial,
		Resolve: func(_ context.Context, host string) ([]string, error) {
			if host != serverName {
				return nil, fmt.Errorf("resolved %s", host)
			}
			return []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}, nil
		},
		Backoff: client.Backoff{Base: time.Millisecond, Max: 20 * time.Millisecond},
		Logger:  slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&c)
	}
	var err error
	if p.Client, err = client.New(c); err != nil {
		w.t.Fatal(err)
	}
	return p
}

// run makes the client follow the stream until the test ends or stop is called.
func (w *world) run(p *proxy) *proxy {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	var once sync.Once
	p.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				w.t.Errorf("Run: %v", err)
			}
		})
	}
	w.t.Cleanup(p.stop)
	return p
}

func record(t testing.TB, e entity.Entity) *configsync.Record {
	t.Helper()
	r, err := configsync.NewRecord(e)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// snapshot returns a snapshot with a route for each "id=path" word.
func snapshot(t testing.TB, term, sequence uint64, routes ...string) configsync.Snapshot {
	t.Helper()
	edit := configsync.Records{}.Edit()
	for _, r := range routes {
		id, path, _ := strings.Cut(r, "=")
		edit.Put(record(t, &entity.Route{ID: entity.ID(id), Paths: []string{path}}).Entry())
	}
	return configsync.Snapshot{Position: configsync.Position{Term: term, Sequence: sequence}, Records: edit.Done()}
}

func (m *manager) publish(t *testing.T, s configsync.Snapshot) {
	t.Helper()
	if err := m.Publish(edge, s); err != nil {
		t.Fatal(err)
	}
}

func (m *manager) programmed(t *testing.T, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d programmed proxies", n), func() bool { return m.Facts(edge).Programmed == n })
}

// routes returns the routes of an update as "id=path" words.
func routes(u client.Update) string {
	var words []string
	for _, r := range u.Set().Routes {
		words = append(words, string(r.ID)+"="+strings.Join(r.Paths, ","))
	}
	return strings.Join(words, " ")
}

func changed(u client.Update) string {
	var words []string
	for _, k := range u.Changed {
		words = append(words, string(k.ID))
	}
	return strings.Join(words, " ")
}
