// SPDX-License-Identifier: Apache-2.0

// Package gateway puts a data plane together: engine, streams, plugins, resolver
// and the guarded way out. Where its configuration comes from is the caller's choice.
package gateway

import (
	"log/slog"
	"os"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/dial"
	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/dataplane/resolver"
	"github.com/kong/kong-istio-gateway/internal/dataplane/stream"
	"github.com/kong/kong-istio-gateway/internal/dataplane/vault"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// Options are what a Gateway is made of.
type Options struct {
	Settings engine.Settings
	// Streams are the settings of stream routes, but for those that Settings has
	// as well.
	Streams stream.Settings
	// DNS says how names are resolved.
	DNS resolver.Settings
	// Plugins are those that can be configured, Schemas how their entities look.
	Plugins []plugin.Registration
	Schemas entity.SchemaSet
	Logger  *slog.Logger
	// Product is the product token of Server and Via.
	Product string
	// AccessLog receives a line for each request, nil for none.
	AccessLog *engine.AccessLog
	// NoFiles keeps plugins from appending to files other than the process's own
	// outputs.
	NoFiles bool
	// Vault says where vault references lead. The zero value reads the
	// environment of the process, and no files.
	Vault vault.Settings
	// SecretsChanged is called after new values of vault references have changed
	// what runs, or what cannot; nil for no call. It must not wait.
	SecretsChanged func()
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

	secrets        secrets
	secretsChanged func()
}

// New returns a data plane that does not listen yet. It reads the system's
// resolver configuration.
func New(o Options) (*Gateway, error) {
	resolve, dialer, err := newNetwork(o.DNS)
	if err != nil {
		return nil, err
	}
	host := &pluginHost{dialer: dialer, log: o.Logger, product: o.Product, noFiles: o.NoFiles, states: map[stateKey]*state{}}
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
	settings.TrustedIPs, settings.PortMaps, settings.RouterFlavor = o.Settings.TrustedIPs, o.Settings.PortMaps, o.Settings.RouterFlavor
	streams := stream.New(stream.Options{
		Settings:  settings,
		Catalog:   catalog,
		Schemas:   o.Schemas,
		Dialer:    dialer,
		Resolve:   resolve,
		ServerTLS: e.StreamTLS(), Handshakes: e.Handshakes(), PeerStates: e.PeerStates(),
		ClientTLS: e.ClientTLS,
		Logger:    o.Logger,
	})
	g := &Gateway{Engine: e, Streams: streams, Dialer: dialer, Host: host, secretsChanged: o.SecretsChanged}
	g.secrets.layer = vault.New(vault.Options{Settings: o.Vault, Schemas: o.Schemas, Logger: o.Logger, Lookup: os.LookupEnv, Now: time.Now})
	return g, nil
}
