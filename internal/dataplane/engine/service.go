// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/dataplane/upstream"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

var (
	// errNoPeer says that no target of an upstream may be asked.
	errNoPeer = errors.New("engine: no healthy target")
	// errNameResolution says that a host has no address.
	errNameResolution = errors.New("engine: host does not resolve")
)

// service is what the engine keeps for a service entity.
type service struct {
	entity *entity.Service
	scheme string
	host   string
	port   int
	target
}

// target is where and how a request is sent.
type target struct {
	engine         *Engine
	scheme         string
	hostHeader     string
	retries        int
	connectTimeout time.Duration
	writeTimeout   time.Duration
	readTimeout    time.Duration
	tls            *tls.Config
	tlsID          string
	peers          peers
}

// peer is one address that a request may be sent to.
type peer struct {
	address netip.AddrPort
	// authority is the Host header for the peer, where nothing else decides.
	authority string
	id        entity.ID
	// handle is the balancer's own reference to the target.
	handle any
}

// peers chooses addresses. Implementations are safe for concurrent use.
type peers interface {
	// pick returns the next address to ask; ex tells which were tried.
	pick(ctx context.Context, ex *exchange) (peer, error)
	// report tells how a try ended.
	report(p peer, a attempt, status int)
}

func (t *target) pick(ctx func() context.Context, ex *exchange) (peer, error) {
	if fixed, ok := t.peers.(*fixedPeer); ok {
		return fixed.peer, nil
	}
	return t.peers.pick(ctx(), ex)
}

func (t *target) report(p peer, a attempt) { t.peers.report(p, a, 0) }

// pool returns the connections to a peer.
func (t *target) pool(p peer) *upstream.Pool {
	key := upstream.Key{Address: p.address, Proto: t.scheme, TLSID: t.tlsID}
	config := t.tls
	if config != nil {
		key.ServerName = cmp.Or(config.ServerName, t.hostHeader, p.authority)
		if key.ServerName != config.ServerName {
			config = config.Clone()
			config.ServerName = key.ServerName
		}
	}
	return t.engine.pools.Pool(key, config)
}

// fixedPeer is the single address of a service that names an IP.
type fixedPeer struct{ peer peer }

func (f *fixedPeer) pick(context.Context, *exchange) (peer, error) { return f.peer, nil }

func (f *fixedPeer) report(peer, attempt, int) {}

// namedPeer is the single host of a service that names a DNS name.
type namedPeer struct {
	engine *Engine
	host   string
	port   int
	scheme string
}

func (n *namedPeer) pick(ctx context.Context, _ *exchange) (peer, error) {
	address, err := n.engine.options.Resolver.ResolveOne(ctx, n.host, n.port)
	if err != nil {
		return peer{}, fmt.Errorf("%w: %w", errNameResolution, err)
	}
	return peer{address: address, authority: authority(n.host, n.port, n.scheme)}, nil
}

func (n *namedPeer) report(peer, attempt, int) {}

// services builds the runtime of every service of a set.
func (e *Engine) services(set *entity.Set) (map[entity.ID]*service, []pipeline.Rejection) {
	var rejected []pipeline.Rejection
	upstreams := e.upstreams(set)
	out := make(map[entity.ID]*service, len(set.Services))
	for _, sparse := range set.Services {
		complete, err := entity.Complete(sparse, e.options.Schemas)
		if err != nil {
			rejected = append(rejected, rejection(sparse, sparse.Name, "", err.Error()))
			continue
		}
		s, problem := e.service(complete.(*entity.Service), set, upstreams)
		if problem != "" {
			rejected = append(rejected, rejection(sparse, sparse.Name, "protocol", problem))
			continue
		}
		out[sparse.ID] = s
	}
	return out, rejected
}

func (e *Engine) service(s *entity.Service, set *entity.Set, upstreams map[string]upstreamPeers) (*service, string) {
	scheme := string(s.Protocol)
	if scheme != "http" && scheme != "https" {
		return nil, fmt.Sprintf("protocol %s is not supported by this gateway; use http or https", scheme)
	}
	out := &service{entity: s, scheme: scheme, host: s.Host, port: *s.Port}
	out.target = target{
		engine:         e,
		scheme:         scheme,
		retries:        *s.Retries,
		connectTimeout: milliseconds(s.ConnectTimeout),
		writeTimeout:   milliseconds(s.WriteTimeout),
		readTimeout:    milliseconds(s.ReadTimeout),
	}
	if scheme == "https" {
		config, id, err := clientTLS(s, set)
		if err != nil {
			return nil, err.Error()
		}
		out.tls, out.tlsID = config, id
	}
	if u, ok := upstreams[s.Host]; ok {
		out.hostHeader = u.hostHeader
		out.peers = u.peers(scheme)
		return out, ""
	}
	out.peers = e.hostPeers(s.Host, *s.Port, scheme)
	return out, ""
}

// hostPeers returns the peers of a single host.
func (e *Engine) hostPeers(host string, port int, scheme string) peers {
	if ip, err := netip.ParseAddr(host); err == nil {
		return &fixedPeer{peer: peer{
			address:   netip.AddrPortFrom(ip.Unmap(), uint16(port)),
			authority: authority(host, port, scheme),
		}}
	}
	return &namedPeer{engine: e, host: host, port: port, scheme: scheme}
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
