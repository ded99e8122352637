// SPDX-License-Identifier: Apache-2.0

package router

import "slices"

// table holds candidates of one category, of one host pattern or of all. It is
// immutable.
type table struct {
	all   []*candidate // in Kong's order
	paths *radix       // nil when the category has no paths
}

// filter narrows a search to one of Kong's index lists. The zero value lets
// everything through.
type filter struct {
	header string     // only candidates with this header
	path   *candidate // only candidates with this one's path text
}

func (f *filter) pass(c *candidate) bool {
	if f.header != "" && !c.hasHeader(f.header) {
		return false
	}
	return f.path == nil || f.path.samePath(c)
}

func (c *candidate) samePath(o *candidate) bool {
	return c.path == o.path && (c.re == nil) == (o.re == nil)
}

// uniform reports whether all candidates have the same kind of hosts.
func (t *table) uniform() bool {
	// The order puts the kind of hosts first.
	return t.all[0].sub&subHosts == t.all[len(t.all)-1].sub&subHosts
}

// first returns the first candidate in Kong's order that matches in and comes
// before best; best when there is none. The host is taken as matched.
func (t *table) first(in *Input, f *filter, best *candidate) *candidate {
	if t.paths == nil {
		return firstOf(t.all, in, f, best)
	}
	if in.Path == "" {
		return best
	}
	var buf [16]*leaf
	leaves := t.paths.walk(in.Path, buf[:0])
	for _, l := range slices.Backward(leaves) {
		if len(l.exact) > 0 && len(l.key) == len(in.Path) {
			best = firstOf(l.exact, in, f, best)
		}
		best = firstOf(l.prefix, in, f, best)
	}
	// Regexes cost the most: only those are run that would beat the best.
	for _, l := range leaves {
		best = firstRegexOf(l.regex, in, f, best)
	}
	return best
}

func firstOf(list []*candidate, in *Input, f *filter, best *candidate) *candidate {
	for _, c := range list {
		if best != nil && compare(best, c) < 0 {
			return best
		}
		if c.matchesRest(in) && f.pass(c) {
			return c
		}
	}
	return best
}

func firstRegexOf(list []*candidate, in *Input, f *filter, best *candidate) *candidate {
	for _, c := range list {
		if best != nil && compare(best, c) < 0 {
			return best
		}
		if f.pass(c) && c.matchesRest(in) && c.re.match(in.Path) {
			return c
		}
	}
	return best
}

// change is a set of candidates to add to and to remove from a table, each in
// Kong's order.
type change struct {
	add, del []*candidate
}

func (c *change) sort() {
	slices.SortFunc(c.add, compare)
	slices.SortFunc(c.del, compare)
}

// with returns the table after the change, nil when nothing is left.
func (t *table) with(ch *change) *table {
	ch.sort()
	next := &table{}
	if t != nil {
		next.all, next.paths = t.all, t.paths
	}
	next.all = merge(next.all, ch.add, ch.del)
	if len(next.all) == 0 {
		return nil
	}
	leaves := map[string]*leafChange{}
	for _, c := range ch.del {
		leafChangeFor(leaves, c).del(c)
	}
	for _, c := range ch.add {
		leafChangeFor(leaves, c).add(c)
	}
	for key, lc := range leaves {
		old := &leaf{}
		if l := next.paths.get(key); l != nil {
			old = l
		}
		next.paths = next.paths.with(key, &leaf{
			key:    key,
			prefix: merge(old.prefix, lc.prefix.add, lc.prefix.del),
			exact:  merge(old.exact, lc.exact.add, lc.exact.del),
			regex:  merge(old.regex, lc.regex.add, lc.regex.del),
		})
	}
	return next
}

// leafChange is the change of one leaf, by list.
type leafChange struct{ prefix, exact, regex change }

func leafChangeFor(m map[string]*leafChange, c *candidate) *leafChange {
	if c.kinds&kindPath == 0 {
		return nil
	}
	key := c.leafKey()
	if m[key] == nil {
		m[key] = &leafChange{}
	}
	return m[key]
}

func (lc *leafChange) add(c *candidate) {
	if lc != nil {
		ch := lc.list(c)
		ch.add = append(ch.add, c)
	}
}

func (lc *leafChange) del(c *candidate) {
	if lc != nil {
		ch := lc.list(c)
		ch.del = append(ch.del, c)
	}
}

func (lc *leafChange) list(c *candidate) *change {
	switch {
	case c.re == nil:
		return &lc.prefix
	case c.re.exact:
		return &lc.exact
	default:
		return &lc.regex
	}
}

// list returns the leaf's list that c belongs to.
func (l *leaf) list(c *candidate) []*candidate {
	switch {
	case c.re == nil:
		return l.prefix
	case c.re.exact:
		return l.exact
	default:
		return l.regex
	}
}

// leafKey is the text under which the candidate's path is indexed.
func (c *candidate) leafKey() string {
	if c.re == nil {
		return c.path
	}
	return c.re.literal
}

// merge returns a new list without del and with add; all are in Kong's order
// and del is part of list.
func merge(list, add, del []*candidate) []*candidate {
	if len(add) == 0 && len(del) == 0 {
		return list
	}
	out := make([]*candidate, 0, max(0, len(list)+len(add)-len(del)))
	for _, c := range list {
		if len(del) > 0 && c == del[0] {
			del = del[1:]
			continue
		}
		for len(add) > 0 && compare(add[0], c) < 0 {
			out = append(out, add[0])
			add = add[1:]
		}
		out = append(out, c)
	}
	return append(out, add...)
}
