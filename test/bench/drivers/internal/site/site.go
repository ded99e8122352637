// SPDX-License-Identifier: Apache-2.0

// Package site is the work that a proxy does for a request whatever drives its
// connections: routing, an empty plan, Kong's headers both ways. It does no I/O.
package site

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/dataplane/router"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
)

// Product is the product token of Server and Via.
const Product = "kong/3.9.1"

// Kong's defaults (nginx_http_* and those of a service).
const (
	HeaderTimeout    = 60 * time.Second
	BodyTimeout      = 60 * time.Second
	SendTimeout      = 60 * time.Second
	KeepaliveTimeout = 75 * time.Second
	ConnectTimeout   = 60 * time.Second
	ReadTimeout      = 60 * time.Second
	WriteTimeout     = 60 * time.Second
	UpstreamIdle     = 60 * time.Second
	UpstreamPool     = 512
)

// The paths that clients ask for.
const (
	// PlainPath has no plugins.
	PlainPath = "/plain"
	// WaitPath has a plugin that waits for WaitTime, as for an answer of the
	// network.
	WaitPath = "/wait"
	// QuickPath has a plugin that may wait and does not.
	QuickPath = "/quick"
)

// WaitTime is how long the plugin of WaitPath waits.
const WaitTime = 20 * time.Millisecond

const document = `_format_version: "3.0"
services:
- name: backend
  url: http://%s
  routes:
  - {name: plain, paths: [/plain], strip_path: false}
  - {name: wait, paths: [/wait], strip_path: false, plugins: [{name: wait}]}
  - {name: quick, paths: [/quick], strip_path: false, plugins: [{name: quick}]}
`

// Parts are what the real engine is made of as well.
type Parts struct {
	Set     *entity.Set
	Catalog *pipeline.Catalog
	Schemas entity.SchemaSet
}

// NewParts returns the configuration in front of a backend.
func NewParts(backend netip.AddrPort) (*Parts, error) {
	var known []entity.PluginSchema
	for _, name := range []string{"wait", "quick"} {
		known = append(known, entity.PluginSchema{Name: name, Protocols: entity.HTTPProtocols(), Config: schema.NewRecord()})
	}
	schemas, err := entity.NewSchemaSet(known...)
	if err != nil {
		return nil, err
	}
	catalog, err := pipeline.NewCatalog(&plugintest.Host{}, schemas, waiting("wait", WaitTime), waiting("quick", 0))
	if err != nil {
		return nil, err
	}
	set, problems := entity.Decode(fmt.Appendf(nil, document, backend), schemas)
	if len(problems) > 0 {
		return nil, fmt.Errorf("configuration: %v", problems)
	}
	return &Parts{Set: set, Catalog: catalog, Schemas: schemas}, nil
}

// waiting is a plugin that may block, for so long.
func waiting(name string, d time.Duration) plugin.Registration {
	return plugin.Registration{Name: name, Priority: 1000, Configure: func(plugin.Config) (*plugin.Phases, error) {
		return &plugin.Phases{
			Needs: plugin.Needs{MayBlock: true},
			Access: func(plugin.Exchange) {
				if d > 0 {
					time.Sleep(d) //nolint:forbidigo // what the plugin is for
				}
			},
		}, nil
	}}
}

// Site is a compiled configuration.
type Site struct {
	Backend netip.AddrPort

	router *router.Router
	plans  *pipeline.Plans
	date   atomic.Pointer[dateLine]
}

// routed is what a route leads to.
type routed struct{ plan *pipeline.Plan }

// New compiles the configuration in front of a backend.
func New(backend netip.AddrPort) (*Site, error) {
	parts, err := NewParts(backend)
	if err != nil {
		return nil, err
	}
	s := &Site{Backend: backend}
	var instances []*pipeline.Instance
	for _, p := range parts.Set.Plugins {
		instance, rejected := parts.Catalog.Configure(p, nil)
		if rejected != nil {
			return nil, rejected
		}
		instances = append(instances, instance)
	}
	s.plans = pipeline.NewPlans(instances...)
	service := parts.Set.Services[0]
	items := make([]router.Item, 0, len(parts.Set.Routes))
	for _, r := range parts.Set.Routes {
		items = append(items, router.Item{Route: r, Service: service, Data: &routed{plan: s.plans.For(r, service)}})
	}
	routes, problems := router.New(items)
	if len(problems) > 0 {
		return nil, errors.New(problems[0].String())
	}
	s.router = routes
	return s, nil
}

// dateLine is the Date header of one second.
type dateLine struct {
	second int64
	text   []byte
}

// Date returns the Date header of a time.
func (s *Site) Date(now time.Time) []byte {
	if line := s.date.Load(); line != nil && line.second == now.Unix() {
		return line.text
	}
	line := &dateLine{second: now.Unix(), text: []byte(now.UTC().Format(http.TimeFormat))}
	s.date.Store(line)
	return line.text
}

// Unrouted is the plan of requests that no route was found for yet.
func (s *Site) Unrouted() *pipeline.Plan { return s.plans.Unrouted() }

// Match finds the route of a request, and its plan.
func (s *Site) Match(in *router.Input) (router.Result, *pipeline.Plan, bool) {
	match, ok := s.router.Match(in)
	if !ok {
		return match, nil, false
	}
	return match, match.Route.Data.(*routed).plan, true
}
