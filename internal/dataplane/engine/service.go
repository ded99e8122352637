// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
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
	pools          *poolCache // of plaintext connections
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
	if err := t.balancer.Prepare(ex.context()); err != nil {
		return nil, fmt.Errorf("%w: %w", errNameResolution, err)
	}
	key := ex.hashKey(t)
	p, err := t.balancer.Pick(key, ex.asked)
	if err == nil && t.sticky() {
		ex.hashCookie = balancer.SessionCookie(t.upstream, p, key)
	}
	return p, err
}

// sticky reports whether clients come back to their peers by a cookie.
func (t *target) sticky() bool {
	return t.upstream != nil && t.upstream.Algorithm == balancer.StickySessions
}

// poolCache remembers the pools of a target's peers.
type poolCache struct {
	pools sync.Map // *balancer.Peer to *upstream.Pool
	size  atomic.Int32
}

// poolCacheSize bounds a cache whose peers come and go with DNS answers.
const poolCacheSize = 1024

// pool returns the connections to a peer. Over TLS the server name is the host
// of the Host header, as in Kong, unless a plugin chose one.
func (t *target) pool(p *balancer.Peer, host []byte, sni string) *upstream.Pool {
	if t.tls != nil {
		name := cmp.Or(sni, hostOnly(view(host)))
		key := upstream.Key{Address: p.Addr, Proto: t.scheme, TLSID: t.tlsID, ServerName: name}
		return t.engine.pools.Pool(key, t.tls)
	}
	if known, ok := t.pools.pools.Load(p); ok {
		if pool := known.(*upstream.Pool); !pool.Forgotten() {
			return pool
		}
	}
	pool := t.engine.pools.Pool(upstream.Key{Address: p.Addr, Proto: t.scheme}, nil)
	if t.pools.size.Add(1) > poolCacheSize {
		t.pools.pools.Clear()
		t.pools.size.Store(1)
	}
	t.pools.pools.Store(p, pool)
	return pool
}

// service builds the runtime of a complete service. The error is about field.
func (e *Engine) service(s *entity.Service, in *clientTLSFacts) (out *service, field string, err error) {
	scheme := string(s.Protocol)
	if !knownScheme(scheme) {
		return nil, "protocol", fmt.Errorf("%s is not supported by this gateway; use http, https, grpc or grpcs", scheme)
	}
	out = &service{entity: s, host: s.Host, port: *s.Port}
	out.target = target{
		engine:         e,
		scheme:         scheme,
		retries:        *s.Retries,
		connectTimeout: milliseconds(s.ConnectTimeout),
		writeTimeout:   milliseconds(s.WriteTimeout),
		readTimeout:    milliseconds(s.ReadTimeout),
		pools:          &poolCache{},
	}
	if overTLS(scheme) {
		if out.tls, out.tlsID, field, err = e.clientTLS(s, in); err != nil {
			return nil, field, err
		}
	}
	return out, "", nil
}

func milliseconds(ms *int) time.Duration { return time.Duration(*ms) * time.Millisecond }

// target returns where the request goes: the service's target, or the one that
// a plugin chose.
func (ex *exchange) target() *target {
	u := &ex.x.UpstreamRequest
	s := ex.service
	if s != nil && u.Host == s.host && u.Port == s.port && u.Scheme == s.scheme && u.TLSVerify == nil && u.SNI == "" {
		return &s.target
	}
	return ex.chosenTarget(u, s)
}
