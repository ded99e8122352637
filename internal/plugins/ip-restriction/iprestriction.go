// SPDX-License-Identifier: Apache-2.0

// Package iprestriction admits clients by their address
// (https://docs.konghq.com/hub/kong-inc/ip-restriction/). It keeps no state.
package iprestriction

import (
	"fmt"
	"net/netip"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// Registration makes the plugin known to the data plane.
var Registration = plugin.Registration{Name: "ip-restriction", Priority: 990, Configure: configure}

type config struct {
	Allow   []string `json:"allow"`
	Deny    []string `json:"deny"`
	Status  int      `json:"status"`
	Message string   `json:"message"`
}

type restriction struct {
	allow, deny []netip.Prefix
	status      int
	message     string
}

func configure(c plugin.Config) (*plugin.Phases, error) {
	var conf config
	if err := schema.Decode(c.Values, &conf); err != nil {
		return nil, err
	}
	r := &restriction{status: conf.Status, message: conf.Message}
	if r.status == 0 {
		r.status = 403
	}
	var err error
	if r.allow, err = prefixes("allow", conf.Allow); err != nil {
		return nil, err
	}
	if r.deny, err = prefixes("deny", conf.Deny); err != nil {
		return nil, err
	}
	return &plugin.Phases{Access: r.access, Preread: r.preread}, nil
}

func prefixes(field string, list []string) ([]netip.Prefix, error) {
	out := make([]netip.Prefix, 0, len(list))
	for _, s := range list {
		if ip, err := netip.ParseAddr(s); err == nil {
			out = append(out, netip.PrefixFrom(ip.Unmap(), ip.Unmap().BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("%s: %q is neither an IP address nor a CIDR range", field, s)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// admits applies deny before allow.
func (r *restriction) admits(ip netip.Addr) bool {
	if contains(r.deny, ip) {
		return false
	}
	return len(r.allow) == 0 || contains(r.allow, ip)
}

func contains(list []netip.Prefix, ip netip.Addr) bool {
	for _, p := range list {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

func (r *restriction) access(x plugin.Exchange) {
	ip := x.Client().IP.Unmap()
	if r.admits(ip) {
		return
	}
	message := r.message
	if message == "" {
		message = "IP address not allowed: " + ip.String()
	}
	x.Exit(plugin.Reply{Status: r.status, Message: message})
}

func (r *restriction) preread(s plugin.Session) {
	if !r.admits(s.Client().IP.Unmap()) {
		s.Abort()
	}
}
