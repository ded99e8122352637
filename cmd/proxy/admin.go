// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net"
	"os"
	"slices"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/admin"
	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
	"github.com/kong/kong-istio-gateway/internal/dataplane/status"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugins/registry"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

// adminView shows the running entities. The zero value shows nothing and keeps
// nothing.
type adminView struct {
	entities *admin.Entities
	server   *admin.Server
}

func newAdminView(p *process, node string) adminView {
	if len(p.options.adminListen) == 0 {
		return adminView{}
	}
	entities := admin.NewEntities(time.Now)
	plugins := map[string]admin.PluginInfo{}
	for _, r := range registry.All() {
		plugins[r.Name] = admin.PluginInfo{Priority: r.Priority, Version: version}
	}
	delete(plugins, entity.Unusable(false).Name) // it stands for others and is not configured
	return adminView{entities, admin.New(admin.Options{
		Entities: entities, Schemas: schemas.All().Under(p.options.compatibility),
		Info: p.info, Status: func() any { return p.describe(status.Mebibytes) }, Health: p.targetHealth, Plugins: plugins, NodeID: node, Product: product(),
	})}
}

func (v adminView) serve(l net.Listener) error { return v.server.Serve(l) }

func (v adminView) close(ctx context.Context) {
	if v.server != nil {
		_ = v.server.Close(ctx)
	}
}

// info is what / tells of the process.
func (p *process) info() map[string]any {
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	role := "traditional"
	if p.options.controlPlane != "" {
		role = "data_plane"
	}
	return map[string]any{
		"version": version, "tagline": "Kong Istio Gateway", "hostname": host,
		"pids": map[string]any{"master": os.Getpid()},
		"configuration": map[string]any{
			"database": "off", "role": role, "admin_listen": p.options.adminListen, "status_listen": p.options.statusListen,
			"declarative_config": p.options.declarativeConfig,
		},
	}
}

// targetHealth is what is known of an upstream's addresses.
func (p *process) targetHealth(upstream entity.ID) (map[string][]admin.Address, bool) {
	all := p.engine.Upstreams()
	i := slices.IndexFunc(all, func(u engine.UpstreamReport) bool { return u.Upstream.ID == upstream })
	if i < 0 {
		return nil, false
	}
	states := map[string]string{
		balancer.StateHealthy: admin.Healthy, balancer.StateUnhealthy: admin.Unhealthy, balancer.StateOff: admin.HealthchecksOff,
	}
	out := map[string][]admin.Address{}
	for _, t := range all[i].Targets {
		if t.Address.IsValid() {
			out[t.Target] = append(out[t.Target], admin.Address{AddrPort: t.Address, Weight: t.Weight, Health: states[t.State]})
		}
	}
	return out, true
}
