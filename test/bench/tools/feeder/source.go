// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/configsync/content"
	"github.com/kong/kong-istio-gateway/internal/configsync/server"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
	"github.com/kong/kong-istio-gateway/test/bench/internal/feed"
)

// patience bounds the wait for an acknowledgement.
const patience = 30 * time.Second

// source is the configuration and the server of its stream. One goroutine at a
// time uses it.
type source struct {
	address string
	gateway configsync.Gateway
	server  *server.Server
	routes  map[string]*entity.Route // by name, as they are now
	records *content.Edit[*configsync.Record]
	// sequence counts what was published.
	sequence uint64
	// news is signalled when the proxy may have acknowledged something.
	news chan struct{}
	stop context.CancelFunc
	done chan error
}

// startSource publishes the configuration of a declarative file and serves it.
func startSource(ctx context.Context, setup *feed.Setup) (*source, error) {
	known, err := configsync.Schemas(schemas.All())
	if err != nil {
		return nil, err
	}
	certificate, err := tls.LoadX509KeyPair(setup.Cert, setup.Key)
	if err != nil {
		return nil, err
	}
	s := &source{routes: map[string]*entity.Route{}, records: configsync.Records{}.Edit(), news: make(chan struct{}, 1), done: make(chan error, 1)}
	s.gateway.Namespace, s.gateway.Name, _ = strings.Cut(setup.Gateway, "/")
	if err := s.read(setup.Config); err != nil {
		return nil, err
	}
	s.server = server.New(server.Config{
		TLS:           &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate}},
		Authenticator: onePod{s.gateway, setup.Token}, Schemas: known, Logger: slog.New(slog.DiscardHandler),
		OnChange: func(configsync.Gateway) {
			select {
			case s.news <- struct{}{}:
			default:
			}
		},
		OnAhead: func(configsync.Gateway, configsync.Position) {},
	})
	if err := s.publish(); err != nil {
		return nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.address = l.Addr().String()
	ctx, s.stop = context.WithCancel(ctx)
	go func() { s.done <- s.server.Serve(ctx, l) }()
	return s, nil
}

// close ends the stream.
func (s *source) close() error {
	s.stop()
	return <-s.done
}

// read makes records of a declarative file.
func (s *source) read(path string) error {
	data, err := os.ReadFile(path) // #nosec G304 -- the caller's
	if err != nil {
		return err
	}
	set, problems := entity.Decode(data, schemas.All())
	if len(problems) > 0 {
		return fmt.Errorf("%s: %w", path, problems[0])
	}
	for _, r := range set.Routes {
		s.routes[r.Name] = r
	}
	for e := range set.All() {
		if err := s.put(e); err != nil {
			return err
		}
	}
	return nil
}

func (s *source) put(e entity.Entity) error {
	r, err := configsync.NewRecord(e)
	if err == nil {
		s.records.Put(r.Entry())
	}
	return err
}

// publish makes the records what the proxy is to hold.
func (s *source) publish() error {
	s.sequence++
	return s.server.Publish(s.gateway, configsync.Snapshot{Position: s.position(), Records: s.records.Done()})
}

func (s *source) position() configsync.Position {
	return configsync.Position{Term: 1, Sequence: s.sequence}
}

// await waits until the proxy has acknowledged what was published last. It
// fails when the proxy leaves out any of it.
func (s *source) await() error {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		facts := s.server.Facts(s.gateway)
		switch {
		case len(facts.Rejections)+len(facts.Omissions) > 0:
			return fmt.Errorf("the proxy leaves out %v %v", facts.Rejections, facts.Omissions)
		case facts.Position == s.position() && facts.Programmed == 1:
			return nil
		}
		select {
		case <-s.news:
		case <-timeout.C:
			return fmt.Errorf("the proxy did not acknowledge %s within %v; %d are connected", s.position(), patience, facts.Connected)
		}
	}
}

// onePod knows the one proxy by its token.
type onePod struct {
	gateway configsync.Gateway
	token   string
}

// Authenticate implements server.Authenticator.
func (o onePod) Authenticate(_ context.Context, token string) (server.Identity, error) {
	if subtle.ConstantTimeCompare([]byte(token), []byte(o.token)) == 0 {
		return server.Identity{}, errors.New("not the token of this run")
	}
	return server.Identity{Gateway: o.gateway, PodName: "proxy", PodUID: "proxy"}, nil
}
