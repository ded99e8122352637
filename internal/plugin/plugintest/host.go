// SPDX-License-Identifier: Apache-2.0

package plugintest

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Host implements plugin.Host. The zero value dials the network, tells the real
// time, and collects log lines. It is safe for concurrent use.
type Host struct {
	// Clock replaces the real time.
	Clock func() time.Time
	// Dialer replaces the network.
	Dialer func(ctx context.Context, network, address string) (net.Conn, error)
	// NoFiles refuses every file.
	NoFiles bool

	mu    sync.Mutex
	state map[[2]string]any
	log   bytes.Buffer
}

// Dial implements plugin.Host.
func (h *Host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if h.Dialer != nil {
		return h.Dialer(ctx, network, address)
	}
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}

// MayAppend implements plugin.Host.
func (h *Host) MayAppend(path string) error {
	if h.NoFiles {
		return errors.New(path + " is not to be written")
	}
	return nil
}

// State implements plugin.Host.
func (h *Host) State(plugin, key string, create func() any) any {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := [2]string{plugin, key}
	v, ok := h.state[k]
	if !ok {
		if h.state == nil {
			h.state = map[[2]string]any{}
		}
		v = create()
		h.state[k] = v
	}
	return v
}

// Logger implements plugin.Host.
func (h *Host) Logger(plugin string) *slog.Logger {
	return slog.New(slog.NewTextHandler(h, nil)).With("plugin", plugin)
}

// Write takes a log line.
func (h *Host) Write(line []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.Write(line)
}

// Logged returns everything that was logged.
func (h *Host) Logged() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.String()
}

// Now implements plugin.Host.
func (h *Host) Now() time.Time {
	if h.Clock != nil {
		return h.Clock()
	}
	return time.Now()
}

// Product implements plugin.Host.
func (h *Host) Product() string { return "kong/3.9.1" }
