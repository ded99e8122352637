// SPDX-License-Identifier: Apache-2.0

package recorded

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/kong/kong-istio-gateway/internal/configsync"
	streamclient "github.com/kong/kong-istio-gateway/internal/configsync/client"
	"github.com/kong/kong-istio-gateway/internal/configsync/server"
	"github.com/kong/kong-istio-gateway/internal/dataplane/gateway"
	"github.com/kong/kong-istio-gateway/internal/dataplane/meshscope"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

// streamWait bounds the wait until a proxy has acknowledged a configuration.
const streamWait = 20 * time.Second

// ControlPlane is the manager's end of the configuration stream, on a port of
// its own, for any number of gateways. Its methods are safe for concurrent use.
type ControlPlane struct {
	server  *server.Server
	schemas []configsync.Schema
	address string
	dir     string // root certificate and tokens
	count   atomic.Int64
	stop    context.CancelFunc
	done    chan error
}

// serverName is in the certificate that net/http/httptest brings.
const serverName = "example.com"

// StartControlPlane serves streams until Close. It keeps files in dir.
func StartControlPlane(dir string) (*ControlPlane, error) {
	known, err := configsync.Schemas(schemas.All())
	if err != nil {
		return nil, err
	}
	certificate := httptest.NewUnstartedServer(nil)
	certificate.StartTLS()
	certificate.Close()
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate().Raw})
	p := &ControlPlane{schemas: known, dir: dir, done: make(chan error, 1)}
	if err := errors.Join(os.Mkdir(p.roots(), 0o700), os.WriteFile(filepath.Join(p.roots(), "ca.crt"), root, 0o600)); err != nil {
		return nil, err
	}
	p.server = server.New(server.Config{
		TLS:           &tls.Config{MinVersion: tls.VersionTLS13, Certificates: certificate.TLS.Certificates},
		Authenticator: tokens{}, Schemas: known, Logger: slog.New(slog.DiscardHandler),
		OnChange: func(configsync.Gateway) {}, OnAhead: func(configsync.Gateway, configsync.Position) {},
	})
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // ends with Close
	if err != nil {
		return nil, err
	}
	p.address = l.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	go func() { p.done <- p.server.Serve(ctx, l) }()
	return p, nil
}

func (p *ControlPlane) roots() string { return filepath.Join(p.dir, "roots") }

// Close ends all streams.
func (p *ControlPlane) Close() error {
	p.stop()
	return <-p.done
}

// tokens knows pods by tokens that are their gateway's name.
type tokens struct{}

// Authenticate implements server.Authenticator.
func (tokens) Authenticate(_ context.Context, token string) (server.Identity, error) {
	namespace, name, ok := strings.Cut(token, "/")
	if !ok {
		return server.Identity{}, errors.New("not a token of a gateway")
	}
	return server.Identity{Gateway: configsync.Gateway{Namespace: namespace, Name: name}, PodName: "proxy", PodUID: name}, nil
}

// follower is a proxy's end of the stream, as cmd/proxy has it, and what the
// control plane has published for it.
type follower struct {
	plane    *ControlPlane
	name     configsync.Gateway
	gate     *meshscope.Gate
	rejected []configsync.Rejection
	sequence uint64
	stop     context.CancelFunc
	done     chan struct{}
}

// follow makes a gateway take its configuration from the stream.
func (p *ControlPlane) follow(g *gateway.Gateway) (*follower, error) {
	n := p.count.Add(1)
	f := &follower{plane: p, name: configsync.Gateway{Namespace: "recorded", Name: fmt.Sprintf("gateway-%d", n)}, done: make(chan struct{})}
	token := filepath.Join(p.dir, f.name.Name)
	if err := os.WriteFile(token, []byte(f.name.String()), 0o600); err != nil {
		return nil, err
	}
	discard := slog.New(slog.DiscardHandler)
	f.gate = meshscope.New(meshscope.Options{
		Apply: func(d entity.Delta, _ bool) {
			f.rejected = f.rejected[:0]
			for _, r := range g.Update(d) {
				f.rejected = append(f.rejected, configsync.Rejection{Key: r.Key, Name: r.Name, Field: r.Field, Reason: r.Reason})
			}
		},
		Retire: func(a netip.AddrPort) { g.Engine.Retire(a) },
		Logger: discard,
	})
	c, err := streamclient.New(streamclient.Config{
		Gateway: f.name, Pod: streamclient.Pod{Name: "proxy", UID: f.name.Name}, Schemas: p.schemas,
		Target: p.address, ServerName: serverName, CADir: p.roots(), TokenFile: token,
		Apply: f.apply, Logger: discard,
	})
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	go func() {
		defer close(f.done)
		_ = c.Run(ctx) // it ends with ctx
	}()
	return f, nil
}

func (f *follower) apply(ctx context.Context, u streamclient.Update) []configsync.Rejection {
	scope := u.Settings.Scope
	f.gate.Apply(ctx, meshscope.Change{Delta: u.Delta(), Scopes: u.ChangedScope}, func(a netip.AddrPort) (meshscope.Scope, bool) {
		e, ok := scope.Lookup(a)
		return meshscope.Scope{Hash: e.EgressHash, Held: e.Held}, ok
	})
	return f.rejected
}

// publish makes a configuration the gateway's and waits until its proxy has
// acknowledged it.
func (f *follower) publish(set *entity.Set) error {
	edit := configsync.Records{}.Edit()
	for e := range set.All() {
		r, err := configsync.NewRecord(e)
		if err != nil {
			return err
		}
		edit.Put(r.Entry())
	}
	f.sequence++
	position := configsync.Position{Term: 1, Sequence: f.sequence}
	if err := f.plane.server.Publish(f.name, configsync.Snapshot{Position: position, Records: edit.Done()}); err != nil {
		return err
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(streamWait); ; <-tick.C {
		facts := f.plane.server.Facts(f.name)
		switch {
		case len(facts.Rejections)+len(facts.Omissions) > 0:
			return fmt.Errorf("configuration rejected by the stream: %v %v", facts.Rejections, facts.Omissions)
		case facts.Position == position && facts.Programmed == 1:
			return nil
		case time.Now().After(end):
			return fmt.Errorf("the proxy did not acknowledge %s: %+v", position, facts)
		}
	}
}

func (f *follower) close() {
	f.stop()
	<-f.done
	f.gate.Close()
	f.plane.server.Forget(f.name)
}
