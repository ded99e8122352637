// SPDX-License-Identifier: Apache-2.0

package router

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// kinds is the set of matcher kinds of a candidate. Values are in Kong's order
// of strength, so that comparing sets of equal size compares strength.
type kinds uint8

const (
	kindSNI kinds = 1 << iota
	kindMethod
	kindPath
	kindHeader
	kindHost
)

// subWeight ranks candidates inside a category.
type subWeight uint8

const (
	subRegexPath        subWeight = 1
	subPlainHosts       subWeight = 2
	subWildcardWithPort subWeight = 4
	// subHosts are the bits that come from hosts.
	subHosts = subPlainHosts | subWildcardWithPort
)

// candidate is a route with at most one of its paths.
type candidate struct {
	route *Route
	id    entity.ID // of the route: candidates are compared often
	kinds kinds
	over  transports

	hosts   []hostPattern
	headers []headerMatcher
	methods []string
	snis    []string
	// wildcardSNIs are those of the server names that have a wildcard.
	wildcardSNIs []serverName

	path string // as configured, without "~"; empty without path
	re   *regex // nil for a prefix path

	// The order inside a category.
	sub           subWeight
	regexPriority int
	createdAt     int64 // seconds; unset sorts last
	pathIndex     int
}

// setPath sets the candidate's one path.
func (c *candidate) setPath(path string) error {
	c.kinds |= kindPath
	if !strings.HasPrefix(path, "~") {
		c.path = path
		return nil
	}
	c.path = path[1:]
	re, err := compilePath(c.path)
	if err != nil {
		return fieldError{"paths", err}
	}
	c.re = re
	c.sub |= subRegexPath
	return nil
}

func (c *candidate) addHost(h hostPattern) {
	if slices.Contains(c.hosts, h) {
		return
	}
	c.hosts = append(c.hosts, h)
	if h.wildcard() && h.port != 0 {
		c.sub |= subWildcardWithPort
	}
}

func (c *candidate) kindsOf() kinds {
	var k kinds
	if len(c.hosts) > 0 {
		k |= kindHost
	}
	if len(c.headers) > 0 {
		k |= kindHeader
	}
	if len(c.methods) > 0 {
		k |= kindMethod
	}
	if len(c.snis)+len(c.wildcardSNIs) > 0 {
		k |= kindSNI
	}
	return k
}

// prefixLen is the length of a prefix path; a regex has none, however long.
func (c *candidate) prefixLen() int {
	if c.re != nil {
		return 0
	}
	return len(c.path)
}

// compare orders candidates as Kong does: negative when a comes before b. It is
// a total order over the candidates of a router.
func compare(a, b *candidate) int {
	if a == b {
		return 0
	}
	if c := cmp.Compare(b.sub, a.sub); c != 0 {
		return c
	}
	if c := cmp.Compare(len(b.headers), len(a.headers)); c != 0 {
		return c
	}
	if a.sub&subRegexPath != 0 {
		if c := cmp.Compare(b.regexPriority, a.regexPriority); c != 0 {
			return c
		}
	}
	if c := cmp.Compare(b.prefixLen(), a.prefixLen()); c != 0 {
		return c
	}
	if c := cmp.Compare(a.createdAt, b.createdAt); c != 0 {
		return c
	}
	if c := cmp.Compare(a.id, b.id); c != 0 {
		return c
	}
	return cmp.Compare(a.pathIndex, b.pathIndex)
}

// matchesRest checks what no index covers: transport, methods, headers and
// SNIs.
func (c *candidate) matchesRest(in *Input) bool {
	if !c.over.take(in.TLS) {
		return false
	}
	if c.kinds&kindMethod != 0 && !slices.Contains(c.methods, in.Method) {
		return false
	}
	// Kong does not look at a route's SNIs for a plain-text request.
	if c.kinds&kindSNI != 0 && in.TLS && !slices.Contains(c.snis, in.SNI) && !anyName(c.wildcardSNIs, in.SNI) {
		return false
	}
	for i := range c.headers {
		if !c.headers[i].match(in.Headers) {
			return false
		}
	}
	return true
}

func (c *candidate) hasHeader(name string) bool { return c.headerIndex(name) >= 0 }

// headerIndex is the place of a header among the candidate's own, -1 without.
func (c *candidate) headerIndex(name string) int {
	for i := range c.headers {
		if c.headers[i].name == name {
			return i
		}
	}
	return -1
}

// headerNames yields the names of the candidate's headers, each once.
func (c *candidate) headerNames() iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range c.headers {
			if name := c.headers[i].name; c.headerIndex(name) == i && !yield(name) {
				return
			}
		}
	}
}

// headerMatcher is one entry of a route's headers.
type headerMatcher struct {
	name   string   // lower case
	values []string // lower case
	re     *regex   // for a single value that begins with "~*"
}

func newHeaderMatcher(name string, values []string) (headerMatcher, error) {
	m := headerMatcher{name: strings.ToLower(name)}
	for _, v := range values {
		m.values = append(m.values, strings.ToLower(v))
	}
	if len(values) == 1 && strings.HasPrefix(values[0], "~*") {
		re, err := compileSearch(values[0][2:])
		if err != nil {
			return m, err
		}
		m.re = re
	}
	return m, nil
}

// match reports whether any line of the header has one of the values.
func (m *headerMatcher) match(h Headers) bool {
	if h == nil {
		return false
	}
	for i := 0; ; i++ {
		v, ok := h.HeaderValue(m.name, i)
		if !ok {
			return false
		}
		for _, want := range m.values {
			if equalFoldASCII(v, want) {
				return true
			}
		}
		// Kong lowers the value, not the pattern.
		if m.re != nil && m.re.match(lowerASCII(v)) {
			return true
		}
	}
}
