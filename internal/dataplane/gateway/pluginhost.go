// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/dial"
)

// pluginHost implements plugin.Host.
type pluginHost struct {
	dialer  *dial.Dialer
	log     *slog.Logger
	product string
	noFiles bool

	mu     sync.Mutex
	states map[stateKey]*state
}

type stateKey struct{ plugin, key string }

// state is made outside the lock of all others: creating one may take time.
type state struct {
	once  sync.Once
	value any
}

// Dial implements plugin.Host.
func (h *pluginHost) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return h.dialer.DialContext(ctx, network, address)
}

// MayAppend implements plugin.Host.
func (h *pluginHost) MayAppend(path string) error {
	if h.noFiles && path != "/dev/stdout" && path != "/dev/stderr" {
		return fmt.Errorf("%s: with a control plane plugins write to /dev/stdout and /dev/stderr only; use one of them", path)
	}
	return nil
}

// State implements plugin.Host.
func (h *pluginHost) State(plugin, key string, create func() any) any {
	h.mu.Lock()
	s := h.states[stateKey{plugin, key}]
	if s == nil {
		s = &state{}
		h.states[stateKey{plugin, key}] = s
	}
	h.mu.Unlock()
	s.once.Do(func() { s.value = create() })
	return s.value
}

// Logger implements plugin.Host.
func (h *pluginHost) Logger(plugin string) *slog.Logger { return h.log.With("plugin", plugin) }

// Now implements plugin.Host.
func (h *pluginHost) Now() time.Time { return time.Now() }

// Product implements plugin.Host.
func (h *pluginHost) Product() string { return h.product }
