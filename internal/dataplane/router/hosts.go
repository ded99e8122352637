// SPDX-License-Identifier: Apache-2.0

package router

import (
	"slices"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/dataplane/persistent"
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

// slots are the slots of host texts.
type slots = persistent.Map[string, *slot]

// hostIndex finds the tables of a category by host. It is immutable.
type hostIndex struct {
	plain     slots // "example.com"
	left      slots // ".example.com"
	right     slots // "example."
	rightLens []keyLen
}

// keyLen is a length of right wildcards, and how many of them have it.
type keyLen struct{ length, count int }

func (x *hostIndex) of(shape hostShape) *slots {
	switch shape {
	case hostLeft:
		return &x.left
	case hostRight:
		return &x.right
	default:
		return &x.plain
	}
}

// fitting appends the tables whose pattern fits the request's host.
func (x *hostIndex) fitting(in *Input, found []*table) []*table {
	if s := x.plain.At(in.Host); s != nil {
		found = appendTable(found, s.any)
		if in.Port != 0 { // the default port does not count for plain hosts
			found = appendTable(found, s.table(in.Port))
		}
	}
	if x.left.Len()+x.right.Len() == 0 {
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
		if s := x.left.At(in.Host[i:]); s != nil {
			found = appendTable(appendTable(found, s.any), s.table(port))
		}
		if i+1 == len(in.Host) {
			break
		}
		// Kong does not anchor a right wildcard at the start of the host.
		for _, n := range x.rightLens {
			if n.length > i+1 {
				continue
			}
			if s := x.right.At(in.Host[i+1-n.length : i+1]); s != nil {
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
	var edits [hostRight + 1]persistent.Edit[string, *slot]
	for shape := range edits {
		edits[shape] = x.of(hostShape(shape)).Edit()
	}
	for h, ch := range changes {
		edit := &edits[h.shape]
		old := edit.At(h.text)
		s := old.with(h.port, old.table(h.port).with(ch))
		if s == nil {
			edit.Delete(h.text)
		} else {
			edit.Put(h.text, s)
		}
		if h.shape == hostRight && (old == nil) != (s == nil) {
			next.countLen(len(h.text), old == nil)
		}
	}
	next.plain, next.left, next.right = edits[hostPlain].Done(), edits[hostLeft].Done(), edits[hostRight].Done()
	return next
}

// countLen notes that a right wildcard of a length came or went.
func (x *hostIndex) countLen(length int, came bool) {
	x.rightLens = slices.Clone(x.rightLens)
	i := slices.IndexFunc(x.rightLens, func(k keyLen) bool { return k.length == length })
	switch {
	case i < 0:
		x.rightLens = append(x.rightLens, keyLen{length, 1})
	case came:
		x.rightLens[i].count++
	case x.rightLens[i].count == 1:
		x.rightLens = slices.Delete(x.rightLens, i, i+1)
	default:
		x.rightLens[i].count--
	}
}
