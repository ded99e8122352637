// SPDX-License-Identifier: Apache-2.0

package router

import (
	"math/bits"

	"github.com/kong/kong-istio-gateway/internal/dataplane/persistent"
)

// category holds the candidates that use the same kinds of matchers. It is
// immutable.
type category struct {
	kinds kinds
	all   *table    // every candidate of the category
	hosts hostIndex // the same by host, when the kinds have hosts

	// How many candidates each index list of Kong's would hold.
	headers counts
	methods counts
	snis    counts
}

// compareKinds orders categories: more kinds first, then stronger kinds.
func compareKinds(a, b kinds) int {
	if n := bits.OnesCount8(uint8(b)) - bits.OnesCount8(uint8(a)); n != 0 {
		return n
	}
	return int(b) - int(a)
}

// match returns the candidate of the category that Kong would choose, or nil.
func (c *category) match(h *hits) *candidate {
	var buf [8]*table
	tables := buf[:0]
	if c.kinds&kindHost == 0 {
		tables = append(tables, c.all)
	} else {
		tables = c.hosts.fitting(h.in, tables)
	}
	if len(tables) == 0 {
		return nil
	}
	if c.kinds&kindHeader != 0 {
		name := h.headerName()
		if name == "" {
			return nil
		}
		if c.headers.At(name) > 0 {
			if found := first(tables, h.in, &filter{header: name}); found != nil {
				return found
			}
			return first(tables, h.in, &filter{})
		}
	}
	if len(tables) > 1 || !tables[0].uniform() {
		if found := c.reduced(tables, h); found != nil {
			return found
		}
	}
	return first(tables, h.in, &filter{})
}

// reduced searches the smallest of Kong's index lists: the candidates with the
// Host exactly as written (or with the first wildcard that fits, when no plain
// host does), those with the best path, those with the method, those with the
// SNI. The last two lists hold whatever can match at all, so for them there is
// nothing to search apart from the whole category.
func (c *category) reduced(tables []*table, h *hits) *candidate {
	const none = 0
	smallest := none
	hostList := c.hostList(h)
	if hostList != nil {
		smallest = hostList.all.size
	}
	byPath, whole := false, false
	path := h.path()
	if n := c.pathCount(path); n != none && (smallest == none || n < smallest) {
		smallest, byPath = n, true
	}
	if n := c.methods.At(h.in.Method); n != none && (smallest == none || n < smallest) {
		smallest, whole = n, true
	}
	if n := c.snis.At(h.in.SNI); n != none && (smallest == none || n < smallest) {
		smallest, whole = n, true
	}
	switch {
	case whole || smallest == none:
		return nil
	case byPath:
		return first(tables, h.in, &filter{path: path})
	default:
		return hostList.first(h.in, &filter{}, nil)
	}
}

func (c *category) hostList(h *hits) *table {
	if h.plainHost() {
		return c.hosts.plain.At(h.in.Host).table(h.in.Port)
	}
	if w, ok := h.wildcard(); ok {
		return c.hosts.of(w.shape).At(w.text).table(w.port)
	}
	return nil
}

// pathCount is the number of candidates with the same path text as path.
func (c *category) pathCount(path *candidate) int {
	if path == nil || c.kinds&kindPath == 0 {
		return 0
	}
	l := c.all.paths.get(path.leafKey())
	if l == nil {
		return 0
	}
	if path.re == nil {
		return l.prefix.size
	}
	n := 0
	for _, chunk := range l.list(path).chunks {
		for _, o := range chunk {
			if o.path == path.path {
				n++
			}
		}
	}
	return n
}

func first(tables []*table, in *Input, f *filter) *candidate {
	var best *candidate
	for _, t := range tables {
		best = t.first(in, f, best)
	}
	return best
}

// with returns the category after the change, nil when nothing is left.
func (c *category) with(ch *change) *category {
	next := *c
	next.all = c.all.with(ch)
	if next.all == nil {
		return nil
	}
	if c.kinds&kindHost != 0 {
		next.hosts = c.hosts.with(byHost(ch))
	}
	next.headers = count(c.headers, ch, func(x *candidate, f func(string)) {
		for i := range x.headers {
			f(x.headers[i].name)
		}
	})
	next.methods = count(c.methods, ch, func(x *candidate, f func(string)) { each(x.methods, f) })
	next.snis = count(c.snis, ch, func(x *candidate, f func(string)) { each(x.snis, f) })
	return &next
}

func byHost(ch *change) map[hostPattern]*change {
	m := map[hostPattern]*change{}
	at := func(h hostPattern) *change {
		if m[h] == nil {
			m[h] = &change{}
		}
		return m[h]
	}
	for _, c := range ch.add {
		for _, h := range c.hosts {
			at(h).add = append(at(h).add, c)
		}
	}
	for _, c := range ch.del {
		for _, h := range c.hosts {
			at(h).del = append(at(h).del, c)
		}
	}
	return m
}

func each(list []string, f func(string)) {
	for _, s := range list {
		f(s)
	}
}

// counts are how many candidates have a key.
type counts = persistent.Map[string, int]

// count returns the counts of keys after the change.
func count(old counts, ch *change, keys func(*candidate, func(string))) counts {
	delta := map[string]int{}
	for _, c := range ch.add {
		keys(c, func(k string) { delta[k]++ })
	}
	for _, c := range ch.del {
		keys(c, func(k string) { delta[k]-- })
	}
	if len(delta) == 0 {
		return old
	}
	next := old.Edit()
	for k, d := range delta {
		if n := next.At(k) + d; n == 0 {
			next.Delete(k)
		} else {
			next.Put(k, n)
		}
	}
	return next.Done()
}
