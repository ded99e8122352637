// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"slices"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// directory implements plugin.Directory over a set. It is immutable.
type directory struct {
	consumers map[entity.ID]*entity.Consumer
	byName    map[string]*entity.Consumer
	groups    map[entity.ID][]*entity.ConsumerGroup
	byKey     map[credentialKey]*entity.Credential
	owned     map[ownerKey][]*entity.Credential
}

type credentialKey struct{ collection, key string }

type ownerKey struct {
	collection string
	consumer   entity.ID
}

func newDirectory(set *entity.Set, schemas entity.SchemaSet) *directory {
	d := &directory{
		consumers: make(map[entity.ID]*entity.Consumer, len(set.Consumers)),
		byName:    make(map[string]*entity.Consumer, len(set.Consumers)),
		groups:    map[entity.ID][]*entity.ConsumerGroup{},
		byKey:     make(map[credentialKey]*entity.Credential, len(set.Credentials)),
		owned:     make(map[ownerKey][]*entity.Credential, len(set.Credentials)),
	}
	groups := make(map[entity.ID]*entity.ConsumerGroup, len(set.ConsumerGroups))
	for _, g := range set.ConsumerGroups {
		groups[g.ID] = g
	}
	for _, c := range set.Consumers {
		d.consumers[c.ID] = c
		if c.Username != "" {
			d.byName[c.Username] = c
		}
		for _, ref := range c.Groups {
			if g := groups[ref.ID]; g != nil {
				d.groups[c.ID] = append(d.groups[c.ID], g)
			}
		}
		slices.SortFunc(d.groups[c.ID], func(a, b *entity.ConsumerGroup) int { return cmp.Compare(a.Name, b.Name) })
	}
	for _, c := range set.Credentials {
		if c.Consumer != nil {
			k := ownerKey{c.Type, c.Consumer.ID}
			d.owned[k] = append(d.owned[k], c)
		}
		kind, ok := schemas.Credential(c.Type)
		if !ok || kind.UniqueKey == "" {
			continue
		}
		if key, ok := c.Fields[kind.UniqueKey].(string); ok {
			d.byKey[credentialKey{c.Type, key}] = c
		}
	}
	return d
}

// Consumer implements plugin.Directory.
func (d *directory) Consumer(id entity.ID) *entity.Consumer { return d.consumers[id] }

// ConsumerByName implements plugin.Directory.
func (d *directory) ConsumerByName(username string) *entity.Consumer { return d.byName[username] }

// Groups implements plugin.Directory.
func (d *directory) Groups(c *entity.Consumer) []*entity.ConsumerGroup { return d.groups[c.ID] }

// Credential implements plugin.Directory.
func (d *directory) Credential(collection, key string) *entity.Credential {
	return d.byKey[credentialKey{collection, key}]
}

// Credentials implements plugin.Directory.
func (d *directory) Credentials(collection string, consumer entity.ID) []*entity.Credential {
	return d.owned[ownerKey{collection, consumer}]
}
