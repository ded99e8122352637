// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

func TestNew(t *testing.T) {
	options := Options{Settings: engine.DefaultSettings(), Logger: slog.New(slog.DiscardHandler), Product: "kong/test"}
	g, err := New(options)
	if err != nil || g.Engine == nil || g.Dialer == nil {
		t.Fatalf("got %+v, %v", g, err)
	}
	if rejected := g.Engine.Apply(&entity.Set{}); len(rejected) > 0 {
		t.Errorf("an empty configuration: %v", rejected)
	}
	twice := plugin.Registration{Name: "twice"}
	options.Plugins = []plugin.Registration{twice, twice}
	if _, err := New(options); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("a plugin registered twice: %v", err)
	}
	options.Plugins, options.Settings.TLS.Policy.CipherSuite = nil, "none"
	if _, err := New(options); err == nil {
		t.Error("an unknown cipher suite is accepted")
	}
}

// State is made once for each plugin and key, whoever comes first, and making
// one may ask for another.
func TestPluginState(t *testing.T) {
	var log bytes.Buffer
	h := &pluginHost{log: slog.New(slog.NewTextHandler(&log, nil)), product: "kong/test", states: map[stateKey]*state{}}
	var made atomic.Int32
	var all sync.WaitGroup
	for range 50 {
		all.Add(1)
		go func() {
			defer all.Done()
			got := h.State("a", "key", func() any {
				made.Add(1)
				return h.State("a", "inner", func() any { return "inner" })
			})
			if got != "inner" {
				t.Errorf("got %v", got)
			}
		}()
	}
	all.Wait()
	if made.Load() != 1 {
		t.Errorf("made %d times", made.Load())
	}
	if got := h.State("b", "key", func() any { return "other" }); got != "other" {
		t.Errorf("another plugin's state: %v", got)
	}
	h.Logger("a").Warn("hello")
	if !strings.Contains(log.String(), "plugin=a") || h.Product() != "kong/test" || h.Now().IsZero() {
		t.Errorf("log %q, product %q", log.String(), h.Product())
	}
}
