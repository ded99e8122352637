// SPDX-License-Identifier: Apache-2.0

package router

import "strings"

// serverName is one of a route's snis: a name, or a wildcard for any number of
// labels before or behind it.
type serverName struct {
	text string // without "*"
	kind serverNameKind
}

type serverNameKind uint8

const (
	nameExact serverNameKind = iota
	nameSuffix
	namePrefix
)

func newServerName(s string) serverName {
	s = lowerASCII(trimDot(s))
	if rest, ok := strings.CutPrefix(s, "*"); ok {
		return serverName{rest, nameSuffix}
	}
	if rest, ok := strings.CutSuffix(s, "*"); ok {
		return serverName{rest, namePrefix}
	}
	return serverName{s, nameExact}
}

func (n serverName) match(sni string) bool {
	switch n.kind {
	case nameSuffix:
		return len(sni) > len(n.text) && strings.HasSuffix(sni, n.text)
	case namePrefix:
		return len(sni) > len(n.text) && strings.HasPrefix(sni, n.text)
	}
	return sni == n.text
}

func anyName(names []serverName, sni string) bool {
	for i := range names {
		if names[i].match(sni) {
			return true
		}
	}
	return false
}

// nameWeight orders routes by their least exact server name: names before
// wildcards, long wildcards before short ones.
func nameWeight(names []serverName) int {
	const exact = 1 << 16
	weight := exact
	for _, n := range names {
		if n.kind != nameExact {
			weight = min(weight, len(n.text))
		}
	}
	return weight
}

// index puts a route where Match looks for it.
func (s *Stream) index(r *streamRoute) {
	if len(r.names) == 0 {
		s.indexPort(r)
		return
	}
	// A wildcard that does not end at a dot is none of those that labels lead to.
	for _, n := range r.names {
		if n.kind == nameSuffix && !strings.HasPrefix(n.text, ".") || n.kind == namePrefix && !strings.HasSuffix(n.text, ".") {
			s.rest = append(s.rest, r)
			return
		}
	}
	for _, n := range r.names {
		table := s.exact
		switch n.kind {
		case nameSuffix:
			table = s.suffix
		case namePrefix:
			table = s.prefix
		}
		table[n.text] = append(table[n.text], r)
	}
}

func (s *Stream) indexPort(r *streamRoute) {
	for _, d := range r.destinations {
		if d.port == 0 {
			s.rest = append(s.rest, r)
			return
		}
	}
	if len(r.destinations) == 0 {
		s.rest = append(s.rest, r)
	}
	for _, d := range r.destinations {
		s.port[d.port] = append(s.port[d.port], r)
	}
}

// matchName returns the first route for the server name that matches, or best
// if that comes before it.
func (s *Stream) matchName(best *streamRoute, in *StreamInput) *streamRoute {
	name := in.SNI
	best = firstMatch(best, s.exact[name], in)
	if len(s.suffix)+len(s.prefix) == 0 {
		return best
	}
	for i := range len(name) {
		if name[i] == '.' {
			best = firstMatch(best, s.suffix[name[i:]], in)
			best = firstMatch(best, s.prefix[name[:i+1]], in)
		}
	}
	return best
}
