// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"unsafe"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
)

// view returns b as a string without copying. It is valid as long as b's
// buffer is; see the ownership rule of package plugin.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// headerView shows an http1.Header to plugins and to the router. Values that
// are set are copied into the exchange's arena, because plugins pass views.
type headerView struct {
	list  *http1.Header
	arena *http1.Arena
}

// Get implements plugin.Header.
func (h *headerView) Get(name string) string {
	v, _ := h.list.Get(name)
	return view(v)
}

// Has implements plugin.Header.
func (h *headerView) Has(name string) bool { return h.list.Has(name) }

// Values implements plugin.Header.
func (h *headerView) Values(dst []string, name string) []string {
	var room [4][]byte
	for _, v := range h.list.AppendValues(room[:0], name) {
		dst = append(dst, view(v))
	}
	return dst
}

// Set implements plugin.Header.
func (h *headerView) Set(name, value string) {
	kept := h.arena.CopyString(value)
	if id := http1.LookupID(name); id != http1.HeaderOther && id.Name() == name {
		h.list.SetID(id, kept)
		return
	}
	h.list.Set(view(h.arena.CopyString(name)), kept)
}

// Add implements plugin.Header.
func (h *headerView) Add(name, value string) {
	h.list.Add(view(h.arena.CopyString(name)), h.arena.CopyString(value))
}

// Del implements plugin.Header. Clearing a name clears its underscore form
// too, since servers behind the gateway may take one for the other.
func (h *headerView) Del(name string) { h.list.Clear(name) }

// Each implements plugin.Header.
func (h *headerView) Each(yield func(name, value string) bool) {
	h.list.Each(func(n, v []byte) bool { return yield(view(n), view(v)) })
}

// Len implements plugin.Header.
func (h *headerView) Len() int { return h.list.Len() }

// HeaderValue implements router.Headers.
func (h *headerView) HeaderValue(name string, i int) (string, bool) {
	fields := h.list.Fields()
	for at := range fields {
		if equalFold(view(fields[at].Name), name) {
			if i == 0 {
				return view(fields[at].Value), true
			}
			i--
		}
	}
	return "", false
}

func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		x, y := a[i], b[i]
		if x == y {
			continue
		}
		if x|0x20 != y|0x20 || x|0x20 < 'a' || x|0x20 > 'z' {
			return false
		}
	}
	return true
}
