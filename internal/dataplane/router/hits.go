// SPDX-License-Identifier: Apache-2.0

package router

import "strings"

// hits are the facts about one request that depend on the routes of all
// categories. Each is worked out when it is first needed; most requests need
// none.
type hits struct {
	router *Router
	in     *Input

	headerDone bool
	header     string

	pathDone bool
	pathHit  *candidate
}

// headerName is the first header, in the order of the routes, that the request
// has; empty if none.
func (h *hits) headerName() string {
	if !h.headerDone {
		h.headerDone = true
		for _, name := range h.router.headerNames {
			if h.in.hasHeader(name) {
				h.header = name
				break
			}
		}
	}
	return h.header
}

// path is a candidate with the best path that fits: the first regex in Kong's
// order, else the longest prefix; nil if none fits.
func (h *hits) path() *candidate {
	if h.pathDone {
		return h.pathHit
	}
	h.pathDone = true
	if h.in.Path == "" {
		return nil
	}
	var prefix, regex *candidate
	for _, c := range h.router.categories {
		if c.kinds&kindPath == 0 {
			continue
		}
		var buf [16]*leaf
		for _, l := range c.all.paths.walk(h.in.Path, buf[:0]) {
			if !l.prefix.empty() && (prefix == nil || len(l.key) > len(prefix.path)) {
				prefix = l.prefix.first()
			}
			if !l.exact.empty() && len(l.key) == len(h.in.Path) && (regex == nil || compare(l.exact.first(), regex) < 0) {
				regex = l.exact.first()
			}
			regex = l.regex.firstFitting(h.in.Path, regex)
		}
	}
	if h.pathHit = regex; regex == nil {
		h.pathHit = prefix
	}
	return h.pathHit
}

// firstFitting returns the first candidate whose regex matches path and that
// comes before best; best when there is none.
func (l *list) firstFitting(path string, best *candidate) *candidate {
	failed := ""
	for _, chunk := range l.chunks {
		for _, c := range chunk {
			if best != nil && compare(best, c) < 0 {
				return best
			}
			if c.path == failed {
				continue
			}
			if c.re.match(path) {
				return c
			}
			failed = c.path
		}
	}
	return best
}

// plainHost reports whether any route lists the request's host without a
// wildcard; here Kong does let the scheme's default port count.
func (h *hits) plainHost() bool {
	for _, c := range h.router.categories {
		if s := c.hosts.plain.At(h.in.Host); s != nil {
			if s.any != nil || s.table(h.in.effectivePort()) != nil {
				return true
			}
		}
	}
	return false
}

// wildcard is the first wildcard host, in Kong's order, that fits.
func (h *hits) wildcard() (hostPattern, bool) {
	var best *candidate
	for _, c := range h.router.categories {
		var buf [8]*table
		for _, t := range c.hosts.wildcards(h.in, buf[:0]) {
			if best == nil || compare(t.all.first(), best) < 0 {
				best = t.all.first()
			}
		}
	}
	if best == nil {
		return hostPattern{}, false
	}
	for _, p := range best.hosts {
		if p.wildcard() && p.fits(h.in) {
			return p, true
		}
	}
	return hostPattern{}, false
}

// fits reports whether the wildcard pattern takes the request's host and port.
func (p hostPattern) fits(in *Input) bool {
	if p.port != 0 && p.port != in.effectivePort() {
		return false
	}
	if p.shape == hostLeft {
		return len(in.Host) > len(p.text) && strings.HasSuffix(in.Host, p.text)
	}
	i := strings.Index(in.Host, p.text)
	return i >= 0 && i+len(p.text) < len(in.Host)
}

// possible is the set of kinds that the request may match, over all routes.
func (h *hits) possible() kinds {
	var k kinds
	if h.headerName() != "" {
		k |= kindHeader
	}
	if h.path() != nil {
		k |= kindPath
	}
	if h.in.Host != "" {
		if _, ok := h.wildcard(); ok || h.plainHost() {
			k |= kindHost
		}
	}
	for _, c := range h.router.categories {
		if c.methods.At(h.in.Method) > 0 {
			k |= kindMethod
		}
		if c.snis.At(h.in.SNI) > 0 {
			k |= kindSNI
		}
	}
	return k
}
