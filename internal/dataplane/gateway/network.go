// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/dataplane/dial"
	"github.com/kong/kong-istio-gateway/internal/dataplane/resolver"
)

// dialTimeout bounds connections for which the caller sets no deadline.
const dialTimeout = 60 * time.Second

// newNetwork returns the process's resolver and its only way out.
func newNetwork(dns resolver.Settings) (balancer.Resolve, *dial.Dialer, error) {
	config, err := dns.Config("/etc/resolv.conf", "/etc/hosts")
	if err != nil {
		return nil, nil, err
	}
	names := resolver.New(config)
	resolve := func(ctx context.Context, host string) ([]balancer.Address, time.Time, error) {
		records, expires, err := names.Lookup(ctx, host)
		addresses := make([]balancer.Address, 0, len(records))
		for _, r := range records {
			addresses = append(addresses, balancer.Address{Addr: r.Addr, Port: r.Port, Weight: r.Weight, Name: r.Name})
		}
		return addresses, expires, err
	}
	return resolve, dial.New(names, dialTimeout), nil
}
