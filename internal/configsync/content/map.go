// SPDX-License-Identifier: Apache-2.0

// Package content holds an immutable map that knows the hash over everything
// in it. Two versions of a map share what they have in common, so changing a
// few entries of a large map, hashing the result and finding the difference
// between the two cost work in proportion to the change, not to the size.
//
// The map is a hash trie of 16 branches per level whose shape depends only on
// the keys it holds, never on the order in which they came; every node carries
// a hash over what is below it. Equal content therefore has equal hashes on
// both ends of the stream, whatever way led there.
package content

import (
	"crypto/sha256"
	"encoding/hex"
	"iter"
	"math/bits"
)

// Hash is the first 16 bytes of a SHA-256 sum. The zero Hash stands for
// nothing: it is the hash of an empty map.
type Hash [16]byte

// String returns the hash in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Sum hashes b.
func Sum(b []byte) Hash {
	sum := sha256.Sum256(b)
	return Hash(sum[:16])
}

// Entry is one entry of a Map: the digest of its key, the hash of its content
// and a value that the map only carries.
type Entry[V any] struct {
	Key   Hash
	Hash  Hash
	Value V
}

// Map is an immutable map from key digests to entries. The zero Map is empty.
// It is safe for concurrent use.
type Map[V any] struct {
	root *node[V]
	size int
}

// branch returns the branch that key takes at a level.
func branch(key Hash, level int) uint {
	b := key[level/2]
	if level%2 == 0 {
		return uint(b >> 4)
	}
	return uint(b & 0x0f)
}

// slot is one branch of a node: a single entry, or a node with two or more
// entries below it.
type slot[V any] struct {
	child *node[V]
	leaf  *Entry[V]
}

type node[V any] struct {
	owner  *byte // the Edit that may change this node in place, or nil
	hash   Hash
	bitmap uint16
	slots  []slot[V] // one per set bit, in order
}

func (n *node[V]) index(b uint) (int, bool) {
	bit := uint16(1) << b
	return bits.OnesCount16(n.bitmap & (bit - 1)), n.bitmap&bit != 0
}

// Len returns the number of entries.
func (m Map[V]) Len() int { return m.size }

// Hash returns the hash over all entries; zero for an empty map.
func (m Map[V]) Hash() Hash {
	if m.root == nil {
		return Hash{}
	}
	return m.root.hash
}

// Get returns the entry of a key.
func (m Map[V]) Get(key Hash) (Entry[V], bool) {
	return find(m.root, key, 0)
}

func find[V any](n *node[V], key Hash, level int) (Entry[V], bool) {
	for n != nil {
		i, ok := n.index(branch(key, level))
		if !ok {
			break
		}
		s := n.slots[i]
		if s.leaf != nil {
			if s.leaf.Key == key {
				return *s.leaf, true
			}
			break
		}
		n, level = s.child, level+1
	}
	return Entry[V]{}, false
}

// All yields every entry in the order of the key digests.
func (m Map[V]) All() iter.Seq[Entry[V]] {
	return func(yield func(Entry[V]) bool) { walk(m.root, yield) }
}

func walk[V any](n *node[V], yield func(Entry[V]) bool) bool {
	if n == nil {
		return true
	}
	for _, s := range n.slots {
		if s.leaf != nil {
			if !yield(*s.leaf) {
				return false
			}
		} else if !walk(s.child, yield) {
			return false
		}
	}
	return true
}

// Domain separation: a leaf can never be taken for a branch.
const (
	leafTag   = 0
	branchTag = 1
)

// rehash computes the hashes of the nodes that owner made, and seals them.
func (n *node[V]) rehash(owner *byte) {
	if n.owner != owner {
		return
	}
	buf := make([]byte, 0, 3+len(n.slots)*33)
	buf = append(buf, byte(n.bitmap>>8), byte(n.bitmap))
	for _, s := range n.slots {
		if s.leaf != nil {
			buf = append(buf, leafTag)
			buf = append(buf, s.leaf.Key[:]...)
			buf = append(buf, s.leaf.Hash[:]...)
			continue
		}
		s.child.rehash(owner)
		buf = append(buf, branchTag)
		buf = append(buf, s.child.hash[:]...)
	}
	n.hash = Sum(buf)
	n.owner = nil
}
