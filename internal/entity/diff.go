// SPDX-License-Identifier: Apache-2.0

package entity

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// ChangeType says what happened to an entity.
type ChangeType string

// The types of changes.
const (
	Added   ChangeType = "added"
	Removed ChangeType = "removed"
	Changed ChangeType = "changed"
)

// Change is the difference between two Sets in one entity.
type Change struct {
	Type ChangeType
	Key  Key
	// Name is what people call the entity.
	Name string
	// Fields are the fields that differ, dotted and sorted, without their
	// values, which may be secret. Empty unless the entity was changed.
	Fields []string
}

// String returns the change in a line: kind, name, id, what happened, and the
// fields, as in "plugins request-termination (4f…): changed config.message".
func (c Change) String() string {
	b := new(strings.Builder)
	b.WriteString(string(c.Key.Kind))
	if c.Name != "" {
		b.WriteString(" " + c.Name)
	}
	b.WriteString(" (" + string(c.Key.ID) + "): " + string(c.Type))
	if len(c.Fields) > 0 {
		b.WriteString(" " + strings.Join(c.Fields, ", "))
	}
	return b.String()
}

// Diff returns what changes from a to b: by kind, removed ones in the order of
// a before the others in the order of b. Times of creation and update do not
// count.
func Diff(a, b *Set) []Change {
	was, is := byKey(a), byKey(b)
	changes := make(map[Kind][]Change)
	add := func(t ChangeType, e Entity, fields []string) {
		k := e.EntityKind()
		changes[k] = append(changes[k], Change{Type: t, Key: KeyOf(e), Name: NameOf(e), Fields: fields})
	}
	for e := range a.All() {
		if is[KeyOf(e)] == nil {
			add(Removed, e, nil)
		}
	}
	for e := range b.All() {
		old := was[KeyOf(e)]
		if old == nil {
			add(Added, e, nil)
			continue
		}
		var fields []string
		differences(timeless(old), timeless(e), "", &fields)
		if len(fields) > 0 {
			slices.Sort(fields)
			add(Changed, e, fields)
		}
	}
	var out []Change
	for _, kind := range kinds {
		out = append(out, changes[kind]...)
	}
	return out
}

func byKey(s *Set) map[Key]Entity {
	m := make(map[Key]Entity, s.Len())
	for e := range s.All() {
		m[KeyOf(e)] = e
	}
	return m
}

func timeless(e Entity) map[string]any {
	m := toMap(e)
	delete(m, "created_at")
	delete(m, "updated_at")
	return m
}

func differences(a, b map[string]any, path string, fields *[]string) {
	names := maps.Clone(a)
	maps.Copy(names, b)
	for name := range names {
		at := name
		if path != "" {
			at = path + "." + name
		}
		old, isMap := a[name].(map[string]any)
		now, isMapNow := b[name].(map[string]any)
		switch {
		case isMap && isMapNow:
			differences(old, now, at, fields)
		case !reflect.DeepEqual(a[name], b[name]):
			*fields = append(*fields, at)
		}
	}
}
