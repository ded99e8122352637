// SPDX-License-Identifier: Apache-2.0

package entity

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/entity/schema/typedefs"
)

// Decode is DecodeDocument for those who need no positions.
func Decode(data []byte, s SchemaSet) (*Set, []Problem) {
	d, problems := DecodeDocument(data, s)
	if d == nil {
		return nil, problems
	}
	return d.Set, problems
}

// Document is a declarative configuration that was read.
type Document struct {
	Set *Set

	items map[Key]*item
}

// Locate returns a problem of an entity with the position of its field in the
// document, as far as the document has them.
func (d *Document) Locate(p Problem) Problem {
	if it := d.items[p.Key]; it != nil {
		p.Path = it.path
		p.Line, p.Column = it.node.locate(p.Field)
	}
	return p
}

// DecodeDocument reads a declarative configuration (kong.yml): YAML or JSON, format
// 3.0, or 1.1 and 2.1, whose route paths are migrated as Kong does. Entities
// may be nested in those that they belong to; references may be ids or names.
// What decK says once for many entities (_info, _plugin_configs) is given to
// each.
//
// It is strict: unknown fields, values that do not fit, references that
// lead nowhere and duplicates are problems, each with its line. All problems
// are reported, in the order of the document; the Document is nil when there are
// any. Entities in the Set are sparse, have ids and are in the order of the
// document. Of two plugins with the same name and scope but ids of their own
// the later one wins, as in Kong.
func DecodeDocument(data []byte, s SchemaSet) (*Document, []Problem) {
	root, errs := parseDocument(data)
	d := &decoder{
		schemas: s,
		byName:  make(map[string]*item),
		byID:    make(map[itemKey]*item),
		byKey:   make(map[Key]*item),
	}
	for _, e := range errs {
		d.problems = append(d.problems, Problem{Line: e.line, Column: e.column, Message: e.message})
	}
	if root == nil {
		return nil, d.problems
	}
	d.document(root)
	set := d.set()
	known := func(k Key) bool { return d.byID[itemKey{string(k.Kind), k.ID}] != nil }
	out := &Document{Set: set, items: d.byKey}
	for _, p := range crossCheck(set, s, known) {
		d.problems = append(d.problems, out.Locate(p))
	}
	if len(d.problems) > 0 {
		slices.SortStableFunc(d.problems, func(a, b Problem) int {
			return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
		return nil, d.problems
	}
	return out, nil
}

// item is one entity of the document on its way into the Set.
type item struct {
	kind        Kind
	collection  string // the kind, or the type of a credential
	node        *node
	path        string
	parent      *item
	parentField string

	fields map[string]any // as the schemas see them
	refs   []refNode
	groups []refNode // a consumer's groups, or a group's consumers
	// configSource names the shared config of a plugin.
	configSource *node

	id     ID
	entity Entity // nil when the item is not usable
}

type refNode struct {
	field string
	kind  Kind
	node  *node
}

// itemKey is an id within its collection: ids of different types of
// credentials are independent of each other.
type itemKey struct {
	collection string
	id         ID
}

type decoder struct {
	schemas   SchemaSet
	oldFormat bool // 1.1 or 2.1
	hashed    bool // _transform is false: secrets are hashed already
	shared    shared
	items     []*item
	byName    map[string]*item // collection and name
	byID      map[itemKey]*item
	byKey     map[Key]*item
	problems  []Problem
}

func (d *decoder) document(root *node) {
	if root.shape != mapping {
		d.fail(root, "", "expected a mapping with _format_version and lists of entities")
		return
	}
	d.header(root)
	for _, p := range root.pairs {
		if strings.HasPrefix(p.key, "_") {
			continue
		}
		if _, ok := d.schemas.collectionKind(p.key); !ok {
			d.problems = append(d.problems, Problem{Field: p.key, Line: p.line, Column: p.column, Message: "unknown field"})
			continue
		}
		d.collect(p.key, p.value, p.key, nil, "")
	}
	for _, kind := range kinds {
		for _, it := range d.items {
			if it.kind == kind {
				d.finish(it)
			}
		}
	}
	for _, it := range d.items {
		if it.kind == KindConsumerGroup {
			d.join(it)
		}
	}
}

// header reads the fields that begin with an underscore.
func (d *decoder) header(root *node) {
	version := root.get("_format_version")
	switch {
	case version == nil:
		d.fail(root, "_format_version", `required field missing: write _format_version: "3.0"`)
	case version.value == "1.1" || version.value == "2.1":
		d.oldFormat = true
	case version.value == "3.0":
	default:
		if _, isText := version.value.(string); !isText {
			d.fail(version, "_format_version", `expected a string: write "3.0" in quotes`)
		} else {
			d.fail(version, "_format_version", "expected one of: 1.1, 2.1, 3.0")
		}
	}
	for _, p := range root.pairs {
		switch p.key {
		case "_format_version", "_comment", "_ignore":
		case "_info":
			d.info(p.value)
		case "_plugin_configs":
			d.pluginConfigs(p.value)
		case "_workspace":
			d.workspace(p.value)
		case "_transform":
			on, ok := p.value.value.(bool)
			if !ok {
				d.fail(p.value, "_transform", "expected a boolean")
			}
			d.hashed = ok && !on
		default:
			if strings.HasPrefix(p.key, "_") {
				d.problems = append(d.problems, Problem{Field: p.key, Line: p.line, Column: p.column, Message: "unknown field"})
			}
		}
	}
}

func (d *decoder) fail(n *node, field, message string) {
	d.problems = append(d.problems, Problem{Field: field, Line: n.line, Column: n.column, Message: message})
}

// collect makes items of a list of entities, and of the lists nested in them.
func (d *decoder) collect(collection string, n *node, path string, parent *item, parentField string) {
	if n.isNull() {
		return
	}
	if n.shape != list {
		d.fail(n, path, "expected an array")
		return
	}
	kind, _ := d.schemas.collectionKind(collection)
	for i, e := range n.list {
		at := fmt.Sprintf("%s[%d]", path, i)
		if e.shape != mapping {
			d.fail(e, at, "expected a record")
			continue
		}
		d.item(&item{kind: kind, collection: collection, node: e, path: at, parent: parent, parentField: parentField})
	}
}

// item sorts the fields of one entity into its own, references and children.
func (d *decoder) item(it *item) {
	d.items = append(d.items, it)
	it.fields = make(map[string]any, len(it.node.pairs))
	l := layouts[it.kind]
	for _, p := range it.node.pairs {
		field, isChild := d.schemas.child(it.kind, p.key)
		kind, isRef := l.ref(p.key)
		switch {
		case p.key == "_comment" || p.key == "_ignore":
		case it.kind == KindPlugin && p.key == configSource:
			it.configSource = p.value
		case isChild:
			d.collect(p.key, p.value, it.path+"."+p.key, it, field)
		case isRef:
			if !p.value.isNull() {
				it.refs = append(it.refs, refNode{p.key, kind, p.value})
			}
		case it.kind == KindConsumer && p.key == groupsOfConsumer:
			it.groups = append(it.groups, d.members(it, p.key, p.value, KindConsumerGroup)...)
		case it.kind == KindConsumerGroup && p.key == consumersOfGroup:
			it.groups = append(it.groups, d.members(it, p.key, p.value, KindConsumer)...)
		default:
			it.fields[p.key] = p.value.plain()
		}
	}
	d.share(it)
	if it.kind == KindRoute && d.oldFormat {
		migratePaths(it.fields["paths"])
	}
	if it.kind == KindCredential && d.hashed && d.schemas.credentials[it.collection].typ.Transformed {
		d.add(it, "", "_transform: false says that secrets are hashed already, which this gateway cannot read: "+
			"give them in clear and leave _transform out")
	}
}

func (d *decoder) members(it *item, field string, n *node, kind Kind) []refNode {
	if n.isNull() {
		return nil
	}
	if n.shape != list {
		d.add(it, field, "expected an array")
		return nil
	}
	refs := make([]refNode, len(n.list))
	for i, e := range n.list {
		refs[i] = refNode{fmt.Sprintf("%s[%d]", field, i), kind, e}
	}
	return refs
}

func migratePaths(v any) {
	paths, _ := v.([]any)
	for i, p := range paths {
		if s, ok := p.(string); ok {
			paths[i] = typedefs.MigratePath(s)
		}
	}
}

// add reports a problem of an item.
func (d *decoder) add(it *item, field, message string) {
	p := Problem{
		Key: Key{it.kind, it.id}, Name: it.label(), Path: it.path, Field: field, Message: message,
	}
	p.Line, p.Column = it.node.locate(field)
	d.problems = append(d.problems, p)
}

// label returns what people call the entity, from its raw fields.
func (it *item) label() string {
	for _, field := range []string{"name", "username", "custom_id", "prefix", "target"} {
		if s, ok := it.fields[field].(string); ok && (it.kind != KindCredential || field == "name") {
			return s
		}
	}
	return ""
}
