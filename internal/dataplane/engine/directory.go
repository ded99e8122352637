// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"slices"
	"sync/atomic"

	"github.com/kong/kong-istio-gateway/internal/dataplane/persistent"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// directory implements plugin.Directory. It is immutable; the next version
// shares with it what stays. The zero value knows nobody.
type directory struct {
	consumers   persistent.Map[entity.ID, *entity.Consumer]
	groups      persistent.Map[entity.ID, *entity.ConsumerGroup]
	credentials persistent.Map[entity.ID, placedCredential]

	// Of several with the same name or key, which a set that was checked does
	// not have, the last one by id counts.
	byName   persistent.Map[string, []*entity.Consumer]
	byKey    persistent.Map[credentialKey, []*holding]
	memberOf persistent.Map[entity.ID, []*entity.ConsumerGroup] // by name
	members  index[entity.ID]                                   // consumers by group
	owned    persistent.Map[ownerKey, []*entity.Credential]     // in order

	// version tells directories apart; see holding.
	version uint64
}

// versions is the version of the directory that was made last.
var versions atomic.Uint64

// holding is a credential with what was found out about its consumer.
type holding struct {
	*entity.Credential
	// holder is what the last look found. It is renewed when the directory has
	// another version, in which the consumer may be another one.
	holder atomic.Pointer[holder]
}

type holder struct {
	version  uint64
	consumer *entity.Consumer // may be nil
}

type placedCredential struct {
	*entity.Credential
	order int
}

type credentialKey struct{ collection, key string }

type ownerKey struct {
	collection string
	consumer   entity.ID
}

// Consumer implements plugin.Directory.
func (d *directory) Consumer(id entity.ID) *entity.Consumer { return d.consumers.At(id) }

// ConsumerByName implements plugin.Directory.
func (d *directory) ConsumerByName(username string) *entity.Consumer {
	return last(d.byName.At(username))
}

// Groups implements plugin.Directory.
func (d *directory) Groups(c *entity.Consumer) []*entity.ConsumerGroup {
	if len(c.Groups) == 0 {
		return nil
	}
	return d.memberOf.At(c.ID)
}

// Credential implements plugin.Directory.
func (d *directory) Credential(collection, key string) *entity.Credential {
	h := last(d.byKey.At(credentialKey{collection, key}))
	if h == nil {
		return nil
	}
	return h.Credential
}

// Holder implements plugin.Directory.
func (d *directory) Holder(collection, key string) (*entity.Credential, *entity.Consumer) {
	h := last(d.byKey.At(credentialKey{collection, key}))
	if h == nil || h.Consumer == nil {
		return d.Credential(collection, key), nil
	}
	known := h.holder.Load()
	if known == nil || known.version != d.version {
		known = &holder{d.version, d.Consumer(h.Consumer.ID)}
		h.holder.Store(known)
	}
	return h.Credential, known.consumer
}

// Credentials implements plugin.Directory.
func (d *directory) Credentials(collection string, consumer entity.ID) []*entity.Credential {
	return d.owned.At(ownerKey{collection, consumer})
}

func last[E any](list []*E) *E {
	if len(list) == 0 {
		return nil
	}
	return list[len(list)-1]
}

// held returns the entity under a key, nil without one.
func (d *directory) held(key entity.Key) entity.Entity {
	switch key.Kind {
	case entity.KindConsumer:
		return orNil(d.consumers.At(key.ID))
	case entity.KindConsumerGroup:
		return orNil(d.groups.At(key.ID))
	case entity.KindCredential:
		return orNil(d.credentials.At(key.ID).Credential)
	}
	return nil
}

func (d *directory) each(yield func(entity.Entity) bool) bool {
	for _, c := range d.credentials.All() {
		if !yield(c.Credential) {
			return false
		}
	}
	return each(d.consumers.All(), yield) && each(d.groups.All(), yield)
}

// directoryEdit is a directory that is being changed.
type directoryEdit struct {
	schemas     entity.SchemaSet
	order       map[entity.Key]int
	consumers   persistent.Edit[entity.ID, *entity.Consumer]
	groups      persistent.Edit[entity.ID, *entity.ConsumerGroup]
	credentials persistent.Edit[entity.ID, placedCredential]
	byName      persistent.Edit[string, []*entity.Consumer]
	byKey       persistent.Edit[credentialKey, []*holding]
	memberOf    persistent.Edit[entity.ID, []*entity.ConsumerGroup]
	members     indexEdit[entity.ID]
	owned       persistent.Edit[ownerKey, []*entity.Credential]
	// regrouped are the consumers whose groups are to be looked up again.
	regrouped map[entity.ID]bool
}

