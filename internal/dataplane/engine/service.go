// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/dataplane/upstream"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// errNameResolution says that a host has no address.
var errNameResolution = errors.New("engine: host does not resolve")

// service is what the engine keeps for a service entity.
type service struct {
	entity *entity.Service
	host   string
	port   int
	target
}

// target is where and how a request is sent.
type target struct {
	engine   *Engine
	scheme   string
	balancer *balancer.Balancer
	// upstream is the entity that balances, nil for a single host.
	upstream       *entity.Upstream
	retries        int
	connectTimeout time.Duration
	writeTimeout   time.Duration
	readTimeout    time.Duration
	tls            *tls.Config
	tlsID          string
}

// hostHeader is what the upstream entity sets for Host.
func (t *target) hostHeader() string {
	if t.upstream == nil {
		return ""
	}
	return t.upstream.HostHeader
}

// pick chooses the next peer for the exchange.
func (t *target) pick(ex *exchange) (*balancer.Peer, error) {
	if err := t.balancer.Prepare(ex.conn.x.Context()); err != nil {
		return nil, fmt.Errorf("%w: %w", errNameResolution, err)
	}
	return t.balancer.Pick(ex.hashKey(t), ex.asked)
}

// pool returns the connections to a peer.
func (t *target) pool(p *balancer.Peer) *upstream.Pool {
	key := upstream.Key{Address: p.Addr, Proto: t.scheme, TLSID: t.tlsID}
	config := t.tls
	if config != nil {
		key.ServerName = cmp.Or(config.ServerName, hostOnly(t.hostHeader()), p.Host)
		if key.ServerName != config.ServerName {
			config = config.Clone()
			config.ServerName = key.ServerName
		}
	}
	return t.engine.pools.Pool(key, config)
}

// services builds the runtime of every service of a set.
func (e *Engine) services(next *snapshot) (map[entity.ID]*service, []*balancer.Balancer, []pipeline.Rejection) {
	set := next.set
	balanced, balancers, rejected := e.upstreams(set)
	out := make(map[entity.ID]*service, len(set.Services))
	for _, sparse := range set.Services {
		complete, err := entity.Complete(sparse, e.options.Schemas)
		if err != nil {
			rejected = append(rejected, rejection(sparse, sparse.Name, "", err.Error()))
			continue
		}
		s, err := e.service(complete.(*entity.Service), next)
		if err != nil {
			rejected = append(rejected, rejection(sparse, sparse.Name, "protocol", err.Error()))
			continue
		}
		if u, ok := balanced[s.host]; ok {
			s.balancer, s.upstream = u.balancer, u.entity
		} else {
			s.balancer = balancer.Single(e.peerStates, s.host, s.port, e.options.Resolve)
			balancers = append(balancers, s.balancer)
		}
		out[sparse.ID] = s
	}
	return out, balancers, rejected
}

func (e *Engine) service(s *entity.Service, next *snapshot) (*service, error) {
	scheme := string(s.Protocol)
	if scheme != "http" && scheme != "https" {
		return nil, fmt.Errorf("%s is not supported by this gateway; use http or https", scheme)
	}
	out := &service{entity: s, host: s.Host, port: *s.Port}
	out.target = target{
		engine:         e,
		scheme:         scheme,
		retries:        *s.Retries,
		connectTimeout: milliseconds(s.ConnectTimeout),
		writeTimeout:   milliseconds(s.WriteTimeout),
		readTimeout:    milliseconds(s.ReadTimeout),
	}
	if scheme == "https" {
		config, id, err := clientTLS(s, next)
		if err != nil {
			return nil, err
		}
		out.tls, out.tlsID = config, id
	}
	return out, nil
}

// balancedUpstream is an upstream entity with its balancer.
type balancedUpstream struct {
	entity   *entity.Upstream
	balancer *balancer.Balancer
}

// upstreams builds the balancer of every upstream of a set, by name.
func (e *Engine) upstreams(set *entity.Set) (map[string]balancedUpstream, []*balancer.Balancer, []pipeline.Rejection) {
	var rejected []pipeline.Rejection
	targets := map[entity.ID][]*entity.Target{}
	for _, t := range set.Targets {
		if t.Upstream != nil {
			targets[t.Upstream.ID] = append(targets[t.Upstream.ID], t)
		}
	}
	out := make(map[string]balancedUpstream, len(set.Upstreams))
	var all []*balancer.Balancer
	for _, sparse := range set.Upstreams {
		complete, err := entity.Complete(sparse, e.options.Schemas)
		if err != nil {
			rejected = append(rejected, rejection(sparse, sparse.Name, "", err.Error()))
			continue
		}
		u := complete.(*entity.Upstream)
		b, err := balancer.New(e.peerStates, u, targets[u.ID], e.options.Resolve)
		if err != nil {
			rejected = append(rejected, rejection(sparse, sparse.Name, "algorithm", err.Error()))
			continue
		}
		out[u.Name] = balancedUpstream{u, b}
		all = append(all, b)
	}
	return out, all, rejected
}

func milliseconds(ms *int) time.Duration { return time.Duration(*ms) * time.Millisecond }

// target returns where the request goes: the service's target, or the one that
// a plugin chose.
func (ex *exchange) target() *target {
	u := &ex.conn.x.UpstreamRequest
	s := ex.service
	if s != nil && u.Host == s.host && u.Port == s.port && u.Scheme == s.scheme && u.TLSVerify == nil && u.SNI == "" {
		return &s.target
	}
	return ex.conn.engine.chosenTarget(u, s)
}
