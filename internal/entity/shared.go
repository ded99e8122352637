// SPDX-License-Identifier: Apache-2.0

package entity

import (
	"slices"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// shared is what a document says once for many of its entities, as decK has it:
// https://developer.konghq.com/deck/reference/entities/ and
// https://developer.konghq.com/deck/gateway/deduplicate/.
type shared struct {
	// tags are added to every entity.
	tags []any
	// defaults fill what entities of a kind leave open.
	defaults map[Kind]map[string]any
	// configs are those that plugins refer to by name.
	configs map[string]map[string]any
}

// defaultKinds are the names under which decK has defaults.
var defaultKinds = map[string]Kind{"service": KindService, "route": KindRoute, "upstream": KindUpstream, "target": KindTarget}

// info reads _info.
func (d *decoder) info(n *node) {
	if n.isNull() {
		return
	}
	if n.shape != mapping {
		d.fail(n, "_info", "expected a record")
		return
	}
	for _, p := range n.pairs {
		switch p.key {
		case "select_tags":
			d.selectTags(p.value)
		case "defaults":
			d.defaults(p.value)
		default:
			d.problems = append(d.problems, Problem{Field: "_info." + p.key, Line: p.line, Column: p.column, Message: "unknown field"})
		}
	}
}

func (d *decoder) selectTags(n *node) {
	if n.shape != list {
		d.fail(n, "_info.select_tags", "expected an array")
		return
	}
	for _, e := range n.list {
		if _, ok := e.value.(string); !ok {
			d.fail(e, "_info.select_tags", "expected a string")
			continue
		}
		d.shared.tags = append(d.shared.tags, e.value)
	}
}

func (d *decoder) defaults(n *node) {
	if n.shape != mapping {
		d.fail(n, "_info.defaults", "expected a record")
		return
	}
	d.shared.defaults = map[Kind]map[string]any{}
	for _, p := range n.pairs {
		kind, ok := defaultKinds[p.key]
		fields, isMap := p.value.plain().(map[string]any)
		switch {
		case !ok:
			d.problems = append(d.problems, Problem{Field: "_info.defaults." + p.key, Line: p.line, Column: p.column,
				Message: "unknown field: there are defaults for service, route, upstream and target"})
		case !isMap:
			d.fail(p.value, "_info.defaults."+p.key, "expected a record")
		default:
			d.shared.defaults[kind] = fields
		}
	}
}

// pluginConfigs reads _plugin_configs.
func (d *decoder) pluginConfigs(n *node) {
	if n.isNull() {
		return
	}
	if n.shape != mapping {
		d.fail(n, "_plugin_configs", "expected a record")
		return
	}
	d.shared.configs = map[string]map[string]any{}
	for _, p := range n.pairs {
		config, ok := p.value.plain().(map[string]any)
		if !ok {
			d.fail(p.value, "_plugin_configs."+p.key, "expected a record")
			continue
		}
		d.shared.configs[p.key] = config
	}
}

// workspace reads _workspace.
func (d *decoder) workspace(n *node) {
	if n.value != "default" && !n.isNull() {
		d.fail(n, "_workspace", "this gateway has one workspace, default")
	}
}

// share gives an item what the document says for many.
func (d *decoder) share(it *item) {
	if it.kind == KindPlugin && it.configSource != nil {
		d.shareConfig(it)
	}
	fill(it.fields, d.shared.defaults[it.kind])
	if len(d.shared.tags) == 0 {
		return
	}
	own, isList := it.fields["tags"].([]any)
	if it.fields["tags"] != nil && !isList {
		return // which is reported
	}
	tags := slices.Clone(own)
	for _, t := range d.shared.tags {
		if !slices.Contains(tags, t) {
			tags = append(tags, t)
		}
	}
	it.fields["tags"] = tags
}

// shareConfig gives a plugin the config that it refers to, under its own.
func (d *decoder) shareConfig(it *item) {
	name, _ := it.configSource.value.(string)
	config, ok := d.shared.configs[name]
	if !ok {
		d.add(it, configSource, "invalid reference '_config: "+name+"' (no such entry in '_plugin_configs')")
		return
	}
	own, isMap := it.fields["config"].(map[string]any)
	if it.fields["config"] != nil && !isMap {
		return // which is reported
	}
	merged, _ := schema.Canonical(config).(map[string]any)
	for k, v := range own {
		merged[k] = v
	}
	it.fields["config"] = merged
}

// configSource is the field by which a plugin refers to a shared config.
const configSource = "_config"

// fill adds to fields, deeply, what they leave open and defaults have.
func fill(fields, defaults map[string]any) {
	for name, def := range defaults {
		own, set := fields[name]
		if !set {
			fields[name] = schema.Canonical(def) // a copy
			continue
		}
		inner, isMap := own.(map[string]any)
		innerDefaults, bothMaps := def.(map[string]any)
		if isMap && bothMaps {
			fill(inner, innerDefaults)
		}
	}
}
