// SPDX-License-Identifier: Apache-2.0

package template

import (
	"errors"
	"fmt"
	"strconv"
)

type expression interface {
	eval(Scope) (any, error)
}

type constant struct{ value any }

func (c constant) eval(Scope) (any, error) { return c.value, nil }

type global struct{ name string }

func (g global) eval(s Scope) (any, error) { return s(g.name), nil }

type index struct{ of, key expression }

func (i index) eval(s Scope) (any, error) {
	of, err := i.of.eval(s)
	if err != nil {
		return nil, err
	}
	key, err := i.key.eval(s)
	if err != nil {
		return nil, err
	}
	switch v := of.(type) {
	case Table:
		return v.Field(key), nil
	case string:
		return nil, nil // strings have fields in Lua, but none of these
	default:
		return nil, fmt.Errorf("attempt to index a %s value", kindOf(of))
	}
}

type not struct{ of expression }

func (n not) eval(s Scope) (any, error) {
	v, err := n.of.eval(s)
	return !truth(v), err
}

type binary struct {
	op          string
	left, right expression
}

func (b binary) eval(s Scope) (any, error) {
	left, err := b.left.eval(s)
	if err != nil {
		return nil, err
	}
	if b.op == "and" && !truth(left) || b.op == "or" && truth(left) {
		return left, nil
	}
	right, err := b.right.eval(s)
	if err != nil {
		return nil, err
	}
	switch b.op {
	case "==":
		return equal(left, right), nil
	case "~=":
		return !equal(left, right), nil
	case "..":
		return concat(left, right)
	default:
		return right, nil
	}
}

func equal(a, b any) bool {
	_, tableA := a.(Table)
	_, tableB := b.(Table)
	return !tableA && !tableB && a == b
}

func concat(a, b any) (any, error) {
	var out string
	for _, v := range []any{a, b} {
		switch v.(type) {
		case string, float64:
			text, err := toText(v)
			if err != nil {
				return nil, err
			}
			out += text
		default:
			return nil, fmt.Errorf("attempt to concatenate a %s value", kindOf(v))
		}
	}
	return out, nil
}

func truth(v any) bool { return v != nil && v != false }

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "nil"
	case bool:
		return "boolean"
	case float64:
		return "number"
	case string:
		return "string"
	default:
		return "table"
	}
}

func toText(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case float64:
		return strconv.FormatFloat(v, 'g', 14, 64), nil
	default:
		return "", errors.New("a table has no text")
	}
}
