// SPDX-License-Identifier: Apache-2.0

package http1

// Field is one header line. Name and Value are views; they must not be written to.
type Field struct {
	Name, Value []byte
	ID          HeaderID
	flags       uint8
}

const (
	// fieldClean marks a field that came through the parser, which serialisers need not check again.
	fieldClean uint8 = 1 << iota
	// fieldDead marks a field that sweep will remove.
	fieldDead
	// fieldUnderscore marks a name with an underscore.
	fieldUnderscore
)

// Header is an ordered list of fields with the spelling they came in. Names compare without case. The zero value is an
// empty list. Names and values given to it are kept, not copied: they must live as long as the list's content and may
// not change. Not safe for concurrent use.
type Header struct {
	fields []Field
	// known has a bit for each id that may be present; a clear bit is certain.
	known [2]uint64
	// underscore says that a name with an underscore may be present.
	underscore bool
}

// Len returns the number of fields.
func (h *Header) Len() int { return len(h.fields) }

// Fields returns all fields in order, for reading. It is valid until the list changes.
func (h *Header) Fields() []Field { return h.fields }

// Reset removes all fields.
func (h *Header) Reset() {
	h.fields = h.fields[:0]
	h.known = [2]uint64{}
	h.underscore = false
}

// CopyFrom makes h hold the fields of src. Names and values stay shared.
func (h *Header) CopyFrom(src *Header) {
	h.fields = append(h.fields[:0], src.fields...)
	h.known, h.underscore = src.known, src.underscore
}

func (h *Header) mayHave(id HeaderID) bool { return h.known[id>>6]&(1<<(id&63)) != 0 }

// push appends a field.
func (h *Header) push(f Field) {
	h.known[f.ID>>6] |= 1 << (f.ID & 63)
	h.underscore = h.underscore || f.flags&fieldUnderscore != 0
	h.fields = append(h.fields, f)
}

// newField makes a field of a name given by a caller.
func newField(name string, id HeaderID, value []byte) Field {
	f := Field{Name: View(name), Value: value, ID: id}
	if id != HeaderOther {
		// None of these names has an underscore.
		return f
	}
	for i := range len(name) {
		if name[i] == '_' {
			f.flags |= fieldUnderscore
		}
	}
	return f
}

// index returns the position of the first field of that name from i on, -1 if there is none.
func (h *Header) index(name string, id HeaderID, i int) int {
	if id != HeaderOther && !h.mayHave(id) {
		return -1
	}
	for ; i < len(h.fields); i++ {
		f := &h.fields[i]
		if f.ID == id && (id != HeaderOther || equalFold(f.Name, name)) {
			return i
		}
	}
	return -1
}

func (h *Header) value(name string, id HeaderID) ([]byte, bool) {
	if i := h.index(name, id, 0); i >= 0 {
		return h.fields[i].Value, true
	}
	return nil, false
}

// Get returns the value of the first field of that name, and whether there is one.
func (h *Header) Get(name string) ([]byte, bool) { return h.value(name, LookupID(name)) }

// GetID is Get for a well-known name.
func (h *Header) GetID(id HeaderID) ([]byte, bool) { return h.value("", id) }

// Has reports whether a field of that name is present.
func (h *Header) Has(name string) bool { return h.index(name, LookupID(name), 0) >= 0 }

// HasID is Has for a well-known name.
func (h *Header) HasID(id HeaderID) bool { return h.index("", id, 0) >= 0 }

// AppendValues appends the values of all fields of that name to dst, in order.
func (h *Header) AppendValues(dst [][]byte, name string) [][]byte {
	id := LookupID(name)
	for i := h.index(name, id, 0); i >= 0; i = h.index(name, id, i+1) {
		dst = append(dst, h.fields[i].Value)
	}
	return dst
}

// AppendValuesID is AppendValues for a well-known name.
func (h *Header) AppendValuesID(dst [][]byte, id HeaderID) [][]byte {
	return h.AppendValues(dst, canonicalNames[id])
}

// Each calls visit for every field in order until it returns false.
func (h *Header) Each(visit func(name, value []byte) bool) {
	for i := range h.fields {
		if !visit(h.fields[i].Name, h.fields[i].Value) {
			return
		}
	}
}

