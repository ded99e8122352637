// SPDX-License-Identifier: Apache-2.0

package router

import (
	"maps"
	"slices"
	"strings"
)

// hostShape says where a host pattern has its wildcard.
type hostShape uint8

const (
	hostPlain hostShape = iota
	hostLeft            // *.example.com
	hostRight           // example.*
)

// hostPattern is one of a route's hosts.
type hostPattern struct {
	shape hostShape
	text  string // "example.com", ".example.com" or "example."
	port  int    // 0 without
}

func (h hostPattern) wildcard() bool { return h.shape != hostPlain }

func parseHostPattern(s string) hostPattern {
	name, port := SplitHost(s)
	switch {
	case strings.HasPrefix(name, "*"):
		return hostPattern{hostLeft, name[1:], port}
	case strings.HasSuffix(name, "*"):
		return hostPattern{hostRight, name[:len(name)-1], port}
	default:
		return hostPattern{hostPlain, name, port}
	}
}

// slot holds the tables of one host text, by port.
type slot struct {
	any   *table // patterns without port
	ports []portTable
}

type portTable struct {
	port  int
	table *table
}

// table returns the table of exactly this port, 0 being no port; or nil.
func (s *slot) table(port int) *table {
	if s == nil {
		return nil
	}
	if port == 0 {
		return s.any
	}
	for i := range s.ports {
		if s.ports[i].port == port {
			return s.ports[i].table
		}
	}
	return nil
}

// with returns the slot with one table replaced, nil when nothing is left.
func (s *slot) with(port int, t *table) *slot {
	next := &slot{}
	if s != nil {
		next.any, next.ports = s.any, s.ports
	}
	if port == 0 {
		next.any = t
	} else {
		next.ports = slices.DeleteFunc(slices.Clone(next.ports), func(p portTable) bool { return p.port == port })
		if t != nil {
			next.ports = append(next.ports, portTable{port, t})
		}
	}
	if next.any == nil && len(next.ports) == 0 {
		return nil
	}
	return next
}

// hostIndex finds the tables of a category by host. It is immutable.
type hostIndex struct {
	plain     map[string]*slot // "example.com"
	left      map[string]*slot // ".example.com"
	right     map[string]*slot // "example."
	rightLens []int            // the lengths of right's keys
}

func (x *hostIndex) of(shape hostShape) map[string]*slot {
	switch shape {
	case hostLeft:
		return x.left
	case hostRight:
		return x.right
	default:
		return x.plain
	}
}

// fitting appends the tables whose pattern fits the request's host.
func (x *hostIndex) fitting(in *Input, found []*table) []*table {
	if s := x.plain[in.Host]; s != nil {
		found = appendTable(found, s.any)
		if in.Port != 0 { // the default port does not count for plain hosts
			found = appendTable(found, s.table(in.Port))
		}
	}
	if len(x.left)+len(x.right) == 0 {
		return found
	}
	return x.wildcards(in, found)
}

func (x *hostIndex) wildcards(in *Input, found []*table) []*table {
	port := in.effectivePort()
	for i := 1; i < len(in.Host); i++ {
		if in.Host[i] != '.' {
			continue
		}
		if s := x.left[in.Host[i:]]; s != nil {
			found = appendTable(appendTable(found, s.any), s.table(port))
		}
		if i+1 == len(in.Host) {
			break
		}
		// Kong does not anchor a right wildcard at the start of the host.
		for _, n := range x.rightLens {
			if n > i+1 {
				continue
			}
			if s := x.right[in.Host[i+1-n:i+1]]; s != nil {
				found = appendTable(appendTable(found, s.any), s.table(port))
			}
		}
	}
	return found
}

// appendTable keeps a table out that a repeated label has found already.
func appendTable(list []*table, t *table) []*table {
	if t == nil || slices.Contains(list, t) {
		return list
	}
	return append(list, t)
}

// with returns the index after the changes by host pattern.
func (x *hostIndex) with(changes map[hostPattern]*change) hostIndex {
	next := *x
	var cloned [hostRight + 1]bool
	for h, ch := range changes {
		if !cloned[h.shape] {
			cloned[h.shape] = true
			next.clone(h.shape)
		}
		m := next.of(h.shape)
		s := m[h.text].with(h.port, m[h.text].table(h.port).with(ch))
		if s == nil {
			delete(m, h.text)
		} else {
			m[h.text] = s
		}
	}
	if cloned[hostRight] {
		next.rightLens = keyLens(next.right)
	}
	return next
}

func (x *hostIndex) clone(shape hostShape) {
	m := maps.Clone(x.of(shape))
	if m == nil {
		m = map[string]*slot{}
	}
	switch shape {
	case hostLeft:
		x.left = m
	case hostRight:
		x.right = m
	default:
		x.plain = m
	}
}

func keyLens(m map[string]*slot) []int {
	var lens []int
	for k := range m {
		if !slices.Contains(lens, len(k)) {
			lens = append(lens, len(k))
		}
	}
	return lens
}
