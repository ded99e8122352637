// SPDX-License-Identifier: Apache-2.0

// Package persistent holds immutable maps of which a changed version costs work
// in proportion to the change, not to the size: two versions share what they
// have in common. The tables of a running configuration are made of them, so
// that a change of one route among thousands copies a few nodes only.
//
// A Map is a hash trie of 32 branches per level. Reading takes no lock and
// allocates nothing.
package persistent

import (
	"hash/maphash"
	"iter"
	"math/bits"
	"slices"
)

// Map is an immutable map. The zero Map is empty. It is safe for concurrent
// use.
type Map[K comparable, V any] struct {
	root *node[K, V]
	size int
}

const (
	branchBits = 5
	branchMask = 1<<branchBits - 1
	// lastShift is where the hash is used up: entries there share a hash, and
	// are told apart by comparing keys.
	lastShift = 60
)

// node holds the entries below one prefix of the hash: one slot per set bit,
// or, at lastShift, any number of slots without bits.
type node[K comparable, V any] struct {
	owner  *owner
	bitmap uint32
	slots  []slot[K, V]
}

// slot is an entry, or a node with the entries of this branch.
type slot[K comparable, V any] struct {
	child *node[K, V]
	key   K
	value V
}

// owner marks nodes that one Edit made and may therefore change in place.
type owner struct{ _ byte }

var seed = maphash.MakeSeed()

func hashOf[K comparable](key K) uint64 { return maphash.Comparable(seed, key) }

func branch(hash uint64, shift uint) uint32 { return uint32(1) << ((hash >> shift) & branchMask) }

func (n *node[K, V]) index(bit uint32) int { return bits.OnesCount32(n.bitmap & (bit - 1)) }

// Len returns the number of entries.
func (m Map[K, V]) Len() int { return m.size }

// Get returns the value of key; found is false when there is none.
func (m Map[K, V]) Get(key K) (value V, found bool) {
	if m.root == nil {
		return value, false
	}
	return m.root.get(key, hashOf(key))
}

// At returns the value of key, the zero value when there is none.
func (m Map[K, V]) At(key K) V {
	v, _ := m.Get(key)
	return v
}

func (n *node[K, V]) get(key K, hash uint64) (value V, found bool) {
	for shift := uint(0); shift < lastShift; shift += branchBits {
		bit := branch(hash, shift)
		if n.bitmap&bit == 0 {
			return value, false
		}
		s := &n.slots[n.index(bit)]
		if s.child == nil {
			if s.key == key {
				return s.value, true
			}
			return value, false
		}
		n = s.child
	}
	for i := range n.slots {
		if n.slots[i].key == key {
			return n.slots[i].value, true
		}
	}
	return value, false
}

// All yields every entry, in no particular order.
func (m Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { m.root.walk(yield) }
}

func (n *node[K, V]) walk(yield func(K, V) bool) bool {
	if n == nil {
		return true
	}
	for i := range n.slots {
		s := &n.slots[i]
		if s.child != nil {
			if !s.child.walk(yield) {
				return false
			}
		} else if !yield(s.key, s.value) {
			return false
		}
	}
	return true
}

// With returns the map with one entry set.
func (m Map[K, V]) With(key K, value V) Map[K, V] {
	e := m.Edit()
	e.Put(key, value)
	return e.Done()
}

// Without returns the map without one entry.
func (m Map[K, V]) Without(key K) Map[K, V] {
	e := m.Edit()
	e.Delete(key)
	return e.Done()
}

// Edit collects changes to a Map. It copies only the nodes that it touches, and
// each of them once. An Edit is not safe for concurrent use.
type Edit[K comparable, V any] struct {
	root  *node[K, V]
	size  int
	owner *owner
}

// Edit starts a set of changes to m, which itself never changes.
func (m Map[K, V]) Edit() Edit[K, V] { return Edit[K, V]{root: m.root, size: m.size} }

