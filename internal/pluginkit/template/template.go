// SPDX-License-Identifier: Apache-2.0

// Package template evaluates the $(…) expressions of Kong's transformers. It
// knows the part of Lua that such expressions are made of: names, fields,
// strings, numbers, and, or, not, comparison, concatenation and parentheses.
package template

import (
	"errors"
	"fmt"
	"strings"
)

// Template is a text with expressions. The zero value is the empty text. It is
// immutable and safe for concurrent use.
type Template struct {
	pieces []piece
	// broken says why the template can never be rendered.
	broken error
}

type piece struct {
	text string
	expr expression // nil for text
}

// Scope looks up the global names of a template. Values are nil, string,
// bool, float64 and Table.
type Scope func(name string) any

// Table is a value with fields.
type Table interface {
	// Field returns the value under a key: a string or a float64.
	Field(key any) any
}

// Parse reads a template. Like Kong it takes what is not well-formed without
// an error here: rendering it fails.
func Parse(s string) Template {
	var t Template
	for {
		before, rest, found := strings.Cut(s, "$(")
		if before != "" {
			t.pieces = append(t.pieces, piece{text: before})
		}
		if !found {
			return t
		}
		end := closing(rest)
		if end < 0 {
			return Template{broken: errors.New("$( without )")}
		}
		expr, err := parse(rest[:end])
		if err != nil {
			return Template{broken: fmt.Errorf("$(%s): %w", rest[:end], err)}
		}
		t.pieces = append(t.pieces, piece{expr: expr})
		s = rest[end+1:]
	}
}

// closing returns the index of the parenthesis that closes an expression.
func closing(s string) int {
	depth, quote := 0, byte(0)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quote != 0 && c == '\\':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '(':
			depth++
		case c == ')' && depth == 0:
			return i
		case c == ')':
			depth--
		}
	}
	return -1
}

// Static returns the text of a template without expressions.
func (t *Template) Static() (string, bool) {
	switch {
	case t.broken != nil || len(t.pieces) > 1:
		return "", false
	case len(t.pieces) == 0:
		return "", true
	default:
		return t.pieces[0].text, t.pieces[0].expr == nil
	}
}

// Render returns the text with each expression replaced by its value, nil by
// nothing.
func (t *Template) Render(scope Scope) (string, error) {
	if t.broken != nil {
		return "", t.broken
	}
	if text, ok := t.Static(); ok {
		return text, nil
	}
	var b strings.Builder
	for _, p := range t.pieces {
		if p.expr == nil {
			b.WriteString(p.text)
			continue
		}
		v, err := p.expr.eval(scope)
		if err != nil {
			return "", err
		}
		text, err := toText(v)
		if err != nil {
			return "", err
		}
		b.WriteString(text)
	}
	return b.String(), nil
}
