// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/configsync/client"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
	"github.com/kong/kong-istio-gateway/test/bench/internal/feed"
)

const document = `_format_version: "3.0"
services:
- name: s
  url: http://127.0.0.1:1
  routes:
  - {name: a, hosts: [h], paths: [/a/, "~/a$"]}
  - {name: b, hosts: [h], paths: [/b/, "~/b$"]}
  - {name: pathless, hosts: [h]}
`

// rig is a feeder and a proxy that follows it.
type rig struct {
	t       *testing.T
	in      *json.Encoder
	out     *json.Decoder
	mu      sync.Mutex
	paths   map[string][]string // of routes, by name
	updates int
	reject  bool
}

func startRig(t *testing.T) *rig {
	t.Helper()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	certificate := httptest.NewUnstartedServer(nil)
	certificate.StartTLS()
	certificate.Close()
	key, err := x509.MarshalPKCS8PrivateKey(certificate.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	setup := feed.Setup{
		Config: file("kong.yml", document), Gateway: "bench/gateway", Token: "token",
		Cert: file("roots/ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate().Raw}))),
		Key:  file("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))),
	}
	commands, in := io.Pipe()
	out, answers := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(context.Background(), commands, answers) }()
	r := &rig{t: t, in: json.NewEncoder(in), out: json.NewDecoder(out), paths: map[string][]string{}}
	t.Cleanup(func() {
		_ = in.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if err := r.in.Encode(setup); err != nil {
		t.Fatal(err)
	}
	var address string
	if err := r.out.Decode(&address); err != nil {
		t.Fatal(err)
	}
	r.follow(client.Config{
		Gateway: configsync.Gateway{Namespace: "bench", Name: "gateway"}, Target: address, ServerName: "example.com",
		CADir: filepath.Join(dir, "roots"), TokenFile: file("token", "token"),
	})
	return r
}

// follow runs the proxy's end of the stream.
func (r *rig) follow(c client.Config) {
	var err error
	if c.Schemas, err = configsync.Schemas(schemas.All()); err != nil {
		r.t.Fatal(err)
	}
	c.Logger, c.Apply = slog.New(slog.DiscardHandler), r.apply
	proxy, err := client.New(c)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = proxy.Run(ctx) // it ends with ctx
	}()
	r.t.Cleanup(func() { stop(); <-ended })
}

func (r *rig) apply(_ context.Context, u client.Update) []configsync.Rejection {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.updates++
	for _, e := range u.Delta().Put {
		if route, ok := e.(*entity.Route); ok {
			r.paths[route.Name] = route.Paths
			if r.reject {
				return []configsync.Rejection{{Key: entity.KeyOf(e), Reason: "of the test"}}
			}
		}
	}
	return nil
}

func (r *rig) do(c feed.Command) (report feed.Report) {
	r.t.Helper()
	if err := r.in.Encode(c); err != nil {
		r.t.Fatal(err)
	}
	if err := r.out.Decode(&report); err != nil {
		r.t.Fatal(err)
	}
	return report
}

// taken returns how often the proxy was updated, and a route's paths in it.
func (r *rig) taken(route string) (updates int, paths []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.updates, r.paths[route]
}

// wait waits until the proxy was updated so often.
func (r *rig) wait(updates int) {
	r.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); ; <-tick.C {
		n, _ := r.taken("")
		if n >= updates {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("%d updates, want %d", n, updates)
		}
	}
}

func TestChangesReachTheProxyOneByOne(t *testing.T) {
	r := startRig(t)
	if report := r.do(feed.Command{Verb: feed.Await}); report.Failure != "" {
		t.Fatal(report.Failure)
	}
	for round, rate := range []float64{0, 200} {
		before, _ := r.taken("")
		if report := r.do(feed.Command{Verb: feed.Begin, Routes: []string{"a", "b"}, Rate: rate}); report.Failure != "" {
			t.Fatal(report.Failure)
		}
		r.wait(before + 5)
		report := r.do(feed.Command{Verb: feed.End})
		name := []string{"b", "a"}[report.Changes%2]
		after, got := r.taken(name)
		if err := report.Taken(0); err != nil || report.Changes != after-before || report.Delay <= 0 {
			t.Errorf("round %d: %v: %+v, %d updates", round, err, report, after-before)
		}
		if !slices.Equal(got, []string{report.Path + "/", "~" + report.Path + "$"}) || report.Host != "h" {
			t.Errorf("round %d: %s has %v, want what %+v says", round, name, got, report)
		}
		if !strings.HasPrefix(report.Former, "/changed-") || report.Former == report.Path {
			t.Errorf("round %d: it was at %s before", round, report.Former)
		}
	}
}

func TestFormerIsAPathThatCanBeAskedFor(t *testing.T) {
	for want, paths := range map[string][]string{"/a/": {"~/a$", "/a/", "/b"}, "~/a$": {"~/a$"}} {
		if got := former(paths); got != want {
			t.Errorf("%v: %s", paths, got)
		}
	}
}

func TestWhatTheProxyRejectsFails(t *testing.T) {
	r := startRig(t)
	if report := r.do(feed.Command{Verb: feed.Await}); report.Failure != "" {
		t.Fatal(report.Failure)
	}
	r.mu.Lock()
	r.reject = true
	r.mu.Unlock()
	if report := r.do(feed.Command{Verb: feed.Begin, Routes: []string{"a"}}); report.Failure != "" {
		t.Fatal(report.Failure)
	}
	r.wait(2)
	if report := r.do(feed.Command{Verb: feed.End}); !strings.Contains(report.Failure, "of the test") || report.Changes != 0 {
		t.Errorf("%+v", report)
	}
}

func TestWrongCommands(t *testing.T) {
	r := startRig(t)
	for name, c := range map[string]feed.Command{
		"unknown":        {Verb: "sing"},
		"end of nothing": {Verb: feed.End},
		"no routes":      {Verb: feed.Begin},
		"no such route":  {Verb: feed.Begin, Routes: []string{"c"}},
		"no path":        {Verb: feed.Begin, Routes: []string{"pathless"}},
		"negative":       {Verb: feed.Begin, Routes: []string{"a"}, Rate: -1},
	} {
		if report := r.do(c); report.Failure == "" {
			t.Errorf("%s: no failure", name)
		}
	}
}
