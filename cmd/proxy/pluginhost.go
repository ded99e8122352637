// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/dial"
)

// pluginHost implements plugin.Host.
type pluginHost struct {
	dialer *dial.Dialer
	log    *slog.Logger
	mu     sync.Mutex
	states map[stateKey]any
}

type stateKey struct{ plugin, key string }

func newPluginHost(dialer *dial.Dialer, logger *slog.Logger) *pluginHost {
	return &pluginHost{dialer: dialer, log: logger, states: map[stateKey]any{}}
}

// Dial implements plugin.Host.
func (h *pluginHost) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return h.dialer.DialContext(ctx, network, address)
}

// State implements plugin.Host.
func (h *pluginHost) State(plugin, key string, create func() any) any {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := stateKey{plugin, key}
	v, ok := h.states[k]
	if !ok {
		v = create()
		h.states[k] = v
	}
	return v
}

// Logger implements plugin.Host.
func (h *pluginHost) Logger(plugin string) *slog.Logger { return h.log.With("plugin", plugin) }

// Now implements plugin.Host.
func (h *pluginHost) Now() time.Time { return time.Now() }

// Product implements plugin.Host.
func (h *pluginHost) Product() string { return product() }
