// SPDX-License-Identifier: Apache-2.0

package entity

import (
	"fmt"
	"slices"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// Line is a release line of Kong whose defaults stand for what a configuration
// leaves open. See Kong's list of breaking changes, Gateway 3.14:
// https://developer.konghq.com/gateway/breaking-changes/.
type Line string

// The lines whose defaults differ. Line39 is the default one: Kong 3.9, the
// last with images of the open-source edition.
const (
	Line39  Line = "3.9"
	Line314 Line = "3.14"
)

// ParseLine reads a line's name. The error names those that there are.
func ParseLine(text string) (Line, error) {
	switch l := Line(text); l {
	case Line39, Line314:
		return l, nil
	}
	return "", fmt.Errorf("%q is neither %q nor %q", text, Line39, Line314)
}

// Under returns schemas with the defaults of a line in the place of those of
// Line39. What is valid is the same under each. Under Line314 routes are for
// https, certificates of upstreams and of plugins' endpoints are verified, and
// credentials are hidden from upstreams, unless the configuration says
// otherwise.
func (s SchemaSet) Under(l Line) SchemaSet {
	if l != Line314 {
		return s
	}
	plugins := make(map[string]*pluginEntry, len(s.plugins))
	for name, e := range s.plugins {
		p := e.schema
		p.Config = p.Config.WithDefaults(p.default314)
		plugins[name] = &pluginEntry{schema: p, record: pluginRecord(p)}
	}
	s.plugins, s.line = plugins, l
	return s
}

// default314 is the default of a config field under Line314, if it is another.
func (p *PluginSchema) default314(path string, f *schema.Field) (def any, ok bool) {
	if def, ok = p.Defaults314[path]; ok {
		return def, true
	}
	switch f.Name() {
	case "ssl_verify", "https_verify", "tls_verify", "hide_credentials":
		return true, f.Type() == schema.TypeBoolean
	}
	return nil, false
}

// fill sets what is open in a core entity and has another default under the
// set's line.
func (s SchemaSet) fill(kind Kind, m map[string]any) {
	if s.line != Line314 {
		return
	}
	field, def := "", any(nil)
	switch kind {
	case KindRoute:
		field, def = "protocols", []any{string(ProtocolHTTPS)}
	case KindService:
		protocol, _ := m["protocol"].(string)
		if slices.Contains([]Protocol{ProtocolHTTPS, ProtocolGRPCS, ProtocolTLS}, Protocol(protocol)) {
			field, def = "tls_verify", true
		}
	}
	if _, set := m[field]; !set && field != "" {
		m[field] = def
	}
}

// Route returns a sparse route as a router takes it, which knows the defaults of
// Line39: r itself, unless the set's line has others for what r leaves open.
func (s SchemaSet) Route(r *Route) *Route {
	if s.line != Line314 || r.Protocols != nil {
		return r
	}
	filled := *r
	filled.Protocols = []Protocol{ProtocolHTTPS}
	return &filled
}
