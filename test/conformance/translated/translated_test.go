// SPDX-License-Identifier: Apache-2.0

// Package translated holds the two wings together: every configuration that the
// control plane makes of its test data is one that the data plane runs.
package translated

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/controlplane/offline"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
	"github.com/kong/kong-istio-gateway/internal/dataplane/gateway"
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugins/registry"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

const (
	testdata = "../../../internal/controlplane/offline/testdata"
	// enough is fewer inputs than there are: the test must find them.
	enough = 25
)

// TestGoldensRun gives each golden file to a proxy as it is, and what its
// manifest becomes with the mesh off and on.
func TestGoldensRun(t *testing.T) {
	manifests, err := filepath.Glob(filepath.Join(testdata, "*.yaml"))
	if err != nil || len(manifests) < enough {
		t.Fatalf("%d manifests in %s: %v", len(manifests), testdata, err)
	}
	for _, name := range []string{"KONG_SECRET_TOKEN", "OTHER"} { // vaults.yaml refers to them
		t.Setenv(name, "word")
	}
	for _, path := range manifests {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			t.Run("golden", func(t *testing.T) { mustRun(t, read(t, strings.TrimSuffix(path, ".yaml")+".golden")) })
			for _, mesh := range []bool{false, true} {
				t.Run(fmt.Sprintf("mesh=%t", mesh), func(t *testing.T) { mustRun(t, translate(t, read(t, path), mesh)) })
			}
		})
	}
}

// TestRejectionsAreSeen holds that mustRun would see what is refused, and what
// cannot run although it is well written.
func TestRejectionsAreSeen(t *testing.T) {
	const service = `
_format_version: "3.0"
services: [{name: a, url: "http://a.test", routes: [{name: r, `
	for _, c := range []struct{ config, want string }{
		{service + `nonsense: true}]}]`, "refused: "},
		{service + `expression: 'http.path == "/"'}]}]`, "config check: "},
		{service + `expression: 'http.path == "/"'}]}]`, "rejected: "},
	} {
		if got := strings.Join(problems(t, []byte(c.config)), "\n"); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.config, got, c.want)
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// translate makes a declarative file of a manifest. Its first line holds the
// settings that offline's golden test gives it.
func translate(t *testing.T, manifest []byte, mesh bool) []byte {
	t.Helper()
	objects, _, err := offline.Decode(bytes.NewReader(manifest))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(manifest), "\n")
	out, err := entity.Encode(offline.Translate(objects, fragment.Settings{
		Class: "kong", Mesh: mesh,
		LocalRefused:            strings.Contains(first, "local-refused"),
		ServiceHost:             strings.Contains(first, "service-host"),
		RunWithoutBrokenPlugins: strings.Contains(first, "run-without"),
	}, schemas.All()).Set)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func mustRun(t *testing.T, config []byte) {
	t.Helper()
	for _, p := range problems(t, config) {
		t.Error(p)
	}
}

// problems says what the proxy has against a declarative file: what "proxy
// config check" says, and then what does not run although that accepted it.
func problems(t *testing.T, config []byte) (out []string) {
	t.Helper()
	set, refused := entity.Decode(config, schemas.All())
	for _, p := range refused {
		out = append(out, "refused: "+p.Error())
	}
	if len(out) > 0 {
		return out
	}
	g := start(t)
	rejected, err := g.Check(set)
	if err != nil {
		t.Fatal(err)
	}
	out = append(out, lines("config check", rejected)...)
	return append(out, lines("rejected", g.Apply(set))...)
}

func lines(from string, rejected []pipeline.Rejection) (out []string) {
	for _, r := range rejected {
		out = append(out, fmt.Sprintf("%s: %s %s: %s: %s", from, r.Key, r.Name, r.Field, r.Reason))
	}
	return out
}

// start runs a proxy as one that follows a control plane, until the test ends.
func start(t *testing.T) *gateway.Gateway {
	t.Helper()
	g, err := gateway.New(gateway.Options{
		Plugins: registry.All(), Schemas: schemas.All(), NoFiles: true,
		Logger: slog.New(slog.DiscardHandler), Product: "kong-istio-gateway/translated",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := g.Drain(ctx); err != nil {
			t.Error(err)
		}
	})
	loopback := netip.MustParseAddrPort("127.0.0.1:0")
	if err := g.Engine.Listen(t.Context(), []engine.ListenSpec{{Address: loopback}, {Address: loopback, TLS: true, HTTP2: true}}); err != nil {
		t.Fatal(err)
	}
	return g
}