// Add appends a field.
func (h *Header) Add(name string, value []byte) { h.push(newField(name, LookupID(name), value)) }

// AddID appends a field with a well-known name.
func (h *Header) AddID(id HeaderID, value []byte) {
	h.push(Field{Name: View(canonicalNames[id]), Value: value, ID: id})
}

func (h *Header) set(name string, f Field) {
	i := h.index(name, f.ID, 0)
	if i < 0 {
		h.push(f)
		return
	}
	h.fields[i].Value = f.Value
	h.fields[i].flags &^= fieldClean
	dead := false
	for i = h.index(name, f.ID, i+1); i >= 0; i = h.index(name, f.ID, i+1) {
		h.fields[i].flags |= fieldDead
		dead = true
	}
	if dead {
		h.sweep()
	}
}

// Set gives the first field of that name the value and removes the others; the field is appended if it is absent. The
// spelling and place of a present field stay. For a name that carries trust, use Replace.
func (h *Header) Set(name string, value []byte) { h.set(name, newField(name, LookupID(name), value)) }

// SetID is Set for a well-known name.
func (h *Header) SetID(id HeaderID, value []byte) {
	h.set("", Field{Name: View(canonicalNames[id]), Value: value, ID: id})
}

// Replace removes every field of that name, in underscore form too, and appends the new one.
func (h *Header) Replace(name string, value []byte) {
	h.Clear(name)
	h.Add(name, value)
}

// ReplaceID is Replace for a well-known name.
func (h *Header) ReplaceID(id HeaderID, value []byte) {
	// Mostly there is nothing to remove; then the call would cost more than the rest.
	if h.underscore || h.mayHave(id) {
		h.ClearID(id)
	}
	h.AddID(id, value)
}

// Del removes all fields of exactly that name and returns how many there were.
func (h *Header) Del(name string) int { return h.del(name, LookupID(name)) }

// DelID is Del for a well-known name.
func (h *Header) DelID(id HeaderID) int { return h.del("", id) }

func (h *Header) del(name string, id HeaderID) int {
	if h.mark(name, id) == 0 {
		return 0
	}
	return h.sweep()
}

// mark marks all fields of that name as dead and returns how many it found.
func (h *Header) mark(name string, id HeaderID) (n int) {
	for i := h.index(name, id, 0); i >= 0; i = h.index(name, id, i+1) {
		h.fields[i].flags |= fieldDead
		n++
	}
	if id != HeaderOther {
		h.known[id>>6] &^= 1 << (id & 63)
	}
	return n
}

// markLoose marks all fields of that name with any mix of '-' and '_'.
func (h *Header) markLoose(name string, id HeaderID) int {
	n := h.mark(name, id)
	if !h.underscore && id != HeaderOther {
		return n
	}
	for i := range h.fields {
		f := &h.fields[i]
		if f.flags&fieldDead == 0 && f.ID == HeaderOther && equalLoose(f.Name, name) {
			f.flags |= fieldDead
			n++
		} else if f.ID != HeaderOther && id == HeaderOther && equalLoose(f.Name, name) {
			n += h.mark("", f.ID)
		}
	}
	return n
}

// Clear removes all fields of that name, whatever mix of '-' and '_' they are spelled with, since servers behind us may
// take one for the other. It returns how many there were.
func (h *Header) Clear(name string) int { return h.clear(name, LookupID(name)) }

// ClearID is Clear for a well-known name.
func (h *Header) ClearID(id HeaderID) int { return h.clear(canonicalNames[id], id) }

func (h *Header) clear(name string, id HeaderID) int {
	if id != HeaderOther && !h.underscore && !h.mayHave(id) {
		return 0
	}
	if h.markLoose(name, id) == 0 {
		return 0
	}
	return h.sweep()
}

// sweep removes the fields marked as dead and returns how many there were.
func (h *Header) sweep() int {
	n := 0
	for i := range h.fields {
		if h.fields[i].flags&fieldDead == 0 {
			if n != i {
				h.fields[n] = h.fields[i]
			}
			n++
		}
	}
	dead := len(h.fields) - n
	h.fields = h.fields[:n]
	return dead
}
