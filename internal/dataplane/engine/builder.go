// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/dataplane/router"
	"github.com/kong/kong-istio-gateway/internal/dataplane/tlscert"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// builder makes the next snapshot of a running one. Its work depends on what
// changes and on what depends on that, not on what there is.
//
// Changes are taken in first, in any order, and only noted where others depend
// on them. Then follows what is built, each kind after those that it needs:
// certificates, upstreams, services, routes.
type builder struct {
	engine *Engine
	from   *snapshot
	next   *snapshot
	order  map[entity.Key]int

	*tableEdits
	plans  *pipeline.PlansEdit
	people *directoryEdit
	asks   clientAsks

	// What is to be built; a nil entity is gone.
	newServices  map[entity.ID]*entity.Service
	newRoutes    map[entity.ID]*entity.Route
	newUpstreams map[entity.ID]*entity.Upstream
	certs        tlscert.Change
	newCAs       []*entity.CACertificate
	goneCAs      []entity.ID
	// What is to be built again because something else changed.
	dirtyServices  map[entity.ID]bool
	dirtyUpstreams map[entity.ID]bool
	dirtyRoutes    map[entity.ID]bool
	// askRoutes are the routes for which plugins that need clients' certificates
	// came or went.
	askRoutes map[entity.ID]bool
	// outdated are the routes whose plans hold instances that are gone;
	// outdatedAll says that it may be any.
	outdated    map[entity.ID]bool
	outdatedAll bool
}

// change returns the snapshot after a change. The orders are those of the
// entities that are put, where they are not 0.
func (e *Engine) change(from *snapshot, d entity.Delta, order map[entity.Key]int) *snapshot {
	b := &builder{
		engine: e, from: from, order: order,
		next:       &snapshot{chosen: from.chosen},
		tableEdits: from.edit(), plans: from.plans.Edit(), people: from.people.edit(e.options.Schemas, order), asks: from.asks,
		newServices: map[entity.ID]*entity.Service{}, newRoutes: map[entity.ID]*entity.Route{}, newUpstreams: map[entity.ID]*entity.Upstream{},
		dirtyServices: map[entity.ID]bool{}, dirtyUpstreams: map[entity.ID]bool{}, dirtyRoutes: map[entity.ID]bool{},
		askRoutes: map[entity.ID]bool{}, outdated: map[entity.ID]bool{},
	}
	for _, key := range d.Removed {
		b.take(key, nil)
	}
	for _, e := range d.Put {
		b.take(entity.KeyOf(e), e)
	}
	b.buildCertificates()
	b.buildUpstreams()
	b.buildServices()
	b.buildRoutes()
	b.buildAsks()
	b.next.tables = b.done()
	b.next.plans, b.next.people, b.next.asks = b.plans.Done(), b.people.done(), b.asks
	b.next.forget(b.outdated)
	b.next.outdated = b.outdatedAll
	return b.next
}

// take notes that an entity was put, or is gone if e is nil.
func (b *builder) take(key entity.Key, e entity.Entity) {
	b.problems.Delete(key)
	if n := b.order[key]; n != 0 {
		b.orders.Put(key, n)
	} else {
		b.orders.Delete(key)
	}
	switch key.Kind {
	case entity.KindPlugin:
		p, _ := e.(*entity.Plugin)
		b.takePlugin(key.ID, p)
	case entity.KindService:
		b.newServices[key.ID], _ = e.(*entity.Service)
		b.dirtyServices[key.ID] = true
	case entity.KindRoute:
		b.newRoutes[key.ID], _ = e.(*entity.Route)
		b.dirtyRoutes[key.ID] = true
	case entity.KindUpstream:
		b.newUpstreams[key.ID], _ = e.(*entity.Upstream)
		b.dirtyUpstreams[key.ID] = true
	case entity.KindTarget:
		t, _ := e.(*entity.Target)
		b.takeTarget(key.ID, t)
	case entity.KindCertificate, entity.KindSNI, entity.KindCACertificate:
		b.takeCertificate(key, e)
	case entity.KindConsumer:
		c, _ := e.(*entity.Consumer)
		b.people.consumer(key.ID, c)
	case entity.KindConsumerGroup:
		g, _ := e.(*entity.ConsumerGroup)
		b.people.group(key.ID, g)
	case entity.KindCredential:
		c, _ := e.(*entity.Credential)
		b.people.credential(key.ID, c)
	}
}

// reject notes why an entity cannot run.
func (b *builder) reject(r pipeline.Rejection) {
	list := b.problems.At(r.Key)
	b.problems.Put(r.Key, append(list[:len(list):len(list)], r))
}

// takePlugin makes the instance of a plugin, or carries it over.
func (b *builder) takePlugin(id entity.ID, p *entity.Plugin) {
	old := b.plans.Instance(id)
	var in *pipeline.Instance
	if p == nil {
		b.plans.Remove(id)
	} else {
		var problem *pipeline.Rejection
		if in, problem = b.engine.catalog.Configure(p, old); problem != nil {
			b.reject(*problem)
		}
		b.plans.Put(in, b.order[entity.KeyOf(p)])
	}
	if in == old {
		return
	}
	if in != nil {
		b.next.made.instances = append(b.next.made.instances, in)
		b.countAsks(in, 1)
	}
	if old != nil {
		b.next.displaced.instances = append(b.next.displaced.instances, old)
		b.countAsks(old, -1)
		b.outdate(old.Plugin)
	}
}

