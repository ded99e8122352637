// SPDX-License-Identifier: Apache-2.0

package router

import "slices"

// list holds candidates in Kong's order. It is immutable: a change copies the
// chunks that it touches, so that one route among thousands that share a path
// costs no more than one of a few. The zero list is empty.
type list struct {
	chunks [][]*candidate // none of them empty
	size   int
}

const (
	// chunkSize is how long a chunk may get.
	chunkSize = 64
	// mergeCost is how many candidates are merged in the time in which one is
	// found and put into its chunk.
	mergeCost = 16
)

func (l *list) empty() bool { return l.size == 0 }

// first returns the first candidate of a list that is not empty.
func (l *list) first() *candidate { return l.chunks[0][0] }

// last returns the last candidate of a list that is not empty.
func (l *list) last() *candidate {
	c := l.chunks[len(l.chunks)-1]
	return c[len(c)-1]
}

// with returns the list after a change, whose candidates are in Kong's order.
func (l list) with(ch *change) list {
	touched := len(ch.add) + len(ch.del)
	if touched == 0 {
		return l
	}
	if len(l.chunks) <= 1 || touched*mergeCost > l.size {
		return cut(merge(slices.Concat(l.chunks...), ch.add, ch.del))
	}
	l.chunks = slices.Clone(l.chunks)
	for _, c := range ch.del {
		l.remove(c)
	}
	for _, c := range ch.add {
		l.insert(c)
	}
	return l
}

// chunkOf is the chunk that c is in or belongs to. l is not empty.
func (l *list) chunkOf(c *candidate) int {
	i, found := slices.BinarySearchFunc(l.chunks, c, func(chunk []*candidate, c *candidate) int { return compare(chunk[0], c) })
	if found || i == 0 {
		return i
	}
	return i - 1
}

// remove and insert change l.chunks, which l must own, and copy the chunk.
func (l *list) remove(c *candidate) {
	i := l.chunkOf(c)
	at := slices.Index(l.chunks[i], c)
	l.size--
	if len(l.chunks[i]) == 1 {
		l.chunks = slices.Delete(l.chunks, i, i+1)
		return
	}
	l.chunks[i] = slices.Delete(slices.Clone(l.chunks[i]), at, at+1)
}

func (l *list) insert(c *candidate) {
	l.size++
	if len(l.chunks) == 0 {
		l.chunks = [][]*candidate{{c}}
		return
	}
	i := l.chunkOf(c)
	at, _ := slices.BinarySearchFunc(l.chunks[i], c, compare)
	grown := slices.Insert(slices.Clip(l.chunks[i]), at, c)
	l.chunks[i] = grown
	if half := len(grown) / 2; len(grown) > chunkSize {
		l.chunks[i] = grown[:half:half]
		l.chunks = slices.Insert(l.chunks, i+1, grown[half:])
	}
}

// cut makes a list of candidates in Kong's order.
func cut(all []*candidate) list {
	l := list{size: len(all)}
	if len(all) > 0 && len(all) <= chunkSize {
		l.chunks = [][]*candidate{all}
		return l
	}
	// Half full, so that the next candidates find room.
	for chunk := range slices.Chunk(all, chunkSize/2) {
		l.chunks = append(l.chunks, chunk)
	}
	return l
}

// merge returns a new list without del and with add; all are in Kong's order
// and del is part of list.
func merge(list, add, del []*candidate) []*candidate {
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
