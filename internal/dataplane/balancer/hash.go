// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"cmp"
	"math/bits"
	"slices"
	"strconv"
)

// Kong's consistent-hashing wheel: points per peer at equal weights, and the
// least number of slots.
const (
	pointsPerPeer = 160
	minSlots      = 1000
)

// point is an occupied slot of the wheel.
type point struct {
	slot uint32
	peer int32
}

// wheel is a ketama-like hash wheel, in ascending order of slots. Unavailable
// peers stay on it, so that nobody else's keys move.
type wheel struct {
	points []point
	slots  uint32
}

// newWheel places the peers as Kong does, so that a key meets the same address
// as under Kong.
func newWheel(peers []*Peer, slots int) *wheel {
	w := &wheel{slots: uint32(max(slots, minSlots))}
	order := make([]int32, len(peers))
	total := 0
	hosts := map[string]bool{}
	for i, p := range peers {
		order[i] = int32(i)
		total += p.Weight
		hosts[p.Target] = true
	}
	slices.SortFunc(order, func(a, b int32) int { return comparePeers(peers[a], peers[b]) })
	taken := map[uint32]int32{}
	for _, i := range order {
		w.place(taken, peers[i], i, total, len(hosts))
	}
	for slot, peer := range taken {
		w.points = append(w.points, point{slot, peer})
	}
	slices.SortFunc(w.points, func(a, b point) int { return cmp.Compare(a.slot, b.slot) })
	return w
}

func (w *wheel) place(taken map[uint32]int32, p *Peer, index int32, total, targets int) {
	if p.Weight == 0 {
		return
	}
	entries := max(1, p.Weight*targets*pointsPerPeer/total)
	name := p.Addr.Addr().String() + "::" + strconv.Itoa(int(p.Addr.Port())) + " "
	for i := 1; i <= entries && i <= int(w.slots); i++ {
		slot := w.slot(name + strconv.Itoa(i))
		if _, collides := taken[slot]; collides {
			entries++
			continue
		}
		taken[slot] = index
	}
}

func comparePeers(a, b *Peer) int {
	return cmp.Or(cmp.Compare(a.Target, b.Target), cmp.Compare(a.Addr.String(), b.Addr.String()))
}

func (w *wheel) slot(key string) uint32 { return xxhash32(key) % w.slots }

// pick returns the first eligible peer at or below the key's slot, -1 if none.
func (w *wheel) pick(key string, eligible func(int32) bool) int32 {
	slot := w.slot(key)
	start, found := slices.BinarySearchFunc(w.points, slot, func(p point, s uint32) int { return cmp.Compare(p.slot, s) })
	if !found {
		start--
	}
	for i := range w.points {
		j := start - i
		if j < 0 {
			j += len(w.points)
		}
		if p := w.points[j].peer; eligible(p) {
			return p
		}
	}
	return -1
}

const (
	xxPrime1 = 2654435761
	xxPrime2 = 2246822519
	xxPrime3 = 3266489917
	xxPrime4 = 668265263
	xxPrime5 = 374761393
)

// xxhash32 is XXH32 with seed 0 (the xxHash specification), which Kong's wheel
// is built on.
func xxhash32(s string) uint32 {
	rest := s
	h := uint32(xxPrime5)
	if len(rest) >= 16 {
		seed := uint32(xxPrime1)
		v := [4]uint32{seed + xxPrime2, xxPrime2, 0, -seed}
		for ; len(rest) >= 16; rest = rest[16:] {
			for i := range v {
				v[i] = bits.RotateLeft32(v[i]+le32(rest[4*i:])*xxPrime2, 13) * xxPrime1
			}
		}
		h = bits.RotateLeft32(v[0], 1) + bits.RotateLeft32(v[1], 7) + bits.RotateLeft32(v[2], 12) + bits.RotateLeft32(v[3], 18)
	}
	h += uint32(len(s))
	for ; len(rest) >= 4; rest = rest[4:] {
		h = bits.RotateLeft32(h+le32(rest)*xxPrime3, 17) * xxPrime4
	}
	for i := range len(rest) {
		h = bits.RotateLeft32(h+uint32(rest[i])*xxPrime5, 11) * xxPrime1
	}
	h = (h ^ h>>15) * xxPrime2
	h = (h ^ h>>13) * xxPrime3
	return h ^ h>>16
}

func le32(s string) uint32 {
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}
