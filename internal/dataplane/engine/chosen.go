// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"strings"
	"sync"

	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// chosenLimit bounds how many hosts chosen by plugins are remembered: a plugin
// may make them from what clients send.
const chosenLimit = 1024

// chosenHosts are the balancers of hosts that plugins chose. The zero value is
// ready. It is safe for concurrent use.
type chosenHosts struct {
	mu     sync.Mutex
	known  map[chosenHost]*balancer.Balancer
	closed bool
}

type chosenHost struct {
	host string
	port int
}

// get returns the balancer of a host, made by create when it is new. The host
// may be a view of a request.
func (c *chosenHosts) get(key chosenHost, create func(chosenHost) *balancer.Balancer) *balancer.Balancer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b := c.known[key]; b != nil {
		return b
	}
	key.host = strings.Clone(key.host)
	b := create(key)
	if c.closed {
		b.Close()
		return b
	}
	if len(c.known) >= chosenLimit {
		for old, forgotten := range c.known {
			// Its picked peers stay usable.
			forgotten.Close()
			delete(c.known, old)
			break
		}
	}
	if c.known == nil {
		c.known = map[chosenHost]*balancer.Balancer{}
	}
	c.known[key] = b
	return b
}

func (c *chosenHosts) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range c.known {
		b.Close()
	}
	c.known, c.closed = nil, true
}

// chosenTarget is the target of a request that a plugin directed elsewhere. A
// host that is the name of an upstream entity is balanced over its targets.
func (ex *exchange) chosenTarget(u *plugin.Upstream, s *service) *target {
	e := ex.engine
	t := &target{
		engine: e, scheme: u.Scheme, pools: &poolCache{}, retries: defaultRetries,
		connectTimeout: defaultTimeout, writeTimeout: defaultTimeout, readTimeout: defaultTimeout,
	}
	if s != nil {
		t.retries, t.connectTimeout, t.writeTimeout, t.readTimeout = s.retries, s.connectTimeout, s.writeTimeout, s.readTimeout
		t.tls, t.tlsID = s.tls, s.tlsID
	}
	if balanced, ok := ex.snapshot.balanced(u.Host); ok {
		t.balancer, t.upstream = balanced.balancer, balanced.entity
	} else {
		t.balancer = ex.snapshot.chosen.get(chosenHost{u.Host, u.Port}, func(key chosenHost) *balancer.Balancer {
			return balancer.Single(e.peerStates, key.host, key.port, e.options.Resolve)
		})
	}
	switch {
	case !overTLS(u.Scheme):
		t.tls = nil
	case t.tls == nil:
		t.tls, t.tlsID = e.upstreamTLS.chosen, "chosen"
	}
	if t.tls != nil && u.TLSVerify != nil {
		t.tls = verifying(t.tls, *u.TLSVerify)
		t.tlsID += fmt.Sprintf("/verify=%t", *u.TLSVerify)
	}
	return t
}
