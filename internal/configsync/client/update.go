// SPDX-License-Identifier: Apache-2.0

package client

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"

	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/configsync/content"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// item is a record with what it decodes to: an entity, a setting, or nothing
// when it could not be decoded.
type item struct {
	record *configsync.Record
	entity entity.Entity
	value  any
	reason string // why it could not be decoded
}

type items = content.Map[*item]

// Update is a configuration and how it differs from the one before. It is
// immutable and shares memory with earlier ones.
type Update struct {
	Position configsync.Position
	// Hash is the hash over everything, settings included.
	Hash configsync.Hash
	// First says that nothing came before.
	First bool
	// Changed are the entities that were added, changed or removed, sorted.
	Changed []entity.Key
	// ChangedScope are the upstream addresses of which the same is true.
	ChangedScope []netip.AddrPort
	// DialChanged says so of the dial policy.
	DialChanged bool
	Settings    Settings

	items items
}

// Settings are those of the gateway that are not entities.
type Settings struct {
	Dial  *configsync.DialPolicy // nil: nothing is refused
	Scope Scope
}

// Scope is how the gateway's upstream addresses are covered by the egress scope.
type Scope struct{ items items }

// Lookup returns the entry of an address. An address without one is not
// covered.
func (s Scope) Lookup(addr netip.AddrPort) (configsync.ScopeEntry, bool) {
	e, ok := s.items.Get(configsync.KeyDigest(configsync.ScopeKey(addr)))
	if !ok {
		return configsync.ScopeEntry{}, false
	}
	v, ok := e.Value.value.(*configsync.ScopeEntry)
	if !ok {
		return configsync.ScopeEntry{}, false
	}
	return *v, true
}

// All yields every address, in no particular order. It goes through the whole
// configuration.
func (s Scope) All() iter.Seq2[netip.AddrPort, configsync.ScopeEntry] {
	return func(yield func(netip.AddrPort, configsync.ScopeEntry) bool) {
		for e := range s.items.All() {
			v, ok := e.Value.value.(*configsync.ScopeEntry)
			if !ok {
				continue
			}
			// Decoding has parsed it once.
			addr, err := netip.ParseAddrPort(string(e.Value.record.Key.ID))
			if err == nil && !yield(addr, *v) {
				return
			}
		}
	}
}

// Entity returns one entity. It is shared and must not be changed.
func (u Update) Entity(key entity.Key) (entity.Entity, bool) {
	e, ok := u.items.Get(configsync.KeyDigest(key))
	if !ok || e.Value.entity == nil {
		return nil, false
	}
	return e.Value.entity, true
}

// Delta returns what changed of the entities. An entity that came in a form that
// cannot be decoded counts as removed.
func (u Update) Delta() (d entity.Delta) {
	for _, key := range u.Changed {
		if e, ok := u.Entity(key); ok {
			d.Put = append(d.Put, e)
		} else {
			d.Removed = append(d.Removed, key)
		}
	}
	return d
}

// Set returns all entities, by id. It goes through the whole configuration.
func (u Update) Set() *entity.Set {
	all := make([]entity.Entity, 0, u.items.Len())
	for e := range u.items.All() {
		if e.Value.entity != nil {
			all = append(all, e.Value.entity)
		}
	}
	slices.SortFunc(all, func(a, b entity.Entity) int { return cmp.Compare(a.EntityID(), b.EntityID()) })
	set := &entity.Set{}
	for _, e := range all {
		addTo(set, e)
	}
	return set
}

func addTo(set *entity.Set, e entity.Entity) {
	switch e := e.(type) {
	case *entity.Service:
		set.Services = append(set.Services, e)
	case *entity.Route:
		set.Routes = append(set.Routes, e)
	case *entity.Upstream:
		set.Upstreams = append(set.Upstreams, e)
	case *entity.Target:
		set.Targets = append(set.Targets, e)
	case *entity.Plugin:
		set.Plugins = append(set.Plugins, e)
	case *entity.Consumer:
		set.Consumers = append(set.Consumers, e)
	case *entity.ConsumerGroup:
		set.ConsumerGroups = append(set.ConsumerGroups, e)
	case *entity.Credential:
		set.Credentials = append(set.Credentials, e)
	case *entity.Certificate:
		set.Certificates = append(set.Certificates, e)
	case *entity.SNI:
		set.SNIs = append(set.SNIs, e)
	case *entity.CACertificate:
		set.CACertificates = append(set.CACertificates, e)
	case *entity.Vault:
		set.Vaults = append(set.Vaults, e)
	}
}

// decode turns a record into an item. It never fails: what cannot be decoded is
// held all the same, so that both ends agree on the hash, and is rejected.
func decode(r *configsync.Record) *item {
	it := &item{record: r}
	var err error
	if configsync.IsSetting(r.Key.Kind) {
		it.value, err = configsync.DecodeSetting(r)
	} else {
		it.entity, err = configsync.DecodeEntity(r)
	}
	if err != nil {
		it.entity, it.value, it.reason = nil, nil, err.Error()
	}
	return it
}

func (it *item) entry() content.Entry[*item] {
	return content.Entry[*item]{Key: configsync.KeyDigest(it.record.Key), Hash: it.record.Hash, Value: it}
}

// note adds to the update what one record that came, changed or went is about.
func (u *Update) note(r *configsync.Record) {
	switch r.Key.Kind {
	case configsync.KindDialPolicy:
		u.DialChanged = true
	case configsync.KindScope:
		if addr, err := netip.ParseAddrPort(string(r.Key.ID)); err == nil {
			u.ChangedScope = append(u.ChangedScope, addr)
		}
	default:
		u.Changed = append(u.Changed, r.Key)
	}
}

// finish fills in what follows from the items.
func (u *Update) finish(all items) {
	u.items, u.Hash = all, all.Hash()
	u.Settings.Scope = Scope{all}
	if e, ok := all.Get(configsync.KeyDigest(configsync.DialPolicyKey)); ok {
		u.Settings.Dial, _ = e.Value.value.(*configsync.DialPolicy)
	}
	slices.SortFunc(u.Changed, func(a, b entity.Key) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID))
	})
	slices.SortFunc(u.ChangedScope, netip.AddrPort.Compare)
}
