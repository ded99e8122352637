// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/dataplane/router"
	"github.com/kong/kong-istio-gateway/internal/dataplane/tlscert"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Kong's defaults for what a plugin sends to a host without a service.
const (
	defaultTimeout = 60 * time.Second
	defaultRetries = 5
)

// service is what the server keeps for a service entity.
type service struct {
	entity   *entity.Service
	balancer *balancer.Balancer
	// upstream is the entity that balances, nil for a single host.
	upstream       *entity.Upstream
	retries        int
	connectTimeout time.Duration
	writeTimeout   time.Duration
	readTimeout    time.Duration
	tls            *tls.Config // nil: bytes are sent as they are
}

// balancedUpstream is an upstream entity with its balancer.
type balancedUpstream struct {
	entity   *entity.Upstream
	balancer *balancer.Balancer
}

// services builds the runtime of the services that routes name.
func (s *snapshot) services(previous *snapshot, set *entity.Set, routes []*entity.Route) (map[entity.ID]*service, []pipeline.Rejection) {
	wanted := map[entity.ID]bool{}
	for _, r := range routes {
		if r.Service != nil {
			wanted[r.Service.ID] = true
			s.uses[entity.Key{Kind: entity.KindService, ID: r.Service.ID}] = true
		}
	}
	var list []*entity.Service
	for _, e := range set.Services {
		if wanted[e.ID] {
			list = append(list, e)
			s.hosts[e.Host] = true
		}
	}
	rejected := s.upstreams(set)
	rejected = append(rejected, s.certificates(previous, set, list)...)
	out := make(map[entity.ID]*service, len(list))
	for _, sparse := range list {
		built, field, err := s.service(sparse)
		if err != nil {
			rejected = append(rejected, rejection(sparse, sparse.Name, field, err.Error()))
			continue
		}
		out[sparse.ID] = built
	}
	return out, rejected
}

// service builds the runtime of a service. The error is about field.
func (s *snapshot) service(sparse *entity.Service) (out *service, field string, err error) {
	if !router.StreamProtocol(sparse.Protocol) {
		return nil, "protocol", fmt.Errorf("%s is none of a stream route's service; use tcp, tls, tls_passthrough or udp", protocolName(sparse))
	}
	complete, err := entity.Complete(sparse, s.server.options.Schemas)
	if err != nil {
		return nil, "", err
	}
	e := complete.(*entity.Service)
	out = &service{
		entity:         e,
		retries:        *e.Retries,
		connectTimeout: milliseconds(e.ConnectTimeout),
		writeTimeout:   milliseconds(e.WriteTimeout),
		readTimeout:    milliseconds(e.ReadTimeout),
	}
	out.balancer, out.upstream = s.balancerOf(e.Host, *e.Port)
	if e.Protocol == entity.ProtocolTLS {
		if out.tls, field, err = s.clientTLS(e, out.upstream); err != nil {
			return nil, field, err
		}
	}
	return out, "", nil
}

func protocolName(s *entity.Service) string {
	if s.Protocol == "" {
		return "http (the default)"
	}
	return string(s.Protocol)
}

// balancerOf returns the balancer of a host, which may be the name of an
// upstream entity.
func (s *snapshot) balancerOf(host string, port int) (*balancer.Balancer, *entity.Upstream) {
	if u, ok := s.balanced[host]; ok {
		return u.balancer, u.entity
	}
	b := balancer.Single(s.server.peerStates, host, port, s.server.options.Resolve)
	s.balancers = append(s.balancers, b)
	return b, nil
}

// upstreams builds the balancer of every upstream that a service names.
func (s *snapshot) upstreams(set *entity.Set) (rejected []pipeline.Rejection) {
	var list []*entity.Upstream
	for _, u := range set.Upstreams {
		if s.hosts[u.Name] {
			list = append(list, u)
			s.uses[entity.KeyOf(u)] = true
		}
	}
	if len(list) == 0 {
		return nil
	}
	targets := map[entity.ID][]*entity.Target{}
	for _, t := range set.Targets {
		if t.Upstream != nil && s.uses[entity.Key{Kind: entity.KindUpstream, ID: t.Upstream.ID}] {
			targets[t.Upstream.ID] = append(targets[t.Upstream.ID], t)
			s.uses[entity.KeyOf(t)] = true
		}
	}
	for _, sparse := range list {
		complete, err := entity.Complete(sparse, s.server.options.Schemas)
		if err != nil {
			rejected = append(rejected, pipeline.Invalid(sparse, err))
			continue
		}
		u := complete.(*entity.Upstream)
		b, err := balancer.Follow(s.server.peerStates, u, targets[u.ID], s.server.options.Resolve)
		if err != nil {
			rejected = append(rejected, rejection(sparse, sparse.Name, "algorithm", err.Error()))
			continue
		}
		s.balanced[u.Name] = balancedUpstream{u, b}
		s.balancers = append(s.balancers, b)
	}
	return rejected
}

// certificates parses the certificates that services show to upstreams, and
// the authorities that they trust.
func (s *snapshot) certificates(previous *snapshot, set *entity.Set, services []*entity.Service) (rejected []pipeline.Rejection) {
	use := func(kind entity.Kind, ids ...entity.ID) {
		for _, id := range ids {
			s.uses[entity.Key{Kind: kind, ID: id}] = true
		}
	}
	for _, e := range services {
		if e.ClientCertificate != nil {
			use(entity.KindCertificate, e.ClientCertificate.ID)
		}
		if u := s.balanced[e.Host].entity; u != nil && u.ClientCertificate != nil {
			use(entity.KindCertificate, u.ClientCertificate.ID)
		}
		use(entity.KindCACertificate, e.CACertificates...)
	}
	var certs []*entity.Certificate
	for _, c := range set.Certificates {
		if s.uses[entity.KeyOf(c)] {
			certs = append(certs, c)
		}
	}
	var cas []*entity.CACertificate
	for _, c := range set.CACertificates {
		if s.uses[entity.KeyOf(c)] {
			cas = append(cas, c)
		}
	}
	var old *tlscert.Set
	if previous != nil {
		old = previous.certs
	}
	var unusable, untrusted []tlscert.Problem
	s.certs, unusable = tlscert.NewSet(old, certs, nil)
	s.cas, untrusted = tlscert.NewCAs(cas)
	for _, p := range append(unusable, untrusted...) {
		rejected = append(rejected, pipeline.Rejection{Key: entity.Key{Kind: p.Kind, ID: p.ID}, Name: string(p.ID), Field: p.Field, Reason: p.Err.Error()})
	}
	return rejected
}

// clientTLS returns the settings of TLS with a service's upstream. The error is
// about field.
func (s *snapshot) clientTLS(e *entity.Service, u *entity.Upstream) (config *tls.Config, field string, err error) {
	ref, field := e.ClientCertificate, "client_certificate"
	if ref == nil && u != nil {
		ref, field = u.ClientCertificate, "host"
	}
	var client *tls.Certificate
	if ref != nil {
		if client = s.certs.Certificate(ref.ID); client == nil {
			return nil, field, fmt.Errorf("no usable certificate with id %s", ref.ID)
		}
	}
	var roots *x509.CertPool
	if len(e.CACertificates) > 0 {
		if roots, err = s.cas.Pool(e.CACertificates); err != nil {
			return nil, "ca_certificates", err
		}
	}
	config = s.server.options.ClientTLS(e, client, roots)
	config.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	return config, "", nil
}

func milliseconds(ms *int) time.Duration { return time.Duration(*ms) * time.Millisecond }
