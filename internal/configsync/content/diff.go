// SPDX-License-Identifier: Apache-2.0

package content

// Diff calls put for every entry of b that a lacks or holds with another hash,
// and removed for every entry of a whose key b lacks. Parts with equal hashes
// are skipped unseen.
func Diff[V any](a, b Map[V], put, removed func(Entry[V])) {
	d := differ[V]{put: put, removed: removed}
	d.nodes(a.root, b.root)
}

type differ[V any] struct {
	put, removed func(Entry[V])
}

func (d differ[V]) nodes(a, b *node[V]) {
	switch {
	case a == b, a != nil && b != nil && a.hash == b.hash:
		return
	case a == nil:
		d.all(b, d.put)
		return
	case b == nil:
		d.all(a, d.removed)
		return
	}
	for br := range uint(16) {
		i, inA := a.index(br)
		j, inB := b.index(br)
		var sa, sb slot[V]
		if inA {
			sa = a.slots[i]
		}
		if inB {
			sb = b.slots[j]
		}
		d.slots(sa, sb)
	}
}

func (d differ[V]) slots(a, b slot[V]) {
	switch {
	case a.leaf == nil && b.leaf == nil:
		d.nodes(a.child, b.child)
	case a.leaf != nil && b.leaf != nil:
		if a.leaf.Key != b.leaf.Key {
			d.removed(*a.leaf)
			d.put(*b.leaf)
		} else if a.leaf.Hash != b.leaf.Hash {
			d.put(*b.leaf)
		}
	case a.leaf != nil:
		d.leafAgainst(a.leaf, b.child, d.removed, func(_, other Entry[V]) { d.put(other) }, d.put)
	default:
		d.leafAgainst(b.leaf, a.child, d.put, func(own, _ Entry[V]) { d.put(own) }, d.removed)
	}
}

// leafAgainst compares one entry with the (possibly empty) node on the other
// side: alone is called when the node lacks its key, changed when it holds it
// with another hash, rest for every other entry of the node.
func (d differ[V]) leafAgainst(leaf *Entry[V], n *node[V], alone func(Entry[V]), changed func(own, other Entry[V]), rest func(Entry[V])) {
	met := false
	d.all(n, func(e Entry[V]) {
		if e.Key != leaf.Key {
			rest(e)
			return
		}
		met = true
		if e.Hash != leaf.Hash {
			changed(*leaf, e)
		}
	})
	if !met {
		alone(*leaf)
	}
}

func (d differ[V]) all(n *node[V], f func(Entry[V])) {
	walk(n, func(e Entry[V]) bool {
		f(e)
		return true
	})
}
