// SPDX-License-Identifier: Apache-2.0

package router

import (
	"slices"
	"strings"
)

// leaf holds the candidates of one path text.
type leaf struct {
	key    string
	prefix list // the key is their prefix path
	exact  list // regexes that match the key and nothing else
	regex  list // regexes whose matches all begin with the key
}

func (l *leaf) empty() bool { return l.prefix.size+l.exact.size+l.regex.size == 0 }

// radix is a node of an immutable radix tree over path texts.
type radix[L any] struct {
	edge  string
	leaf  *L
	kids  []*radix[L]
	bytes []byte // first byte of each kid's edge, ascending
}

// walk appends the leaves whose key begins path, shortest first.
func (n *radix[L]) walk(path string, found []*L) []*L {
	rest := path
	for n != nil && strings.HasPrefix(rest, n.edge) {
		rest = rest[len(n.edge):]
		if n.leaf != nil {
			found = append(found, n.leaf)
		}
		if rest == "" {
			break
		}
		n = n.kid(rest[0])
	}
	return found
}

// get returns the leaf of exactly this key, or nil.
func (n *radix[L]) get(key string) *L {
	for n != nil && strings.HasPrefix(key, n.edge) {
		key = key[len(n.edge):]
		if key == "" {
			return n.leaf
		}
		n = n.kid(key[0])
	}
	return nil
}

func (n *radix[L]) kid(b byte) *radix[L] {
	// Few kids are the rule, where a scan beats a binary search.
	for i, c := range n.bytes {
		if c == b {
			return n.kids[i]
		}
	}
	return nil
}

// with returns the tree with the leaf of rest replaced, or removed when l is
// nil. n may be nil. Nodes on the way are copied, all others are shared.
func (n *radix[L]) with(rest string, l *L) *radix[L] {
	if n == nil {
		if l == nil {
			return nil
		}
		return &radix[L]{edge: rest, leaf: l}
	}
	common := commonLen(n.edge, rest)
	if common < len(n.edge) {
		if l == nil {
			return n
		}
		lower := *n
		lower.edge = n.edge[common:]
		split := &radix[L]{edge: n.edge[:common], kids: []*radix[L]{&lower}, bytes: []byte{lower.edge[0]}}
		return split.with(rest, l)
	}
	next := *n
	if rest = rest[common:]; rest == "" {
		next.leaf = l
	} else {
		next.replaceKid(rest[0], n.kid(rest[0]).with(rest, l))
	}
	return next.compact()
}

// replaceKid sets the kid whose edge begins with b in copies of n's slices.
func (n *radix[L]) replaceKid(b byte, kid *radix[L]) {
	i, found := slices.BinarySearch(n.bytes, b)
	switch {
	case kid == nil && !found:
	case kid == nil:
		n.kids = slices.Delete(slices.Clone(n.kids), i, i+1)
		n.bytes = slices.Delete(slices.Clone(n.bytes), i, i+1)
	case found:
		n.kids = slices.Clone(n.kids)
		n.kids[i] = kid
	default:
		n.kids = slices.Insert(slices.Clone(n.kids), i, kid)
		n.bytes = slices.Insert(slices.Clone(n.bytes), i, b)
	}
}

// compact removes a node that no longer serves a purpose. n is not shared yet.
func (n *radix[L]) compact() *radix[L] {
	if n.leaf != nil || len(n.kids) > 1 {
		return n
	}
	if len(n.kids) == 0 {
		return nil
	}
	only := *n.kids[0]
	only.edge = n.edge + only.edge
	return &only
}

func commonLen(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
