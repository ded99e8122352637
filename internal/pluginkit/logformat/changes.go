// SPDX-License-Identifier: Apache-2.0

package logformat

import (
	"strings"

	"github.com/kong/kong-istio-gateway/internal/plugin"
)

var slot = plugin.NewSlot("log record: changes")

type change struct {
	path  string
	value any
}

// Values is what a record's changes are kept in: a plugin.Exchange or
// plugin.Session.
type Values interface {
	Value(plugin.Slot) any
	SetValue(plugin.Slot, any)
}

// Set changes the record of an exchange or session for all plugins that log it, as Kong's
// kong.log.set_serialize_value does: path names a field with dots between
// levels, a nil value removes it. The value must be of a kind that JSON knows
// and must not be a view.
func Set(x Values, path string, value any) {
	list, _ := x.Value(slot).(*[]change)
	if list == nil {
		list = new([]change)
		x.SetValue(slot, list)
	}
	*list = append(*list, change{path, value})
}

func changesOf(x Values) []change {
	if list, ok := x.Value(slot).(*[]change); ok {
		return *list
	}
	return nil
}

func apply(record []byte, changes []change) []byte {
	root := decodeObject(record)
	for _, c := range changes {
		at, path := root, strings.Split(c.path, ".")
		for _, name := range path[:len(path)-1] {
			next, ok := at[name].(map[string]any)
			if !ok {
				next = map[string]any{}
				at[name] = next
			}
			at = next
		}
		if last := path[len(path)-1]; c.value == nil {
			delete(at, last)
		} else {
			at[last] = c.value
		}
	}
	return encodeObject(root)
}