// outdate notes whose plans hold an instance that is gone.
func (b *builder) outdate(p *entity.Plugin) {
	switch {
	case p.Route != nil:
		b.outdated[p.Route.ID] = true
	case p.Service != nil:
		for route := range b.byService.At(p.Service.ID).All() {
			b.outdated[route] = true
		}
	default:
		b.outdatedAll = true
	}
}

func (b *builder) takeTarget(id entity.ID, t *entity.Target) {
	if old := b.targets.At(id); old != nil {
		b.targets.Delete(id)
		b.byUpstream.remove(idOf(old.Upstream), id)
		b.dirtyUpstreams[idOf(old.Upstream)] = true
	}
	if t != nil {
		b.targets.Put(id, t)
		b.byUpstream.add(idOf(t.Upstream), id)
		b.dirtyUpstreams[idOf(t.Upstream)] = true
	}
}

func (b *builder) takeCertificate(key entity.Key, e entity.Entity) {
	switch e := e.(type) {
	case *entity.Certificate:
		b.certificates.Put(key.ID, e)
		b.certs.Certificates = append(b.certs.Certificates, e)
	case *entity.SNI:
		b.snis.Put(key.ID, e)
		b.certs.SNIs = append(b.certs.SNIs, e)
	case *entity.CACertificate:
		b.cacertificates.Put(key.ID, e)
		b.newCAs = append(b.newCAs, e)
	default:
		switch key.Kind {
		case entity.KindCertificate:
			b.certificates.Delete(key.ID)
			b.certs.Removed = append(b.certs.Removed, key)
		case entity.KindSNI:
			b.snis.Delete(key.ID)
			b.certs.Removed = append(b.certs.Removed, key)
		case entity.KindCACertificate:
			b.cacertificates.Delete(key.ID)
			b.goneCAs = append(b.goneCAs, key.ID)
		}
	}
	if key.Kind != entity.KindSNI {
		for service := range b.byCertificate.At(key.ID).All() {
			b.dirtyServices[service] = true
		}
	}
}

func (b *builder) buildCertificates() {
	b.next.certs, b.next.cas = b.from.certs, b.from.cas
	var problems []tlscert.Problem
	if len(b.certs.Certificates)+len(b.certs.SNIs)+len(b.certs.Removed) > 0 {
		b.certs.Order = func(n *entity.SNI) int { return b.order[entity.KeyOf(n)] }
		var looked []entity.Key
		b.next.certs, looked, problems = b.next.certs.With(&b.certs)
		for _, key := range looked {
			b.problems.Delete(key)
		}
	}
	if len(b.newCAs)+len(b.goneCAs) > 0 {
		cas, untrusted := b.next.cas.With(b.newCAs, b.goneCAs)
		b.next.cas = cas
		problems = append(problems, untrusted...)
	}
	for _, p := range problems {
		b.reject(pipeline.Rejection{Key: entity.Key{Kind: p.Kind, ID: p.ID}, Name: string(p.ID), Field: p.Field, Reason: p.Err.Error()})
	}
}

// buildRoutes brings the router up to date. A route whose service cannot be
// used stays, so that its requests do not fall through to a route that was not
// meant for them.
func (b *builder) buildRoutes() {
	items := make([]router.Item, 0, len(b.dirtyRoutes))
	replaced := make([]entity.ID, 0, len(b.dirtyRoutes))
	for id := range b.dirtyRoutes {
		key := entity.Key{Kind: entity.KindRoute, ID: id}
		b.problems.Delete(key)
		replaced = append(replaced, id)
		old, now := b.routes.At(id), (*entity.Route)(nil)
		if old != nil {
			now = old.entity
			b.byService.remove(idOf(now.Service), id)
		}
		if put, changed := b.newRoutes[id]; changed {
			now = put
		}
		b.askRoutes[id] = true
		if now == nil {
			b.routes.Delete(id)
			b.uncountRoute(old)
			continue
		}
		b.byService.add(idOf(now.Service), id)
		st := &routeState{entity: now, data: &routed{}, asks: old != nil && old.asks}
		if old != nil && old.asks && old.entity != now {
			b.uncountRoute(old)
			st.asks = false
		}
		b.routes.Put(id, st)
		if router.StreamRoute(now) {
			continue // for the stream half of the gateway
		}
		item := router.Item{Route: b.engine.options.Schemas.Route(now), Data: st.data, Limited: b.engine.patternLimited}
		if now.Service != nil {
			if s := b.services.At(now.Service.ID); s != nil && s.runtime != nil {
				item.Service = s.complete
			} else {
				b.reject(rejection(now, now.Name, "service", "the service is missing or cannot be used"))
			}
		}
		items = append(items, item)
	}
	b.next.router = b.from.router
	if len(replaced) == 0 {
		return
	}
	// What is put is removed first: of a route that cannot be compiled, the old
	// version must not stay.
	var unroutable []router.Problem
	b.next.router, unroutable = b.next.router.With(items, replaced)
	for _, p := range unroutable {
		b.reject(pipeline.Rejection{
			Key:  entity.Key{Kind: entity.KindRoute, ID: p.RouteID},
			Name: p.RouteName, Field: p.Field, Reason: p.Err.Error(),
		})
	}
}

// patternLimited says once for each version of a route that one of its patterns
// took too long.
func (e *Engine) patternLimited(r *entity.Route) {
	e.log.Warn("a pattern of a route took too long and counts as not matching; make it simpler", "route", r.ID, "name", r.Name, "paths", r.Paths)
}

func rejection(e entity.Entity, name, field, reason string) pipeline.Rejection {
	return pipeline.Rejection{Key: entity.KeyOf(e), Name: name, Field: field, Reason: reason}
}
