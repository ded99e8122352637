// SPDX-License-Identifier: Apache-2.0

package content

import "slices"

// Edit collects changes to a Map. It copies only the nodes that it touches, and
// each of them once. An Edit is not safe for concurrent use.
type Edit[V any] struct {
	root  *node[V]
	size  int
	owner *byte
}

// Edit starts a set of changes to m, which itself never changes.
func (m Map[V]) Edit() *Edit[V] {
	return &Edit[V]{root: m.root, size: m.size, owner: new(byte)}
}

// Done returns the map with the changes. The Edit may go on being used, for the
// next version.
func (e *Edit[V]) Done() Map[V] {
	if e.root != nil {
		e.root.rehash(e.owner)
	}
	e.owner = new(byte)
	return Map[V]{root: e.root, size: e.size}
}

// Put sets an entry and says whether that changed anything: an entry with the
// same key and hash as the present one leaves the map as it is.
func (e *Edit[V]) Put(entry Entry[V]) bool {
	old, found := find(e.root, entry.Key, 0)
	if found && old.Hash == entry.Hash {
		return false
	}
	if !found {
		e.size++
	}
	e.root = e.put(e.root, &entry, 0)
	return true
}

// Delete removes a key and says whether it was there.
func (e *Edit[V]) Delete(key Hash) bool {
	if _, found := find(e.root, key, 0); !found {
		return false
	}
	e.size--
	e.root = e.remove(e.root, key, 0)
	if len(e.root.slots) == 0 {
		e.root = nil
	}
	return true
}

// own returns n if this Edit made it, else a copy that it may change.
func (e *Edit[V]) own(n *node[V]) *node[V] {
	if n == nil {
		return &node[V]{owner: e.owner}
	}
	if n.owner == e.owner {
		return n
	}
	return &node[V]{owner: e.owner, bitmap: n.bitmap, slots: slices.Clone(n.slots)}
}

func (e *Edit[V]) put(n *node[V], entry *Entry[V], level int) *node[V] {
	n = e.own(n)
	b := branch(entry.Key, level)
	i, ok := n.index(b)
	switch {
	case !ok:
		n.bitmap |= 1 << b
		n.slots = slices.Insert(n.slots, i, slot[V]{leaf: entry})
	case n.slots[i].leaf == nil:
		n.slots[i].child = e.put(n.slots[i].child, entry, level+1)
	case n.slots[i].leaf.Key == entry.Key:
		n.slots[i].leaf = entry
	default:
		child := e.put(nil, n.slots[i].leaf, level+1)
		n.slots[i] = slot[V]{child: e.put(child, entry, level+1)}
	}
	return n
}

// remove takes out a key that is known to be there. A node left with a single
// entry is replaced by that entry, so that the shape stays a function of the
// keys alone.
func (e *Edit[V]) remove(n *node[V], key Hash, level int) *node[V] {
	n = e.own(n)
	b := branch(key, level)
	i, _ := n.index(b)
	if n.slots[i].leaf != nil {
		n.bitmap &^= 1 << b
		n.slots = slices.Delete(n.slots, i, i+1)
		return n
	}
	child := e.remove(n.slots[i].child, key, level+1)
	if len(child.slots) == 1 && child.slots[0].leaf != nil {
		n.slots[i] = child.slots[0]
	} else {
		n.slots[i].child = child
	}
	return n
}
