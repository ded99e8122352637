// SPDX-License-Identifier: Apache-2.0

package plugintest

import (
	"slices"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// Header is an ordered list of fields that implements plugin.Header. It copies
// what it is given, as the engine does.
type Header struct {
	Fields []plugin.Field
}

// NewHeader returns a header of name, value pairs.
func NewHeader(pairs ...string) *Header {
	h := &Header{}
	for i := 0; i+1 < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

// Get implements plugin.Header.
func (h *Header) Get(name string) string {
	for _, f := range h.Fields {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// Has implements plugin.Header.
func (h *Header) Has(name string) bool {
	return slices.ContainsFunc(h.Fields, func(f plugin.Field) bool { return strings.EqualFold(f.Name, name) })
}

// Values implements plugin.Header.
func (h *Header) Values(dst []string, name string) []string {
	for _, f := range h.Fields {
		if strings.EqualFold(f.Name, name) {
			dst = append(dst, f.Value)
		}
	}
	return dst
}

// Set implements plugin.Header.
func (h *Header) Set(name, value string) {
	h.Del(name)
	h.Add(name, value)
}

// Add implements plugin.Header.
func (h *Header) Add(name, value string) {
	h.Fields = append(h.Fields, plugin.Field{Name: strings.Clone(name), Value: strings.Clone(value)})
}

// Del implements plugin.Header.
func (h *Header) Del(name string) {
	h.Fields = slices.DeleteFunc(h.Fields, func(f plugin.Field) bool { return strings.EqualFold(f.Name, name) })
}

// Each implements plugin.Header.
func (h *Header) Each(yield func(name, value string) bool) {
	for _, f := range h.Fields {
		if !yield(f.Name, f.Value) {
			return
		}
	}
}

// Len implements plugin.Header.
func (h *Header) Len() int { return len(h.Fields) }

// Map returns the values by lower-case name, several values of a name joined
// by "|": easy to compare in a test.
func (h *Header) Map() map[string]string {
	m := map[string]string{}
	for _, f := range h.Fields {
		name := strings.ToLower(f.Name)
		if old, ok := m[name]; ok {
			m[name] = old + "|" + f.Value
		} else {
			m[name] = f.Value
		}
	}
	return m
}
