// SPDX-License-Identifier: Apache-2.0

package router

import "slices"

// table holds candidates of one category, of one host pattern or of all. It is
// immutable.
type table struct {
	all   list
	paths *radix[leaf] // nil when the category has no paths
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
	return t.all.first().sub&subHosts == t.all.last().sub&subHosts
}

// first returns the first candidate in Kong's order that matches in and comes
// before best; best when there is none. The host is taken as matched.
func (t *table) first(in *Input, f *filter, best *candidate) *candidate {
	if t.paths == nil {
		return t.all.match(in, f, best)
	}
	if in.Path == "" {
		return best
	}
	var buf [16]*leaf
	leaves := t.paths.walk(in.Path, buf[:0])
	for _, l := range slices.Backward(leaves) {
		if !l.exact.empty() && len(l.key) == len(in.Path) {
			best = l.exact.match(in, f, best)
		}
		best = l.prefix.match(in, f, best)
	}
	// Regexes cost the most: only those are run that would beat the best.
	for _, l := range leaves {
		best = l.regex.matchRegex(in, f, best)
	}
	return best
}

// match returns the first candidate that matches in but for its path, and comes
// before best; best when there is none.
func (l *list) match(in *Input, f *filter, best *candidate) *candidate {
	for _, chunk := range l.chunks {
		for _, c := range chunk {
			if best != nil && compare(best, c) < 0 {
				return best
			}
			if c.matchesRest(in) && f.pass(c) {
				return c
			}
		}
	}
	return best
}

// matchRegex is match with the regexes of the paths.
func (l *list) matchRegex(in *Input, f *filter, best *candidate) *candidate {
	for _, chunk := range l.chunks {
		for _, c := range chunk {
			if best != nil && compare(best, c) < 0 {
				return best
			}
			if f.pass(c) && c.matchesRest(in) && c.re.match(in.Path) {
				return c
			}
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
	next.all = next.all.with(ch)
	if next.all.empty() {
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
		l := &leaf{
			key:    key,
			prefix: old.prefix.with(&lc.prefix),
			exact:  old.exact.with(&lc.exact),
			regex:  old.regex.with(&lc.regex),
		}
		if l.empty() {
			l = nil
		}
		next.paths = next.paths.with(key, l)
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
func (l *leaf) list(c *candidate) *list {
	switch {
	case c.re == nil:
		return &l.prefix
	case c.re.exact:
		return &l.exact
	default:
		return &l.regex
	}
}

// leafKey is the text under which the candidate's path is indexed.
func (c *candidate) leafKey() string {
	if c.re == nil {
		return c.path
	}
	return c.re.literal
}
