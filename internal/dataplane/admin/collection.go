// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"strings"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// collection is one list of the API: all entities of a kind, or those of one
// type of credential.
type collection struct {
	path string
	kind entity.Kind
	// credentials is the declarative collection of a credential, "" for others.
	credentials string
	// children are the lists and entities below one of it.
	children []child
}

// child is what lies below an entity: a list of entities that belong to it, or
// one entity that it belongs to.
type child struct {
	path string
	kind entity.Kind
	// credentials as in collection.
	credentials string
	// belongs reports whether e belongs to the parent; nil for a single one.
	belongs func(parent, e entity.Entity) bool
	// single returns the id of the one entity, "" without one.
	single func(parent entity.Entity) entity.ID
}

// credentialPaths are Kong's names for lists of credentials: of all, and of one
// consumer.
var credentialPaths = []struct{ collection, all, ofConsumer string }{
	{"acls", "acls", "acls"},
	{"basicauth_credentials", "basic-auths", "basic-auth"},
	{"hmacauth_credentials", "hmac-auths", "hmac-auth"},
	{"jwt_secrets", "jwts", "jwt"},
	{"keyauth_credentials", "key-auths", "key-auth"},
	{"oauth2_credentials", "oauth2", "oauth2"},
}

var collections = func() []collection {
	plugins := child{path: "plugins", kind: entity.KindPlugin, belongs: scoped}
	consumers := collection{path: "consumers", kind: entity.KindConsumer, children: []child{plugins,
		{path: "consumer_groups", kind: entity.KindConsumerGroup, belongs: func(c, g entity.Entity) bool { return member(c, g) }}}}
	out := []collection{
		{path: "services", kind: entity.KindService, children: []child{plugins,
			{path: "routes", kind: entity.KindRoute, belongs: pointsTo(func(e *entity.Route) *entity.Ref { return e.Service })},
			{path: "client_certificate", kind: entity.KindCertificate, single: target(func(e *entity.Service) *entity.Ref { return e.ClientCertificate })}}},
		{path: "routes", kind: entity.KindRoute, children: []child{plugins,
			{path: "service", kind: entity.KindService, single: target(func(e *entity.Route) *entity.Ref { return e.Service })}}},
		{path: "plugins", kind: entity.KindPlugin, children: []child{
			{path: "service", kind: entity.KindService, single: target(func(e *entity.Plugin) *entity.Ref { return e.Service })},
			{path: "route", kind: entity.KindRoute, single: target(func(e *entity.Plugin) *entity.Ref { return e.Route })},
			{path: "consumer", kind: entity.KindConsumer, single: target(func(e *entity.Plugin) *entity.Ref { return e.Consumer })}}},
		{path: "consumer_groups", kind: entity.KindConsumerGroup, children: []child{plugins,
			{path: "consumers", kind: entity.KindConsumer, belongs: func(g, c entity.Entity) bool { return member(c, g) }}}},
		{path: "upstreams", kind: entity.KindUpstream, children: []child{
			{path: "targets", kind: entity.KindTarget, belongs: pointsTo(func(e *entity.Target) *entity.Ref { return e.Upstream })},
			{path: "client_certificate", kind: entity.KindCertificate, single: target(func(e *entity.Upstream) *entity.Ref { return e.ClientCertificate })}}},
		{path: "certificates", kind: entity.KindCertificate, children: []child{
			{path: "snis", kind: entity.KindSNI, belongs: pointsTo(func(e *entity.SNI) *entity.Ref { return e.Certificate })},
			{path: "services", kind: entity.KindService, belongs: pointsTo(func(e *entity.Service) *entity.Ref { return e.ClientCertificate })},
			{path: "upstreams", kind: entity.KindUpstream, belongs: pointsTo(func(e *entity.Upstream) *entity.Ref { return e.ClientCertificate })}}},
		{path: "snis", kind: entity.KindSNI, children: []child{
			{path: "certificate", kind: entity.KindCertificate, single: target(func(e *entity.SNI) *entity.Ref { return e.Certificate })}}},
		{path: "ca_certificates", kind: entity.KindCACertificate},
		{path: "vaults", kind: entity.KindVault},
	}
	owner := func(e *entity.Credential) *entity.Ref { return e.Consumer }
	for _, c := range credentialPaths {
		out = append(out, collection{path: c.all, kind: entity.KindCredential, credentials: c.collection, children: []child{
			{path: "consumer", kind: entity.KindConsumer, single: target(owner)}}})
		consumers.children = append(consumers.children,
			child{path: c.ofConsumer, kind: entity.KindCredential, credentials: c.collection, belongs: pointsTo(owner)})
	}
	return append(out, consumers)
}()

func collectionAt(path string) *collection {
	for i := range collections {
		if collections[i].path == path {
			return &collections[i]
		}
	}
	return nil
}

func (c *collection) child(path string) *child {
	for i := range c.children {
		if c.children[i].path == path {
			return &c.children[i]
		}
	}
	return nil
}

// holds reports whether e is of a list's kind, and type of credentials.
func holds(kind entity.Kind, credentials string, e entity.Entity) bool {
	if c, ok := e.(*entity.Credential); ok {
		return c.Type == credentials
	}
	return e.EntityKind() == kind
}

// pointsTo reports of an entity whether a reference of it leads to the parent.
func pointsTo[E any](ref func(*E) *entity.Ref) func(parent, e entity.Entity) bool {
	return func(parent, e entity.Entity) bool {
		of, ok := any(e).(*E)
		if !ok {
			return false
		}
		r := ref(of)
		return r != nil && r.ID == parent.EntityID()
	}
}

func target[E any](ref func(*E) *entity.Ref) func(entity.Entity) entity.ID {
	return func(e entity.Entity) entity.ID {
		if of, ok := any(e).(*E); ok {
			if r := ref(of); r != nil {
				return r.ID
			}
		}
		return ""
	}
}

// scoped reports whether a plugin names the parent in its scope.
func scoped(parent, e entity.Entity) bool {
	p, ok := e.(*entity.Plugin)
	if !ok {
		return false
	}
	var r *entity.Ref
	switch parent.EntityKind() {
	case entity.KindService:
		r = p.Service
	case entity.KindRoute:
		r = p.Route
	case entity.KindConsumer:
		r = p.Consumer
	case entity.KindConsumerGroup:
		r = p.ConsumerGroup
	}
	return r != nil && r.ID == parent.EntityID()
}

// member reports whether a consumer is in a group.
func member(consumer, group entity.Entity) bool {
	c, ok := consumer.(*entity.Consumer)
	if !ok {
		return false
	}
	for _, g := range c.Groups {
		if g.ID == group.EntityID() {
			return true
		}
	}
	return false
}

// named reports whether an entity goes by a name, which may be its id. Plugins
// go by the names of instances, because many have the same name; consumers not
// by their custom ids; credentials by their ids alone.
func named(e entity.Entity, name string) bool {
	if strings.EqualFold(string(e.EntityID()), name) {
		return true
	}
	own := entity.NameOf(e)
	switch e := e.(type) {
	case *entity.Plugin:
		own = e.InstanceName
	case *entity.Consumer:
		own = e.Username
	case *entity.Credential:
		own = ""
	}
	return own != "" && own == name
}
