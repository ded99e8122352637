// SPDX-License-Identifier: Apache-2.0

// Package plugin is the contract between the data plane and its plugins. A
// plugin is a Registration: a name, Kong's priority, and a function that turns
// one configured entity into the Phases that the pipeline calls.
//
// # Ownership
//
// Strings and byte slices reached through an Exchange or a Session are views
// into buffers of the connection. They are valid until the phase call that
// obtained them returns; what lives longer is copied with Keep. A BodyFilter
// may change its chunk in place and never keeps it. Builds with the "poison"
// tag overwrite released buffers, so that a violation shows in tests.
//
// # Concurrency
//
// One exchange is handled by one goroutine at a time. The Phases of a plugin
// instance are called from many exchanges at once; what they share is theirs
// to guard.
package plugin

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Registration makes a plugin known to the data plane.
type Registration struct {
	// Name is Kong's name of the plugin.
	Name string
	// Priority is Kong's: higher runs first in every phase, equal priorities
	// run in reverse alphabetical order of the name.
	Priority int
	// Configure builds an instance. It is called once per plugin id and config
	// hash; the instance is carried into later snapshots until one of the two
	// changes. It must not block on the network.
	Configure func(Config) (*Phases, error)
}

// Config is what an instance is built from.
type Config struct {
	// Plugin is the entity, sparse as the user wrote it.
	Plugin *entity.Plugin
	// Values is the entity's config with the schema's defaults filled in.
	Values map[string]any
	// Host is the process the instance lives in.
	Host Host
}

// Phases are the functions of one instance; a nil function is a phase that
// the plugin does not take part in, and costs nothing.
type Phases struct {
	// Certificate may supply a certificate during the TLS handshake; nil
	// leaves the choice to the next plugin and the gateway's own store. Only
	// global instances run.
	Certificate func(context.Context, *tls.ClientHelloInfo) (*tls.Certificate, error)
	// Rewrite runs before a route is known. Only global instances run.
	Rewrite func(Exchange)
	// Access runs after a route matched. Exit ends the phase.
	Access func(Exchange)
	// Response sees the complete answer of the upstream before anything is
	// sent to the client. Its presence makes the answer buffered.
	Response func(Exchange)
	// HeaderFilter may change status and headers of the answer.
	HeaderFilter func(Exchange)
	// BodyFilter receives the answer's body in chunks and returns what goes on
	// instead: the chunk, a part of it, or memory of its own that stays
	// unchanged until the next call. The call with last set comes exactly once
	// and may carry an empty chunk. A filter that changes the length deletes
	// Content-Length in its HeaderFilter.
	BodyFilter func(x Exchange, chunk []byte, last bool) []byte
	// Log runs after the answer was sent, or failed to be.
	Log func(Exchange)

	// Preread decides about an L4 session before it is connected.
	Preread func(Session)
	// StreamLog runs after an L4 session ended.
	StreamLog func(Session)

	// Close releases what the instance holds. It runs once, after the last
	// exchange that captured the instance.
	Close func()

	Needs Needs
}

// Needs tells the engine what an instance depends on.
type Needs struct {
	// MayBlock says that Access or Response may wait for the network, so that
	// the engine must not run it where waiting would hold up other exchanges.
	MayBlock bool
	// RequestBody is the number of bytes of request body that must be present
	// as a whole before Access; a larger body is refused with 413. 0: not needed.
	RequestBody int64
	// ResponseBody is the number of bytes of response body that Response or
	// BodyFilter must see in one piece. 0: chunks are enough.
	ResponseBody int64
	// ClientCertificate asks TLS clients for a certificate, without verifying
	// it, in handshakes for the SNIs of the routes that the instance may run
	// for. A client need not have one; see Client.TLS.PeerCertificates.
	ClientCertificate bool
	// Trailers says that the answer's trailers must be known when BodyFilter is
	// called with last set.
	Trailers bool
}

// Host is what the process offers to its plugins. All methods are safe for
// concurrent use.
type Host interface {
	// Dial opens an outgoing connection. It is the only way out: the resolved
	// address is checked against the gateway's dial policy.
	Dial(ctx context.Context, network, address string) (net.Conn, error)
	// MayAppend says why a plugin may not append to a file, nil if it may. Who
	// configures plugins through a control plane must not fill the proxy's disk.
	MayAppend(path string) error
	// State returns the process-wide value kept under the plugin's name and
	// key, made by create when absent. It outlives instances and snapshots.
	State(plugin, key string, create func() any) any
	// Logger returns the logger for the plugin.
	Logger(plugin string) *slog.Logger
	// Now returns the time. Phases use the marks of the Exchange instead.
	Now() time.Time
	// Product is the product token of Server and Via, for example "kong/3.9.1".
	Product() string
}

// Slot is the index of a per-request value. Slots are allotted once, at
// package initialisation.
type Slot int

var slots []string

// NewSlot allots a slot; name appears in diagnostics only. It must be called
// from package initialisation.
func NewSlot(name string) Slot {
	slots = append(slots, name)
	return Slot(len(slots) - 1)
}

// SlotCount returns how many slots were allotted.
func SlotCount() int { return len(slots) }
