// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/dataplane/persistent"
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// tables are the entities of a snapshot, what was made of them, and who depends
// on whom. They are immutable; the next snapshot shares what stays.
type tables struct {
	services  persistent.Map[entity.ID, *serviceState]
	routes    persistent.Map[entity.ID, *routeState]
	upstreams persistent.Map[entity.ID, *upstreamState]
	targets   persistent.Map[entity.ID, *entity.Target]

	certificates   persistent.Map[entity.ID, *entity.Certificate]
	snis           persistent.Map[entity.ID, *entity.SNI]
	cacertificates persistent.Map[entity.ID, *entity.CACertificate]

	// byName are the usable upstreams of a name, by id: the last one balances.
	byName        persistent.Map[string, []*upstreamState]
	byUpstream    index[entity.ID] // targets by upstream
	byHost        index[string]    // services by host
	byService     index[entity.ID] // routes by service
	byCertificate index[entity.ID] // services by certificate or authority

	// orders are the places of entities of which the order in a file matters,
	// where that is not 0: among plugins of one name and scope, targets of an
	// upstream, credentials of a consumer, SNIs of one name.
	orders   persistent.Map[entity.Key, int]
	problems persistent.Map[entity.Key, []pipeline.Rejection]
	// asking counts the plugins that need clients' certificates, by scope.
	asking persistent.Map[askScope, int]
}

// tableEdits are tables that are being changed.
type tableEdits struct {
	services       persistent.Edit[entity.ID, *serviceState]
	routes         persistent.Edit[entity.ID, *routeState]
	upstreams      persistent.Edit[entity.ID, *upstreamState]
	targets        persistent.Edit[entity.ID, *entity.Target]
	certificates   persistent.Edit[entity.ID, *entity.Certificate]
	snis           persistent.Edit[entity.ID, *entity.SNI]
	cacertificates persistent.Edit[entity.ID, *entity.CACertificate]
	byName         persistent.Edit[string, []*upstreamState]
	byUpstream     indexEdit[entity.ID]
	byHost         indexEdit[string]
	byService      indexEdit[entity.ID]
	byCertificate  indexEdit[entity.ID]
	orders         persistent.Edit[entity.Key, int]
	problems       persistent.Edit[entity.Key, []pipeline.Rejection]
	asking         persistent.Edit[askScope, int]
}

func (t *tables) edit() *tableEdits {
	return &tableEdits{
		services: t.services.Edit(), routes: t.routes.Edit(), upstreams: t.upstreams.Edit(), targets: t.targets.Edit(),
		certificates: t.certificates.Edit(), snis: t.snis.Edit(), cacertificates: t.cacertificates.Edit(),
		byName: t.byName.Edit(), byUpstream: indexEdit[entity.ID]{t.byUpstream.Edit()},
		byHost: indexEdit[string]{t.byHost.Edit()}, byService: indexEdit[entity.ID]{t.byService.Edit()},
		byCertificate: indexEdit[entity.ID]{t.byCertificate.Edit()},
		orders:        t.orders.Edit(), problems: t.problems.Edit(), asking: t.asking.Edit(),
	}
}

func (e *tableEdits) done() tables {
	return tables{
		services: e.services.Done(), routes: e.routes.Done(), upstreams: e.upstreams.Done(), targets: e.targets.Done(),
		certificates: e.certificates.Done(), snis: e.snis.Done(), cacertificates: e.cacertificates.Done(),
		byName: e.byName.Done(), byUpstream: e.byUpstream.Done(),
		byHost: e.byHost.Done(), byService: e.byService.Done(), byCertificate: e.byCertificate.Done(),
		orders: e.orders.Done(), problems: e.problems.Done(), asking: e.asking.Done(),
	}
}

type ids = persistent.Map[entity.ID, struct{}]

// index finds the entities that depend on something.
type index[K comparable] = persistent.Map[K, ids]

type indexEdit[K comparable] struct{ persistent.Edit[K, ids] }

func (e *indexEdit[K]) add(key K, id entity.ID) { e.Put(key, e.At(key).With(id, struct{}{})) }

func (e *indexEdit[K]) remove(key K, id entity.ID) {
	if left := e.At(key).Without(id); left.Len() > 0 {
		e.Put(key, left)
	} else {
		e.Delete(key)
	}
}

// serviceState is a service with what runs of it.
type serviceState struct {
	sparse   *entity.Service
	complete *entity.Service // nil when it cannot be completed
	runtime  *service        // nil when it cannot be used
	// own is the balancer of a host that is no upstream.
	own *balancer.Balancer
	// certificates are those that it uses, authorities included.
	certificates []entity.ID
}

// routeState is a route with what the router hands back for it.
type routeState struct {
	entity *entity.Route
	data   *routed
	// asks says that clients are asked for certificates because of it.
	asks bool
}

// upstreamState is an upstream with its balancer.
type upstreamState struct {
	sparse   *entity.Upstream
	complete *entity.Upstream   // nil when it cannot be completed
	balancer *balancer.Balancer // nil when it cannot be used
}

func (u *upstreamState) usable() bool { return u != nil && u.balancer != nil }

// balancedUpstream is an upstream entity with its balancer.
type balancedUpstream struct {
	entity   *entity.Upstream
	balancer *balancer.Balancer
}
