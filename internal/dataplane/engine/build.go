// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"slices"

	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/dataplane/router"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// buildUpstreams makes the balancers of upstreams that changed themselves or in
// their targets. The services that they stand for are to be built again.
func (b *builder) buildUpstreams() {
	for id := range b.dirtyUpstreams {
		old := b.upstreams.At(id)
		if old.usable() {
			b.unname(old)
			b.next.displaced.balancers = append(b.next.displaced.balancers, old.balancer)
		}
		now := &upstreamState{}
		if old != nil {
			*now = upstreamState{sparse: old.sparse, complete: old.complete}
		}
		if put, changed := b.newUpstreams[id]; changed {
			*now = upstreamState{sparse: put}
		}
		if now.sparse == nil {
			b.upstreams.Delete(id)
			continue
		}
		b.problems.Delete(entity.KeyOf(now.sparse))
		b.buildUpstream(now)
		b.upstreams.Put(id, now)
	}
}

func (b *builder) buildUpstream(u *upstreamState) {
	if u.complete == nil {
		complete, err := entity.Complete(u.sparse, b.engine.options.Schemas)
		if err != nil {
			b.reject(pipeline.Invalid(u.sparse, err))
			return
		}
		u.complete = complete.(*entity.Upstream)
	}
	var err error
	u.balancer, err = balancer.New(b.engine.peerStates, u.complete, b.targetsOf(u.complete.ID), b.engine.options.Resolve)
	if err != nil {
		u.balancer = nil
		b.reject(rejection(u.sparse, u.sparse.Name, "algorithm", err.Error()))
		return
	}
	b.next.made.balancers = append(b.next.made.balancers, u.balancer)
	list := b.byName.At(u.complete.Name)
	at, _ := slices.BinarySearchFunc(list, u, func(a, b *upstreamState) int { return cmp.Compare(a.complete.ID, b.complete.ID) })
	b.byName.Put(u.complete.Name, slices.Insert(slices.Clip(list), at, u))
	b.rebalance(u.complete.Name)
}

// unname takes an upstream from those of its name.
func (b *builder) unname(u *upstreamState) {
	name := u.complete.Name
	left := slices.DeleteFunc(slices.Clone(b.byName.At(name)), func(o *upstreamState) bool { return o == u })
	if len(left) > 0 {
		b.byName.Put(name, left)
	} else {
		b.byName.Delete(name)
	}
	b.rebalance(name)
}

// rebalance has the services of a host built again.
func (b *builder) rebalance(host string) {
	for service := range b.byHost.At(host).All() {
		b.dirtyServices[service] = true
	}
}

// targetsOf returns the targets of an upstream, in order.
func (b *builder) targetsOf(upstream entity.ID) []*entity.Target {
	var out []*entity.Target
	for id := range b.byUpstream.At(upstream).All() {
		out = append(out, b.targets.At(id))
	}
	slices.SortFunc(out, func(x, y *entity.Target) int {
		return cmp.Or(cmp.Compare(b.orders.At(entity.KeyOf(x)), b.orders.At(entity.KeyOf(y))), cmp.Compare(x.ID, y.ID))
	})
	return out
}

// upstreamOf returns the upstream that a host names, nil without one.
func (b *builder) upstreamOf(host string) *upstreamState {
	if list := b.byName.At(host); len(list) > 0 {
		return list[len(list)-1]
	}
	return nil
}

// buildServices makes the services that changed, or of which the balancer or a
// certificate did. Routes need to be built again only where the entity differs,
// or whether it can be used: they find the service by its id.
func (b *builder) buildServices() {
	for id := range b.dirtyServices {
		old, now := b.services.At(id), &serviceState{}
		if old == nil {
			old = &serviceState{}
		}
		*now = serviceState{sparse: old.sparse, complete: old.complete}
		if put, changed := b.newServices[id]; changed {
			*now = serviceState{sparse: put}
		}
		if now.sparse != nil && router.StreamProtocol(now.sparse.Protocol) {
			// It belongs to the stream half of the gateway; what is kept is only
			// what tells whether it changes.
			*now = serviceState{sparse: now.sparse}
			b.problems.Delete(entity.KeyOf(now.sparse))
		} else if now.sparse != nil {
			b.problems.Delete(entity.KeyOf(now.sparse))
			b.buildService(now, old)
		}
		b.replaceService(id, old, now)
	}
}

// replaceService puts a service in place of its old version; now may be empty
// when it is gone, old when it is new.
func (b *builder) replaceService(id entity.ID, old, now *serviceState) {
	if old.complete != nil {
		b.byHost.remove(old.complete.Host, id)
	}
	for _, certificate := range old.certificates {
		b.byCertificate.remove(certificate, id)
	}
	if old.own != nil && old.own != now.own {
		b.next.displaced.balancers = append(b.next.displaced.balancers, old.own)
	}
	if now.sparse == nil {
		b.services.Delete(id)
	} else {
		b.services.Put(id, now)
	}
	if now.complete != nil {
		b.byHost.add(now.complete.Host, id)
	}
	for _, certificate := range now.certificates {
		b.byCertificate.add(certificate, id)
	}
	if now.complete != old.complete || (now.runtime == nil) != (old.runtime == nil) {
		for route := range b.byService.At(id).All() {
			b.dirtyRoutes[route] = true
		}
	}
}

// buildService makes the runtime of a service, and its balancer where the old
// one does not fit.
func (b *builder) buildService(now, old *serviceState) {
	if now.complete == nil {
		complete, err := entity.Complete(now.sparse, b.engine.options.Schemas)
		if err != nil {
			b.reject(pipeline.Invalid(now.sparse, err))
			return
		}
		now.complete = complete.(*entity.Service)
	}
	facts := &clientTLSFacts{certs: b.next.certs, cas: b.next.cas, authorities: b.cacertificates.At}
	balanced := b.upstreamOf(now.complete.Host)
	if balanced != nil {
		facts.upstream = balanced.complete
	}
	now.certificates = facts.certificates(now.complete)
	runtime, field, err := b.engine.service(now.complete, facts)
	if err != nil {
		b.reject(rejection(now.sparse, now.sparse.Name, field, err.Error()))
		return
	}
	now.runtime = runtime
	switch {
	case balanced != nil:
		runtime.balancer, runtime.upstream = balanced.balancer, balanced.complete
	case old.own != nil && old.complete.Host == now.complete.Host && *old.complete.Port == *now.complete.Port:
		// It knows the addresses of the host.
		now.own, runtime.balancer = old.own, old.own
	default:
		now.own = balancer.Single(b.engine.peerStates, runtime.host, runtime.port, b.engine.options.Resolve)
		runtime.balancer = now.own
		b.next.made.balancers = append(b.next.made.balancers, now.own)
	}
}
