// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"fmt"
	"strings"
)

// maxDepth bounds how deep parentheses nest, so that nobody's stack depends on
// a text.
const maxDepth = 100

// Error says what is wrong with an expression, where, and what to do.
type Error struct {
	Line, Column int // from 1, columns in bytes
	Message      string
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Message) }

// Parse reads an expression for routes of a family and checks its types. The
// error is an *Error.
func Parse(text string, family Family) (Node, error) {
	p := parser{text: text, family: family}
	n, err := p.expression()
	if err != nil {
		return nil, err
	}
	if p.space(); p.pos < len(text) {
		return nil, p.fail(p.pos, "%s is not expected here; combine predicates with && or ||", p.found())
	}
	return n, nil
}

type parser struct {
	text   string
	family Family
	pos    int
	depth  int
}

func (p *parser) fail(at int, format string, args ...any) error {
	before := p.text[:at]
	return &Error{
		Line:    1 + strings.Count(before, "\n"),
		Column:  at - strings.LastIndexByte(before, '\n'),
		Message: fmt.Sprintf(format, args...),
	}
}

// found describes what stands at the position, for an error.
func (p *parser) found() string {
	if p.pos >= len(p.text) {
		return "the end"
	}
	rest := p.text[p.pos:]
	for i, r := range rest {
		if i > 0 && (isSpace(byte(r)) || i > 20) {
			rest = rest[:i]
			break
		}
	}
	return fmt.Sprintf("%q", rest)
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func (p *parser) space() {
	for p.pos < len(p.text) && isSpace(p.text[p.pos]) {
		p.pos++
	}
}

// take skips blanks, and then s if it comes next.
func (p *parser) take(s string) bool {
	p.space()
	if !strings.HasPrefix(p.text[p.pos:], s) {
		return false
	}
	p.pos += len(s)
	return true
}

// expression = disjunction { "&&" disjunction }
func (p *parser) expression() (Node, error) {
	var terms And
	for {
		n, err := p.disjunction()
		if err != nil {
			return nil, err
		}
		terms = append(terms, n)
		if p.take("&&") {
			continue
		}
		if len(terms) == 1 {
			return n, nil
		}
		return terms, nil
	}
}

// disjunction = term { "||" term }
func (p *parser) disjunction() (Node, error) {
	var terms Or
	for {
		n, err := p.term()
		if err != nil {
			return nil, err
		}
		terms = append(terms, n)
		if p.take("||") {
			continue
		}
		if len(terms) == 1 {
			return n, nil
		}
		return terms, nil
	}
}

// term = [ "!" ] "(" expression ")" | predicate
func (p *parser) term() (Node, error) {
	not := p.take("!")
	if !p.take("(") {
		if not {
			return nil, p.fail(p.pos, "! needs a parenthesis: write !(…)")
		}
		return p.predicate()
	}
	opened := p.pos - 1
	if p.depth++; p.depth > maxDepth {
		return nil, p.fail(opened, "parentheses nest deeper than %d", maxDepth)
	}
	n, err := p.expression()
	if err != nil {
		return nil, err
	}
	if !p.take(")") {
		return nil, p.fail(p.pos, "%s is not expected here; the parenthesis of column %d needs a ), predicates are combined with && or ||", p.found(), opened+1)
	}
	p.depth--
	if not {
		return Not{n}, nil
	}
	return n, nil
}

// predicate = lhs operator constant
func (p *parser) predicate() (Node, error) {
	p.space()
	n := &Predicate{Offset: p.pos}
	if err := p.lhs(n); err != nil {
		return nil, err
	}
	if err := p.operator(n); err != nil {
		return nil, err
	}
	p.space()
	at := p.pos
	c, err := p.constant()
	if err != nil {
		return nil, err
	}
	if problem := n.set(c); problem != "" {
		return nil, p.fail(at, "%s", problem)
	}
	return n, nil
}

// lhs = field | ( "lower" | "any" ) "(" lhs ")"
func (p *parser) lhs(n *Predicate) error {
	opened := 0
	for {
		p.space()
		at := p.pos
		name := p.identifier()
		if name == "" {
			return p.fail(at, "%s is not expected here; a predicate begins with a field, such as http.path", p.found())
		}
		if !p.take("(") {
			return p.field(n, name, at, opened)
		}
		if opened++; opened > maxDepth {
			return p.fail(at, "parentheses nest deeper than %d", maxDepth)
		}
		switch name {
		case "lower":
			n.Lower = true
		case "any":
			n.Any = true
		default:
			return p.fail(at, "unknown function %q; there are lower() and any()", name)
		}
	}
}

// field reads on behind a field's name, inside the parentheses of functions.
func (p *parser) field(n *Predicate, name string, at, opened int) error {
	var problem string
	if n.Field, problem = parseField(name, p.family); problem != "" {
		return p.fail(at, "%s", problem)
	}
	if n.Lower && n.Field.Kind.valueType() != textType {
		return p.fail(n.Offset, "lower() is for text and %s is %s; leave it out", name, n.Field.Kind.valueType())
	}
	for ; opened > 0; opened-- {
		if !p.take(")") {
			return p.fail(p.pos, "%s is not expected here; the function needs a )", p.found())
		}
	}
	return nil
}

func (p *parser) identifier() string {
	start := p.pos
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		other := c >= '0' && c <= '9' || c == '_' || c == '.'
		if !letter && (p.pos == start || !other) {
			break
		}
		p.pos++
	}
	return p.text[start:p.pos]
}

func (p *parser) operator(n *Predicate) error {
	p.space()
	at := p.pos
	for _, op := range opOrder {
		if p.take(op.String()) {
			n.Op = op
			return p.fits(n, at)
		}
	}
	if p.take("not") {
		if !p.take("in") {
			return p.fail(at, "not is no operator; there is \"not in\", and !(…) for what is not true")
		}
		n.Op = NotIn
		return p.fits(n, at)
	}
	hint := ""
	switch rest := p.text[at:]; {
	case strings.HasPrefix(rest, "="):
		hint = "; is == meant?"
	case strings.HasPrefix(rest, "-") && n.Field.Name != "":
		hint = "; names are written with _ in place of -"
	}
	return p.fail(at, "%s is no operator; there are == != ~ ^= =^ contains > >= < <= in and \"not in\"%s", p.found(), hint)
}

// fits checks that the operator is one for the field's type.
func (p *parser) fits(n *Predicate, at int) error {
	t := n.Field.Kind.valueType()
	allowed := map[valueType]string{
		textType: "== != ~ ^= =^ and contains", intType: "== != > >= < and <=", addressType: `== != in and "not in"`,
	}[t]
	ok := n.Op == Equal || n.Op == NotEqual
	switch n.Op {
	case Match, HasPrefix, HasSuffix, Contains:
		ok = t == textType
	case Greater, GreaterOrEqual, Less, LessOrEqual:
		ok = t == intType
	case In, NotIn:
		ok = t == addressType
	}
	if !ok {
		return p.fail(at, "%s is not for this field, which is %s; use one of %s", n.Op, t, allowed)
	}
	return nil
}
