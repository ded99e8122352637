// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/configsync/content"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// filter leaves out of records what a proxy did not announce that it
// understands. It is pure; the same announcement always yields the same result.
type filter struct {
	ours   map[string]configsync.Hash
	guards map[string]bool // plugins' schema names
	theirs map[string]*announced
}

// announced is one schema of a proxy, ready for look-ups.
type announced struct {
	hash    configsync.Hash
	fields  map[string]bool
	parents map[string]bool // paths that have longer ones below
}

func newFilter(ours, theirs []configsync.Schema) *filter {
	f := &filter{ours: make(map[string]configsync.Hash), guards: make(map[string]bool), theirs: make(map[string]*announced)}
	for _, s := range ours {
		f.ours[s.Name] = s.Hash
		if s.Guards {
			f.guards[s.Name] = true
		}
	}
	for _, s := range theirs {
		a := &announced{hash: s.Hash, fields: make(map[string]bool), parents: map[string]bool{"": true}}
		for _, path := range s.Fields {
			a.fields[path] = true
			for i, c := range path {
				if c == '.' {
					a.parents[path[:i]] = true
				}
			}
		}
		f.theirs[s.Name] = a
	}
	return f
}

// fingerprint tells announcements apart.
func fingerprint(schemas []configsync.Schema) configsync.Hash {
	lines := make([]string, len(schemas))
	for i, s := range schemas {
		lines[i] = fmt.Sprintf("%s %s %s", s.Name, s.Hash, strings.Join(s.Fields, ","))
	}
	slices.Sort(lines)
	return content.Sum([]byte(strings.Join(lines, "\n")))
}

// same reports whether the proxy understands a thing exactly as we do.
func (f *filter) same(name string) bool {
	ours, ok := f.ours[name]
	theirs := f.theirs[name]
	return ok && theirs != nil && theirs.hash == ours
}

// passesAll reports whether nothing is ever left out.
func (f *filter) passesAll() bool {
	for name := range f.ours {
		if !f.same(name) {
			return false
		}
	}
	return true
}

// part is a member of a record that has a schema of its own.
func part(r *configsync.Record) (member, name string) {
	switch r.Key.Kind {
	case entity.KindPlugin:
		return "config", configsync.PluginSchemaName(r.Type)
	case entity.KindCredential:
		return "fields", configsync.CredentialSchemaName(r.Type)
	}
	return "", ""
}

// apply returns the record as this proxy is to hold it, nil when it is to hold
// nothing, and what was left out.
func (f *filter) apply(r *configsync.Record) (*configsync.Record, []configsync.Omission) {
	member, name := part(r)
	if f.same(string(r.Key.Kind)) && (name == "" || f.same(name)) {
		return r, nil
	}
	whole := func(reason string) []configsync.Omission {
		return []configsync.Omission{{Record: r, Reason: reason}}
	}
	kind := f.theirs[string(r.Key.Kind)]
	if kind == nil {
		return nil, whole(fmt.Sprintf("the proxy's version does not know %s; update the proxy", r.Key.Kind))
	}
	if name != "" && f.theirs[name] == nil {
		return f.substitute(r), whole(fmt.Sprintf("the proxy's version does not know %s; update the proxy", strings.Replace(name, ":", " ", 1)))
	}
	value, err := schema.DecodeObject(r.JSON)
	if err != nil {
		return nil, whole(err.Error())
	}
	dropped := make(map[string]bool)
	kind.prune(value, "", "", dropped)
	if inner, ok := value[member].(map[string]any); ok {
		f.theirs[name].prune(inner, "", member+".", dropped)
	}
	if len(dropped) == 0 {
		return r, nil
	}
	sent := f.pruned(r, value)
	if f.guards[name] && anyConfig(dropped) {
		// Half of a restriction may be none at all.
		sent = f.substitute(r)
	}
	var out []configsync.Omission
	for _, path := range slices.Sorted(maps.Keys(dropped)) {
		out = append(out, configsync.Omission{
			Record: r, Field: path, Reason: "the proxy's version does not know this field; update the proxy",
		})
	}
	return sent, out
}

func (f *filter) pruned(r *configsync.Record, value map[string]any) *configsync.Record {
	data, err := schema.EncodeJSON(value)
	if err != nil {
		return f.substitute(r)
	}
	return configsync.RawRecord(r.Key, r.Type, data)
}

func anyConfig(paths map[string]bool) bool {
	for path := range paths {
		if strings.HasPrefix(path, "config.") {
			return true
		}
	}
	return false
}

// prune deletes the members of value that the schema does not know and notes
// their paths. Below a path that the schema does not go into, anything goes.
func (a *announced) prune(value any, at, prefix string, dropped map[string]bool) {
	switch v := value.(type) {
	case []any:
		for _, e := range v {
			a.prune(e, at, prefix, dropped)
		}
	case map[string]any:
		if !a.parents[at] {
			return
		}
		for name, e := range v {
			path := name
			if at != "" {
				path = at + "." + name
			}
			if !a.fields[path] && at != "" && a.fields[at+".*"] {
				path = at + ".*"
			}
			if !a.fields[path] {
				delete(v, name)
				dropped[prefix+path] = true
				continue
			}
			a.prune(e, path, prefix, dropped)
		}
	}
}

// substitute stands in for a plugin that the proxy does not know: a route is
// not to run without what its owner put on it (design: "answers 500 rather than
// run without it"). A global plugin is left out, so that one new plugin does
// not stop every older proxy, unless it guards.
func (f *filter) substitute(r *configsync.Record) *configsync.Record {
	if r.Key.Kind != entity.KindPlugin {
		return nil
	}
	value, err := schema.DecodeObject(r.JSON)
	ofConsumer := value["consumer"] != nil || value["consumer_group"] != nil
	global := value["service"] == nil && value["route"] == nil && !ofConsumer
	if err != nil || global && !f.guards[configsync.PluginSchemaName(r.Type)] {
		return nil
	}
	unusable := entity.Unusable(ofConsumer)
	if f.theirs[configsync.PluginSchemaName(unusable.Name)] == nil {
		unusable = entity.Unusable(true) // an older proxy
	}
	if f.theirs[configsync.PluginSchemaName(unusable.Name)] == nil {
		return nil
	}
	stand := map[string]any{"id": r.Key.ID, "name": unusable.Name}
	if unusable.Config != nil {
		stand["config"] = unusable.Config
	}
	for _, keep := range []string{"service", "route", "consumer", "consumer_group", "enabled", "tags"} {
		if v, ok := value[keep]; ok {
			stand[keep] = v
		}
	}
	data, err := schema.EncodeJSON(stand)
	if err != nil {
		return nil
	}
	return configsync.RawRecord(r.Key, unusable.Name, data)
}
