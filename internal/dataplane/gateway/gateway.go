// SPDX-License-Identifier: Apache-2.0

// Package gateway puts a data plane together: engine, streams, plugins, resolver
// and the guarded way out. Where its configuration comes from is the caller's choice.
package gateway

import (
	"log/slog"

	"github.com/kong/kong-istio-gateway/internal/dataplane/dial"
	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/dataplane/stream"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// Options are what a Gateway is made of.
type Options struct {
	Settings engine.Settings
	// Streams are the settings of stream routes, but for those that Settings has
	// as well.
	Streams stream.Settings
	// Plugins are those that can be configured, Schemas how their entities look.
	Plugins []plugin.Registration
	Schemas entity.SchemaSet
	Logger  *slog.Logger
	// Product is the product token of Server and Via.
	Product string
	// AccessLog receives a line for each request, nil for none.
	AccessLog *engine.AccessLog
}

// Gateway is a data plane that was given no configuration yet.
type Gateway struct {
	// Engine serves requests, Streams serves sessions of stream routes. Both are
	// given their configuration through the Gateway.
	Engine  *engine.Engine
	Streams *stream.Server
	// Dialer is the way out of engine and plugins. Its policy may be changed
	// while it is used.
	Dialer *dial.Dialer
	// Host is the process as its plugins see it.
	Host plugin.Host
}

// New returns a data plane that does not listen yet. It reads the system's
// resolver configuration.
func New(o Options) (*Gateway, error) {
	resolve, dialer, err := newNetwork()
	if err != nil {
		return nil, err
	}
	host := &pluginHost{dialer: dialer, log: o.Logger, product: o.Product, states: map[stateKey]*state{}}
	catalog, err := pipeline.NewCatalog(host, o.Schemas, o.Plugins...)
	if err != nil {
		return nil, err
	}
	e, err := engine.New(engine.Options{
		Settings:  o.Settings,
		Catalog:   catalog,
		Schemas:   o.Schemas,
		Dialer:    dialer,
		Resolve:   resolve,
		Logger:    o.Logger,
		Product:   o.Product,
		AccessLog: o.AccessLog,
	})
	if err != nil {
		return nil, err
	}
	settings := o.Streams
	settings.TrustedIPs, settings.PortMaps = o.Settings.TrustedIPs, o.Settings.PortMaps
	streams := stream.New(stream.Options{
		Settings:  settings,
		Catalog:   catalog,
		Schemas:   o.Schemas,
		Dialer:    dialer,
		Resolve:   resolve,
		ServerTLS: e.StreamTLS(), Handshakes: e.Handshakes(),
		ClientTLS: e.ClientTLS,
		Logger:    o.Logger,
	})
	return &Gateway{Engine: e, Streams: streams, Dialer: dialer, Host: host}, nil
}
