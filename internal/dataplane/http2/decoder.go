// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"bytes"
	"errors"

	"golang.org/x/net/http2/hpack"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
)

// errCompression is a header block that cannot be decoded: the connection is lost, because both sides' tables differ.
var errCompression = errors.New("http2: broken header block")

// entryOverhead is what RFC 7541 §4.1 adds to the size of each entry.
const entryOverhead = 32

// tableLimit is the size of the dynamic table that we announce, in bytes: the initial value of RFC 9113 §6.5.2.
const tableLimit = 4096

// maxUpdates is how many table size updates a block may begin with (RFC 7541 §4.2): the least size since the last block,
// and the one of now.
const maxUpdates = 2

// decoder reads header blocks (RFC 7541). It holds the dynamic table that the peer fills.
type decoder struct {
	table table
	// name and value are what Huffman-coded strings are decoded into.
	name, value bytes.Buffer
}

// decode calls emit with every field of a complete block. Both slices are valid during the call only. emit cannot
// stop: a block is decoded to its end or the connection is lost.
func (d *decoder) decode(block []byte, emit func(name, value []byte)) error {
	updates := 0
	for begun := false; len(block) > 0; {
		b := block[0]
		var name, value []byte
		var index uint32
		var ok bool
		switch {
		case b&0x80 != 0: // indexed
			index, block, ok = readInteger(block, 7)
			if !ok {
				return errCompression
			}
			if name, value, ok = d.at(index); !ok {
				return errCompression
			}
		case b&0xe0 == 0x20: // table size update
			size, rest, ok := readInteger(block, 5)
			if updates++; !ok || begun || updates > maxUpdates || size > tableLimit {
				return errCompression
			}
			d.table.resize(int(size))
			block = rest
			continue
		default:
			prefix, indexed := uint8(4), false
			if b&0xc0 == 0x40 {
				prefix, indexed = 6, true
			}
			if name, value, block, ok = d.literal(block, prefix); !ok {
				return errCompression
			}
			if indexed {
				// What was decoded may lie in an entry that makes room.
				name, value = d.table.add(name, value)
			}
		}
		begun = true
		emit(name, value)
	}
	return nil
}

// literal reads a name, which may be indexed, and a value.
func (d *decoder) literal(block []byte, prefix uint8) (name, value, rest []byte, ok bool) {
	index, rest, ok := readInteger(block, prefix)
	if !ok {
		return nil, nil, nil, false
	}
	if index == 0 {
		name, rest, ok = readString(rest, &d.name)
	} else {
		name, _, ok = d.at(index)
	}
	if !ok {
		return nil, nil, nil, false
	}
	value, rest, ok = readString(rest, &d.value)
	return name, value, rest, ok
}

func (d *decoder) at(index uint32) (name, value []byte, ok bool) {
	if index == 0 {
		return nil, nil, false
	}
	if index < uint32(len(staticTable)) {
		e := &staticTable[index]
		return http1.View(e.name), http1.View(e.value), true
	}
	return d.table.at(int(index) - len(staticTable))
}

// readInteger reads an integer with a prefix of n bits (RFC 7541 §5.1), at most 2^28.
func readInteger(b []byte, n uint8) (value uint32, rest []byte, ok bool) {
	if len(b) == 0 {
		return 0, nil, false
	}
	mask := uint32(1)<<n - 1
	if value = uint32(b[0]) & mask; value < mask {
		return value, b[1:], true
	}
	for i, shift := 1, 0; i < len(b) && shift <= 21; i, shift = i+1, shift+7 {
		value += uint32(b[i]&0x7f) << shift
		if b[i]&0x80 == 0 {
			return value, b[i+1:], true
		}
	}
	return 0, nil, false
}

// readString reads a string literal, decoding it into scratch if it must be.
func readString(b []byte, scratch *bytes.Buffer) (s, rest []byte, ok bool) {
	if len(b) == 0 {
		return nil, nil, false
	}
	coded := b[0]&0x80 != 0
	n, b, ok := readInteger(b, 7)
	if !ok || int(n) > len(b) {
		return nil, nil, false
	}
	if !coded {
		return b[:n], b[n:], true
	}
	scratch.Reset()
	if _, err := hpack.HuffmanDecode(scratch, b[:n]); err != nil {
		return nil, nil, false
	}
	return scratch.Bytes(), b[n:], true
}

// table is a dynamic table. Names and values lie one behind the other in one buffer. The zero value has the initial size.
type table struct {
	entries []entry // the oldest first
	first   int     // of entries
	bytes   []byte
	spare   []byte // what bytes were before they were moved
	size    int
	// reduced is how much less than tableLimit the table may hold.
	reduced int
}

type entry struct{ start, name, value int }

func (t *table) limit() int { return tableLimit - t.reduced }

func (t *table) resize(limit int) {
	t.reduced = tableLimit - limit
	t.evict(limit)
}

func (t *table) evict(limit int) {
	for t.size > limit {
		e := t.entries[t.first]
		t.size -= e.name + e.value + entryOverhead
		t.first++
	}
	if t.size == 0 {
		t.entries, t.first, t.bytes = t.entries[:0], 0, t.bytes[:0]
	}
}

// at returns the i-th entry from the newest on, which is 0.
func (t *table) at(i int) (name, value []byte, ok bool) {
	if i >= len(t.entries)-t.first {
		return nil, nil, false
	}
	name, value = t.view(t.entries[len(t.entries)-1-i])
	return name, value, true
}

func (t *table) view(e entry) (name, value []byte) {
	b := t.bytes[e.start : e.start+e.name+e.value]
	return b[:e.name:e.name], b[e.name:]
}

// add enters a field and returns it as it lies in the table, or as it was given if it is too large to be in it.
func (t *table) add(name, value []byte) (tableName, tableValue []byte) {
	size := len(name) + len(value) + entryOverhead
	if size > t.limit() {
		t.evict(0)
		// The views may have been of an entry: the bytes are still there.
		return name, value
	}
	// Room behind the newest entry, so that evicting cannot touch what name may be a view of.
	fresh := t.room(len(name), len(value))
	copy(t.bytes[fresh.start:], name)
	copy(t.bytes[fresh.start+fresh.name:], value)
	t.evict(t.limit() - size)
	if len(t.entries) == 0 {
		// All others went: evict forgot where the new one lies.
		t.bytes = t.bytes[:fresh.start+fresh.name+fresh.value]
	}
	if t.first > len(t.entries)/2 {
		n := copy(t.entries, t.entries[t.first:])
		t.entries, t.first = t.entries[:n], 0
	}
	t.entries = append(t.entries, fresh)
	t.size += size
	return t.view(fresh)
}

// room extends the bytes by n for a name and a value, moving the live ones together in a new place when they are full.
func (t *table) room(name, value int) entry {
	need := name + value
	if len(t.bytes)+need > cap(t.bytes) {
		// What is added may be a view of the old place, which therefore is not written to.
		moved := t.spare[:0]
		if cap(moved) < t.size+need || cap(moved) < 2*tableLimit && cap(moved) < 2*(t.size+need) {
			moved = make([]byte, 0, max(512, min(2*tableLimit, 2*(t.size+need))))
		}
		if len(t.entries) > t.first {
			start := t.entries[t.first].start
			moved = append(moved, t.bytes[start:]...)
			for i := t.first; i < len(t.entries); i++ {
				t.entries[i].start -= start
			}
		}
		t.bytes, t.spare = moved, t.bytes
	}
	e := entry{len(t.bytes), name, value}
	t.bytes = t.bytes[:len(t.bytes)+need]
	return e
}