func (d *directory) edit(schemas entity.SchemaSet, order map[entity.Key]int) *directoryEdit {
	return &directoryEdit{
		schemas: schemas, order: order, regrouped: map[entity.ID]bool{},
		consumers: d.consumers.Edit(), groups: d.groups.Edit(), credentials: d.credentials.Edit(), byName: d.byName.Edit(),
		byKey: d.byKey.Edit(), memberOf: d.memberOf.Edit(), members: indexEdit[entity.ID]{d.members.Edit()}, owned: d.owned.Edit(),
	}
}

func (e *directoryEdit) done() *directory {
	for id := range e.regrouped {
		e.regroup(id)
	}
	return &directory{
		version:   versions.Add(1),
		consumers: e.consumers.Done(), groups: e.groups.Done(), credentials: e.credentials.Done(), byName: e.byName.Done(),
		byKey: e.byKey.Done(), memberOf: e.memberOf.Done(), members: e.members.Done(), owned: e.owned.Done(),
	}
}

// consumer sets a consumer, or removes it if c is nil.
func (e *directoryEdit) consumer(id entity.ID, c *entity.Consumer) {
	byID := func(a, b *entity.Consumer) int { return cmp.Compare(a.ID, b.ID) }
	if old := e.consumers.At(id); old != nil {
		e.consumers.Delete(id)
		for _, ref := range old.Groups {
			e.members.remove(ref.ID, id)
		}
		if old.Username != "" {
			takeOut(&e.byName, old.Username, func(c *entity.Consumer) bool { return c == old })
		}
	}
	e.regrouped[id] = true
	if c == nil {
		return
	}
	e.consumers.Put(id, c)
	for _, ref := range c.Groups {
		e.members.add(ref.ID, id)
	}
	if c.Username != "" {
		putIn(&e.byName, c.Username, c, byID)
	}
}

// group sets a group, or removes it if g is nil.
func (e *directoryEdit) group(id entity.ID, g *entity.ConsumerGroup) {
	if g == nil {
		e.groups.Delete(id)
	} else {
		e.groups.Put(id, g)
	}
	for consumer := range e.members.At(id).All() {
		e.regrouped[consumer] = true
	}
}

// regroup looks up the groups of a consumer.
func (e *directoryEdit) regroup(id entity.ID) {
	var groups []*entity.ConsumerGroup
	if c := e.consumers.At(id); c != nil {
		for _, ref := range c.Groups {
			if g := e.groups.At(ref.ID); g != nil {
				groups = append(groups, g)
			}
		}
	}
	if len(groups) == 0 {
		e.memberOf.Delete(id)
		return
	}
	slices.SortFunc(groups, func(a, b *entity.ConsumerGroup) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	e.memberOf.Put(id, groups)
}

// credential sets a credential, or removes it if c is nil.
func (e *directoryEdit) credential(id entity.ID, c *entity.Credential) {
	byID := func(a, b *entity.Credential) int { return cmp.Compare(a.ID, b.ID) }
	inOrder := func(a, b *entity.Credential) int {
		return cmp.Or(cmp.Compare(e.credentials.At(a.ID).order, e.credentials.At(b.ID).order), byID(a, b))
	}
	if old := e.credentials.At(id).Credential; old != nil {
		if old.Consumer != nil {
			takeOut(&e.owned, ownerKey{old.Type, old.Consumer.ID}, func(c *entity.Credential) bool { return c == old })
		}
		if key, ok := e.keyOf(old); ok {
			takeOut(&e.byKey, key, func(h *holding) bool { return h.Credential == old })
		}
		e.credentials.Delete(id)
	}
	if c == nil {
		return
	}
	e.credentials.Put(id, placedCredential{c, e.order[entity.KeyOf(c)]})
	if c.Consumer != nil {
		putIn(&e.owned, ownerKey{c.Type, c.Consumer.ID}, c, inOrder)
	}
	if key, ok := e.keyOf(c); ok {
		putIn(&e.byKey, key, &holding{Credential: c}, func(a, b *holding) int { return byID(a.Credential, b.Credential) })
	}
}

// keyOf returns what a credential is looked up by.
func (e *directoryEdit) keyOf(c *entity.Credential) (credentialKey, bool) {
	kind, ok := e.schemas.Credential(c.Type)
	if !ok || kind.UniqueKey == "" {
		return credentialKey{}, false
	}
	key, ok := c.Fields[kind.UniqueKey].(string)
	return credentialKey{c.Type, key}, ok
}

// takeOut removes what gone chooses from the list under key, putIn adds e in
// order. The lists are immutable.
func takeOut[K comparable, E any](m *persistent.Edit[K, []E], key K, gone func(E) bool) {
	left := slices.DeleteFunc(slices.Clone(m.At(key)), gone)
	if len(left) == 0 {
		m.Delete(key)
	} else {
		m.Put(key, left)
	}
}

func putIn[K comparable, E any](m *persistent.Edit[K, []E], key K, e E, order func(a, b E) int) {
	list := m.At(key)
	at, _ := slices.BinarySearchFunc(list, e, order)
	m.Put(key, slices.Insert(slices.Clip(list), at, e))
}
