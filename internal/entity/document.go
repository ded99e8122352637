// SPDX-License-Identifier: Apache-2.0

package entity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// node is one value of a document, with its position.
type node struct {
	shape  nodeShape
	line   int
	column int
	value  any     // scalar
	list   []*node // list
	pairs  []pairNode
}

type nodeShape uint8

const (
	scalar nodeShape = iota
	list
	mapping
)

// pairNode is one entry of a mapping, at the position of its key.
type pairNode struct {
	key          string
	line, column int
	value        *node
}

func (n *node) get(key string) *node {
	for i := range n.pairs {
		if n.pairs[i].key == key {
			return n.pairs[i].value
		}
	}
	return nil
}

func (n *node) isNull() bool { return n.shape == scalar && n.value == nil }

// plain returns the value without positions, in canonical form.
func (n *node) plain() any {
	switch n.shape {
	case list:
		out := make([]any, len(n.list))
		for i, e := range n.list {
			out[i] = e.plain()
		}
		return out
	case mapping:
		out := make(map[string]any, len(n.pairs))
		for _, p := range n.pairs {
			out[p.key] = p.value.plain()
		}
		return out
	}
	return n.value
}

// locate returns the position of the value at a path as violations have it, or
// of the innermost value on the way that is there.
func (n *node) locate(path string) (line, column int) {
	line, column = n.line, n.column
	for path != "" {
		next, rest, at := n.step(path)
		if next == nil {
			break
		}
		n, path = next, rest
		line, column = at[0], at[1]
	}
	return line, column
}

// step follows the first step of path. Keys may hold dots, so the longest key
// that fits is taken.
func (n *node) step(path string) (next *node, rest string, at [2]int) {
	if n.shape == list {
		var i int
		if _, err := fmt.Sscanf(path, "[%d]", &i); err != nil || i >= len(n.list) {
			return nil, "", at
		}
		e := n.list[i]
		_, rest, _ = strings.Cut(path, "]")
		return e, strings.TrimPrefix(rest, "."), [2]int{e.line, e.column}
	}
	longest := -1
	for _, p := range n.pairs {
		tail, ok := strings.CutPrefix(path, p.key)
		if !ok || len(p.key) <= longest || tail != "" && tail[0] != '.' && tail[0] != '[' {
			continue
		}
		longest, next, rest = len(p.key), p.value, strings.TrimPrefix(tail, ".")
		at = [2]int{p.line, p.column}
	}
	return next, rest, at
}

// maxDepth bounds how deep a document may nest.
const maxDepth = 100

var errTooDeep = fmt.Errorf("the document nests more than %d levels deep", maxDepth)

// documentError is a document that cannot be read at all.
type documentError struct {
	line, column int
	message      string
}

func emptyDocument() *documentError {
	return &documentError{line: 1, column: 1, message: "the document is empty"}
}

// parseDocument reads YAML or JSON. Duplicate keys are errors, which do not
// stop the reading.
func parseDocument(data []byte) (*node, []*documentError) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	trimmed := bytes.TrimSpace(data)
	if len(trimmed) == 0 {
		return nil, []*documentError{emptyDocument()}
	}
	if trimmed[0] != '{' {
		return parseYAML(data)
	}
	root, errs := parseJSON(data)
	if root == nil {
		// A flow mapping is YAML that looks like JSON.
		if y, yamlErrs := parseYAML(data); y != nil {
			return y, yamlErrs
		}
	}
	return root, errs
}

// jsonReader builds nodes from JSON.
type jsonReader struct {
	data         []byte
	dec          *json.Decoder
	at           int // how far line and column have been counted
	line, column int
	errs         []*documentError
}

func parseJSON(data []byte) (*node, []*documentError) {
	r := &jsonReader{data: data, dec: json.NewDecoder(bytes.NewReader(data)), line: 1, column: 1}
	r.dec.UseNumber()
	root, err := r.value(0)
	if err == nil {
		r.skip()
		if _, more := r.dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is more after the end of the document")
		}
	}
	if err != nil {
		return nil, append(r.errs, &documentError{line: r.line, column: r.column, message: jsonMessage(err)})
	}
	return root, r.errs
}

func jsonMessage(err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "the document ends too early"
	}
	return err.Error()
}

// skip moves the position to the start of the next token.
func (r *jsonReader) skip() {
	end := int(r.dec.InputOffset())
	for end < len(r.data) && strings.IndexByte(" \t\r\n,:", r.data[end]) >= 0 {
		end++
	}
	for ; r.at < end; r.at++ {
		if r.data[r.at] == '\n' {
			r.line, r.column = r.line+1, 0
		}
		r.column++
	}
}

func (r *jsonReader) value(depth int) (*node, error) {
	if depth > maxDepth {
		return nil, errTooDeep
	}
	r.skip()
	n := &node{line: r.line, column: r.column}
	token, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		n.shape = mapping
		err = r.mapping(n, depth)
	case json.Delim('['):
		n.shape = list
		for err == nil && r.dec.More() {
			var e *node
			e, err = r.value(depth + 1)
			n.list = append(n.list, e)
		}
		if err == nil {
			_, err = r.dec.Token()
		}
	default:
		n.value = schema.Canonical(token)
	}
	return n, err
}

func (r *jsonReader) mapping(n *node, depth int) error {
	seen := make(map[string]bool)
	for r.dec.More() {
		r.skip()
		p := pairNode{line: r.line, column: r.column}
		token, err := r.dec.Token()
		if err != nil {
			return err
		}
		p.key, _ = token.(string)
		if p.value, err = r.value(depth + 1); err != nil {
			return err
		}
		if seen[p.key] {
			r.errs = append(r.errs, duplicateKey(p))
			continue
		}
		seen[p.key] = true
		n.pairs = append(n.pairs, p)
	}
	_, err := r.dec.Token()
	return err
}

func duplicateKey(p pairNode) *documentError {
	return &documentError{line: p.line, column: p.column, message: fmt.Sprintf("field '%s' is given twice", p.key)}
}
