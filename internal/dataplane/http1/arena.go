// SPDX-License-Identifier: Apache-2.0

package http1

import "unsafe"

// arenaChunk is the first chunk of an Arena: enough for the fields that the proxy adds to one exchange.
const arenaChunk = 1 << 10

// arenaKeep is the largest chunk that Reset keeps.
const arenaKeep = 16 << 10

// Arena hands out byte slices that live until Reset, as for field values added to one exchange. The zero value is
// ready. Slices stay valid when the arena grows. Not safe for concurrent use.
type Arena struct{ chunk []byte }

// Alloc returns n bytes of undefined content.
func (a *Arena) Alloc(n int) []byte {
	if cap(a.chunk)-len(a.chunk) < n {
		a.chunk = make([]byte, 0, max(arenaChunk, 2*cap(a.chunk), n))
	}
	l := len(a.chunk)
	a.chunk = a.chunk[:l+n]
	return a.chunk[l : l+n : l+n]
}

// Copy returns a copy of b.
func (a *Arena) Copy(b []byte) []byte {
	c := a.Alloc(len(b))
	copy(c, b)
	return c
}

// CopyString returns the bytes of s, copied.
func (a *Arena) CopyString(s string) []byte {
	c := a.Alloc(len(s))
	copy(c, s)
	return c
}

// Join returns the concatenation of parts.
func (a *Arena) Join(parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	c := a.Alloc(n)[:0]
	for _, p := range parts {
		c = append(c, p...)
	}
	return c
}

// Reset makes all memory available again. Everything handed out becomes invalid.
func (a *Arena) Reset() {
	if cap(a.chunk) > arenaKeep {
		a.chunk = nil
	}
	a.chunk = a.chunk[:0]
}

// View returns the bytes of s without copying. They must never be written to.
func View(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

func viewString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
