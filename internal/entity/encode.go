// SPDX-License-Identifier: Apache-2.0

package entity

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// Encode writes a Set as a declarative configuration of format 3.0, in YAML.
// The layout is flat; references are names where the entity has one, else ids.
// The same Set always gives the same bytes. Entities keep their order, but
// credentials are grouped by type. Secrets are written as they are:
// see RedactSet.
func Encode(set *Set) ([]byte, error) {
	e := encoder{names: make(map[Key]string)}
	for x := range set.All() {
		e.name(x)
	}
	root := &yaml.Node{Kind: yaml.MappingNode}
	put(root, "_format_version", text("3.0"))
	lists := make(map[string]*yaml.Node)
	for x := range set.All() {
		collection := string(x.EntityKind())
		if t := credentialTypeOf(x); t != "" {
			collection = t
		}
		if lists[collection] == nil {
			lists[collection] = &yaml.Node{Kind: yaml.SequenceNode}
		}
		lists[collection].Content = append(lists[collection].Content, e.entity(x))
	}
	for _, collection := range documentOrder(lists) {
		put(root, collection, lists[collection])
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return b.Bytes(), nil
}

// documentOrder puts what people look for first at the top.
func documentOrder(lists map[string]*yaml.Node) []string {
	first := []Kind{
		KindService, KindRoute, KindPlugin, KindUpstream, KindTarget, KindConsumerGroup, KindConsumer,
	}
	last := []Kind{KindCertificate, KindSNI, KindCACertificate, KindVault}
	var order []string
	for _, k := range first {
		order = append(order, string(k))
	}
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		if !slices.Contains(first, Kind(name)) && !slices.Contains(last, Kind(name)) {
			order = append(order, name)
		}
	}
	for _, k := range last {
		order = append(order, string(k))
	}
	return slices.DeleteFunc(order, func(name string) bool { return lists[name] == nil })
}

type encoder struct{ names map[Key]string }

func (e *encoder) name(x Entity) {
	field := layouts[x.EntityKind()].name
	if field == "" || x.EntityKind() == KindPlugin {
		return
	}
	name, _ := toMap(x)[field].(string)
	// A name that looks like an id might be taken for that of another entity.
	if name != "" && !schema.IsUUID(name) {
		e.names[KeyOf(x)] = name
	}
}

func (e *encoder) entity(x Entity) *yaml.Node {
	m := toMap(x)
	l := layouts[x.EntityKind()]
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, field := range fieldOrder(x, m) {
		v := m[field]
		if kind, isRef := l.ref(field); isRef {
			put(n, field, text(e.target(kind, v)))
			continue
		}
		if x.EntityKind() == KindConsumer && field == groupsOfConsumer {
			put(n, field, e.groups(v))
			continue
		}
		put(n, field, valueNode(v))
	}
	return n
}

// target returns the name or id that a reference is written as.
func (e *encoder) target(kind Kind, ref any) string {
	m, _ := ref.(map[string]any)
	id, _ := m["id"].(string)
	if name := e.names[Key{kind, ID(id)}]; name != "" {
		return name
	}
	return id
}

func (e *encoder) groups(v any) *yaml.Node {
	list, _ := v.([]any)
	n := &yaml.Node{Kind: yaml.SequenceNode}
	for _, ref := range list {
		group := &yaml.Node{Kind: yaml.MappingNode}
		put(group, "name", text(e.target(KindConsumerGroup, ref)))
		n.Content = append(n.Content, group)
	}
	return n
}

// fieldOrder returns the fields of m: those of the type in their declared
// order, then others by name.
func fieldOrder(x Entity, m map[string]any) []string {
	t := reflect.TypeOf(x).Elem()
	order := make([]string, 0, len(m))
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if _, set := m[name]; set {
			order = append(order, name)
		}
	}
	if len(order) == len(m) {
		return order
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if !slices.Contains(order, name) {
			order = append(order, name)
		}
	}
	return order
}

func put(n *yaml.Node, key string, value *yaml.Node) {
	n.Content = append(n.Content, text(key), value)
}

// otherType matches text that is of another type in YAML 1.1, which Kong reads.
var otherType = regexp.MustCompile(`^(?i:y|n|yes|no|on|off|=|[-+]?[0-9][0-9_]*(:[0-9_.]+)+)$`)

// text writes a string so that it reads back as the same string: certificates
// as blocks, what needs escapes in quotes.
func text(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	switch {
	case strings.HasPrefix(s, "-----BEGIN ") && isBlock(s):
		n.Style = yaml.LiteralStyle
	case otherType.MatchString(s), strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }):
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

// isBlock reports whether s survives as a literal block: printable lines that
// neither begin nor end with a space.
func isBlock(s string) bool {
	for line := range strings.SplitSeq(strings.TrimSuffix(s, "\n"), "\n") {
		if line == "" || strings.Trim(line, " ") != line ||
			strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
			return false
		}
	}
	return true
}

func valueNode(v any) *yaml.Node {
	switch v := v.(type) {
	case string:
		return text(v)
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(v)}
	case int64:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.FormatInt(v, 10)}
	case float64:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!float", Value: floatText(v)}
	case []any:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		if isPlain(v) {
			n.Style = yaml.FlowStyle
		}
		for _, e := range v {
			n.Content = append(n.Content, valueNode(e))
		}
		return n
	case map[string]any:
		n := &yaml.Node{Kind: yaml.MappingNode}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			put(n, k, valueNode(v[k]))
		}
		return n
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
}

// floatText writes a number so that it reads back as a float even when it is
// whole.
func floatText(f float64) string {
	s := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return s
}

// isPlain reports whether a list is short and flat enough for one line.
func isPlain(list []any) bool {
	if len(list) > 8 {
		return false
	}
	for _, e := range list {
		switch e := e.(type) {
		case string:
			if len(e) > 40 || strings.Contains(e, "\n") {
				return false
			}
		case []any, map[string]any:
			return false
		}
	}
	return true
}
