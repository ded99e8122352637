// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/dataplane/admin"
	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
	"github.com/kong/kong-istio-gateway/internal/dataplane/status"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugins/registry"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

// parseAdminListen reads Kong's admin_listen: addresses on loopback, separated
// by commas, or off. Options that concern sockets alone are allowed and have no
// effect.
func parseAdminListen(text string) (addresses []string, err error) {
	if strings.TrimSpace(text) == "off" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		words := strings.Fields(part)
		if len(words) == 0 {
			return nil, fmt.Errorf("admin_listen: %q has an empty part; give 127.0.0.1:8001, or off", text)
		}
		if err := admin.CheckListen(words[0]); err != nil {
			return nil, fmt.Errorf("admin_listen: %w", err)
		}
		for _, option := range words[1:] {
			if option != "reuseport" && option != "deferred" && !strings.HasPrefix(option, "backlog=") {
				return nil, fmt.Errorf("admin_listen: %s has the option %q; the Admin view is plain HTTP on loopback", words[0], option)
			}
		}
		addresses = append(addresses, words[0])
	}
	return addresses, nil
}

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
	entities := admin.NewEntities()
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

// listen serves the view on each address until it is closed. What ends a
// listener goes to failed.
func (v adminView) listen(ctx context.Context, addresses []string, failed chan<- error) error {
	for _, address := range addresses {
		var config net.ListenConfig
		l, err := config.Listen(ctx, "tcp", address)
		if err != nil {
			return fmt.Errorf("admin_listen: %w", err)
		}
		go func() { failed <- v.server.Serve(l) }()
	}
	return nil
}

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
			"database": "off", "role": role, "admin_listen": p.options.adminListen, "status_listen": []string{p.options.statusListen},
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