// Done returns the map with the changes. The Edit may go on being used, for the
// next version.
func (e *Edit[K, V]) Done() Map[K, V] {
	e.owner = nil
	return Map[K, V]{root: e.root, size: e.size}
}

// Len returns the number of entries.
func (e *Edit[K, V]) Len() int { return e.size }

// Get returns the value of key as it is now.
func (e *Edit[K, V]) Get(key K) (V, bool) { return Map[K, V]{e.root, e.size}.Get(key) }

// At returns the value of key as it is now, the zero value when there is none.
func (e *Edit[K, V]) At(key K) V { return Map[K, V]{e.root, e.size}.At(key) }

// All yields the entries as they are now. The Edit must not be changed
// meanwhile.
func (e *Edit[K, V]) All() iter.Seq2[K, V] { return Map[K, V]{e.root, e.size}.All() }

// Put sets an entry.
func (e *Edit[K, V]) Put(key K, value V) {
	e.begin()
	e.root = e.put(e.root, slot[K, V]{key: key, value: value}, hashOf(key), 0)
}

// Delete removes an entry and says whether it was there.
func (e *Edit[K, V]) Delete(key K) bool {
	if _, found := e.Get(key); !found {
		return false
	}
	e.begin()
	e.size--
	e.root = e.remove(e.root, key, hashOf(key), 0)
	if len(e.root.slots) == 0 {
		e.root = nil
	}
	return true
}

func (e *Edit[K, V]) begin() {
	if e.owner == nil {
		e.owner = &owner{}
	}
}

// own returns n if this Edit made it, else a copy that it may change.
func (e *Edit[K, V]) own(n *node[K, V]) *node[K, V] {
	switch {
	case n == nil:
		return &node[K, V]{owner: e.owner}
	case n.owner == e.owner:
		return n
	}
	return &node[K, V]{owner: e.owner, bitmap: n.bitmap, slots: slices.Clone(n.slots)}
}

func (e *Edit[K, V]) put(n *node[K, V], entry slot[K, V], hash uint64, shift uint) *node[K, V] {
	n = e.own(n)
	if shift >= lastShift {
		if i := n.position(entry.key); i >= 0 {
			n.slots[i] = entry
		} else {
			n.slots = append(n.slots, entry)
			e.size++
		}
		return n
	}
	bit := branch(hash, shift)
	i := n.index(bit)
	switch {
	case n.bitmap&bit == 0:
		n.bitmap |= bit
		n.slots = slices.Insert(n.slots, i, entry)
		e.size++
	case n.slots[i].child != nil:
		n.slots[i].child = e.put(n.slots[i].child, entry, hash, shift+branchBits)
	case n.slots[i].key == entry.key:
		n.slots[i] = entry
	default:
		there := n.slots[i]
		child := e.put(nil, there, hashOf(there.key), shift+branchBits)
		e.size-- // it was counted before
		n.slots[i] = slot[K, V]{child: e.put(child, entry, hash, shift+branchBits)}
	}
	return n
}

func (n *node[K, V]) position(key K) int {
	return slices.IndexFunc(n.slots, func(s slot[K, V]) bool { return s.key == key })
}

// remove takes out a key that is known to be there. A node left with a single
// entry is replaced by that entry.
func (e *Edit[K, V]) remove(n *node[K, V], key K, hash uint64, shift uint) *node[K, V] {
	n = e.own(n)
	if shift >= lastShift {
		i := n.position(key)
		n.slots = slices.Delete(n.slots, i, i+1)
		return n
	}
	bit := branch(hash, shift)
	i := n.index(bit)
	if n.slots[i].child == nil {
		n.bitmap &^= bit
		n.slots = slices.Delete(n.slots, i, i+1)
		return n
	}
	child := e.remove(n.slots[i].child, key, hash, shift+branchBits)
	if len(child.slots) == 1 && child.slots[0].child == nil {
		n.slots[i] = child.slots[0]
	} else {
		n.slots[i].child = child
	}
	return n
}
