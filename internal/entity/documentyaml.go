// SPDX-License-Identifier: Apache-2.0

package entity

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// aliasBudget bounds how many values the aliases of a document may add, so
// that a small document cannot become a huge one.
const aliasBudget = 250_000

// yamlReader builds nodes from YAML.
type yamlReader struct {
	left int // values that may still be made
	open map[*yaml.Node]bool
	errs []*documentError
}

func parseYAML(data []byte) (*node, []*documentError) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, []*documentError{emptyDocument()}
	} else if err != nil {
		return nil, []*documentError{yamlError(err)}
	}
	var second yaml.Node
	switch err := dec.Decode(&second); {
	case err == nil:
		return nil, []*documentError{{line: second.Line, column: second.Column, message: "there is more than one document; only one is allowed"}}
	case !errors.Is(err, io.EOF):
		return nil, []*documentError{yamlError(err)}
	}
	if len(doc.Content) == 0 {
		return nil, []*documentError{emptyDocument()}
	}
	r := &yamlReader{left: len(data) + aliasBudget, open: make(map[*yaml.Node]bool)}
	root, err := r.value(doc.Content[0], 0)
	if err != nil {
		return nil, append(r.errs, err)
	}
	return root, r.errs
}

var yamlLine = regexp.MustCompile(`line (\d+): `)

func yamlError(err error) *documentError {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	out := &documentError{line: 1, message: message}
	if m := yamlLine.FindStringSubmatchIndex(message); m != nil {
		if n, err := strconv.Atoi(message[m[2]:m[3]]); err == nil {
			out.line, out.message = n, message[:m[0]]+message[m[1]:]
		}
	}
	return out
}

func failAt(y *yaml.Node, message string) *documentError {
	return &documentError{line: y.Line, column: y.Column, message: message}
}

func (r *yamlReader) value(y *yaml.Node, depth int) (*node, *documentError) {
	if r.left--; r.left < 0 {
		return nil, failAt(y, "aliases make the document too large")
	}
	if depth > maxDepth {
		return nil, failAt(y, errTooDeep.Error())
	}
	n := &node{line: y.Line, column: y.Column}
	switch y.Kind {
	case yaml.AliasNode:
		return r.alias(y, depth)
	case yaml.SequenceNode:
		n.shape = list
		for _, c := range y.Content {
			e, err := r.value(c, depth+1)
			if err != nil {
				return nil, err
			}
			n.list = append(n.list, e)
		}
	case yaml.MappingNode:
		n.shape = mapping
		if err := r.mapping(n, y, depth); err != nil {
			return nil, err
		}
	default:
		v, err := yamlScalar(y)
		if err != nil {
			return nil, failAt(y, err.Error())
		}
		n.value = v
	}
	return n, nil
}

func (r *yamlReader) alias(y *yaml.Node, depth int) (*node, *documentError) {
	if r.open[y.Alias] {
		return nil, failAt(y, "anchor '"+y.Value+"' contains itself")
	}
	r.open[y.Alias] = true
	n, err := r.value(y.Alias, depth+1)
	delete(r.open, y.Alias)
	if err != nil {
		return nil, err
	}
	n.line, n.column = y.Line, y.Column
	return n, nil
}

func (r *yamlReader) mapping(n *node, y *yaml.Node, depth int) *documentError {
	seen := make(map[string]bool, len(y.Content)/2)
	var merged []*node
	for i := 0; i+1 < len(y.Content); i += 2 {
		k := y.Content[i]
		v, err := r.value(y.Content[i+1], depth+1)
		if err != nil {
			return err
		}
		if k.Kind == yaml.ScalarNode && k.ShortTag() == "!!merge" {
			if v.shape == list {
				merged = append(merged, v.list...)
			} else {
				merged = append(merged, v)
			}
			continue
		}
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			return failAt(y.Content[i], "a key must be text")
		}
		p := pairNode{key: k.Value, line: y.Content[i].Line, column: y.Content[i].Column, value: v}
		if seen[p.key] {
			r.errs = append(r.errs, duplicateKey(p))
			continue
		}
		seen[p.key] = true
		n.pairs = append(n.pairs, p)
	}
	for _, m := range merged {
		if m.shape != mapping {
			return &documentError{line: m.line, column: m.column, message: "only a mapping can be merged"}
		}
		for _, p := range m.pairs {
			if !seen[p.key] {
				seen[p.key] = true
				n.pairs = append(n.pairs, p)
			}
		}
	}
	return nil
}

func yamlScalar(y *yaml.Node) (any, error) {
	var v any
	switch y.ShortTag() {
	case "!!null", "!!bool", "!!int", "!!float":
		if err := y.Decode(&v); err != nil {
			return nil, errors.New("the value is not what its tag says")
		}
		return schema.Canonical(v), nil
	}
	return y.Value, nil
}
