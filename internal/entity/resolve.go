// SPDX-License-Identifier: Apache-2.0

package entity

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// nowhere stands for an entity that a reference does not lead to, so that only
// the reference is reported and not that it is missing as well.
const nowhere = "00000000-0000-0000-0000-000000000000"

// finish turns an item into an entity: it resolves its references, gives it an
// id, checks it and makes it known under its name.
func (d *decoder) finish(it *item) {
	before := len(d.problems)
	for _, r := range it.refs {
		it.fields[r.field] = map[string]any{"id": string(d.resolve(it, r))}
	}
	if it.parent != nil {
		d.nest(it)
	}
	if it.kind == KindConsumer && len(it.groups) > 0 {
		groups := make([]any, len(it.groups))
		for i, r := range it.groups {
			groups[i] = map[string]any{"id": string(d.resolve(it, r))}
		}
		it.fields["groups"] = groups
	}
	record, field, message := d.schemas.recordOf(it.kind, it.fields, it.collection)
	if record == nil {
		d.add(it, field, message)
		return
	}
	sparse := record.Expand(it.fields)
	d.identify(it, sparse)
	_, violations := record.CompleteChecked(it.fields)
	for _, v := range violations {
		d.add(it, v.Path, v.Message)
	}
	d.register(it)
	if len(d.problems) > before {
		return
	}
	e, err := fromMap(it.kind, it.collection, sparse)
	if err != nil {
		d.add(it, "", err.Error())
		return
	}
	it.entity = e
	d.byKey[KeyOf(e)] = it
}

// join adds the consumers that a group lists to the group.
func (d *decoder) join(group *item) {
	for _, r := range group.groups {
		consumer := d.lookup(KindConsumer, refText(r.node))
		if consumer == nil {
			d.resolve(group, r) // reports it
			continue
		}
		c, ok := consumer.entity.(*Consumer)
		if ref := (Ref{ID: group.id}); ok && !slices.Contains(c.Groups, ref) {
			c.Groups = append(c.Groups, ref)
		}
	}
}

// nest points an entity to the one that it is nested in.
func (d *decoder) nest(it *item) {
	parent := map[string]any{"id": string(it.parent.id)}
	if own, set := it.fields[it.parentField].(map[string]any); set && own["id"] != parent["id"] {
		d.add(it, it.parentField, "value must be null: the entity is nested in '"+it.parent.path+"'")
	}
	it.fields[it.parentField] = parent
}

// resolve returns the id that a reference leads to.
func (d *decoder) resolve(it *item, r refNode) ID {
	text := refText(r.node)
	if text == "" {
		d.add(it, r.field, "expected the name or id of an entity of '"+string(r.kind)+"'")
		return nowhere
	}
	if to := d.lookup(r.kind, text); to != nil {
		return to.id
	}
	field, _, _ := strings.Cut(r.field, "[")
	d.add(it, r.field, fmt.Sprintf("invalid reference '%s: %s' (no such entry in '%s')", field, text, r.kind))
	return nowhere
}

// lookup finds an entity by name or id.
func (d *decoder) lookup(kind Kind, text string) *item {
	if it := d.byName[nameKey(string(kind), text)]; it != nil {
		return it
	}
	return d.byID[itemKey{string(kind), ID(strings.ToLower(text))}]
}

// refText returns what a reference says: text, or a mapping with an id or a
// name.
func refText(n *node) string {
	if n.shape == mapping && len(n.pairs) == 1 {
		switch n.pairs[0].key {
		case "id", "name", "username":
			n = n.pairs[0].value
		}
	}
	s, _ := n.value.(string)
	return s
}

// identify gives the item its id: its own, or one that follows from its
// natural key.
func (d *decoder) identify(it *item, sparse map[string]any) {
	if own, set := it.fields["id"]; set {
		if s, ok := own.(string); ok && schema.IsUUID(s) {
			it.id = ID(strings.ToLower(s))
			it.fields["id"], sparse["id"] = string(it.id), string(it.id)
			return
		}
		it.id = NewID(it.collection, it.path) // of no use, the id is refused
		return
	}
	it.id = d.derive(it, sparse)
	it.fields["id"], sparse["id"] = string(it.id), string(it.id)
}

func (d *decoder) derive(it *item, sparse map[string]any) ID {
	e, err := fromMap(it.kind, it.collection, sparse)
	if err != nil {
		return NewID(it.collection, it.path) // of no use, a field is refused
	}
	collection, key := naturalKey(e, d.schemas)
	id := NewID(collection, key)
	if !strings.HasPrefix(key, "#") {
		return id
	}
	// Nameless entities may be alike without being a mistake.
	for n := 2; d.byID[itemKey{it.collection, id}] != nil; n++ {
		id = NewID(collection, fmt.Sprintf("%s:%d", key, n))
	}
	return id
}

// register makes the item known, and reports it when its name or id is taken.
func (d *decoder) register(it *item) {
	if field := d.schemas.uniqueField(it.kind, it.collection); field != "" {
		if name, ok := it.fields[field].(string); ok {
			if d.byName[nameKey(it.collection, name)] != nil {
				d.add(it, "", d.schemas.duplicate(it.kind, it.collection, field, name))
				return
			}
			d.byName[nameKey(it.collection, name)] = it
		}
	}
	key := itemKey{it.collection, it.id}
	if d.byID[key] != nil {
		d.add(it, "", d.schemas.duplicate(it.kind, it.collection, "primary key", string(it.id)))
		return
	}
	d.byID[key] = it
}

func nameKey(collection, name string) string { return collection + "\x00" + name }

// duplicate is Kong's message for a value that is taken.
func (s SchemaSet) duplicate(kind Kind, collection, field, value string) string {
	if kind == KindCredential {
		if f := s.credentials[collection].record.Field(field); f != nil && f.IsSecret() {
			value = schema.Redacted
		}
	}
	return fmt.Sprintf("uniqueness violation: '%s' entity with %s set to '%s' already declared", collection, field, value)
}

// set returns the usable entities in the order of the document. Of plugins
// with the same scope only the last one stays.
func (d *decoder) set() *Set {
	set := new(Set)
	last := make(map[string]*item)
	for _, it := range d.items {
		if p, ok := it.entity.(*Plugin); ok {
			_, key := naturalKey(p, d.schemas)
			last[key] = it
		}
	}
	for _, it := range d.items {
		if p, ok := it.entity.(*Plugin); ok {
			if _, key := naturalKey(p, d.schemas); last[key] != it {
				continue
			}
		}
		if it.entity != nil {
			set.Add(it.entity)
		}
	}
	return set
}
