// SPDX-License-Identifier: Apache-2.0

package template

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxDepth bounds how deep expressions nest.
const maxDepth = 50

// parser reads an expression by recursive descent, in Lua's precedence: or,
// and, comparison, concatenation, not, suffixes.
type parser struct {
	tokens []lexeme
	at     int
	depth  int
}

type lexeme struct {
	kind byte // 'n' name, 's' string, '0' number, 'o' operator
	text string
}

func parse(s string) (expression, error) {
	tokens, err := lex(s)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens}
	e, err := p.level(0)
	if err != nil {
		return nil, err
	}
	if p.at < len(p.tokens) {
		return nil, fmt.Errorf("unexpected %q", p.tokens[p.at].text)
	}
	return e, nil
}

var operators = []string{"..", "==", "~=", ".", "[", "]", "(", ")"}

func lex(s string) ([]lexeme, error) {
	var out []lexeme
	for s = strings.TrimLeft(s, " \t\r\n"); s != ""; s = strings.TrimLeft(s, " \t\r\n") {
		var t lexeme
		var size int
		switch c := s[0]; {
		case isLetter(c):
			size = span(s, func(c byte) bool { return isLetter(c) || isDigit(c) })
			t = lexeme{'n', s[:size]}
		case isDigit(c):
			size = span(s, func(c byte) bool { return isDigit(c) })
			if fraction := s[size:]; len(fraction) > 1 && fraction[0] == '.' && isDigit(fraction[1]) {
				size += 1 + span(fraction[1:], isDigit)
			}
			t = lexeme{'0', s[:size]}
		case c == '"' || c == '\'':
			text, n, err := quoted(s)
			if err != nil {
				return nil, err
			}
			size, t = n, lexeme{'s', text}
		default:
			i := slices.IndexFunc(operators, func(o string) bool { return strings.HasPrefix(s, o) })
			if i < 0 {
				return nil, fmt.Errorf("%q is not supported in a template", s[:1])
			}
			size, t = len(operators[i]), lexeme{'o', operators[i]}
		}
		out = append(out, t)
		s = s[size:]
	}
	return out, nil
}

func isLetter(c byte) bool { return c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }

func span(s string, in func(byte) bool) int {
	n := 0
	for n < len(s) && in(s[n]) {
		n++
	}
	return n
}

func quoted(s string) (text string, size int, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case s[0]:
			return b.String(), i + 1, nil
		case '\\':
			i++
			if i == len(s) {
				return "", 0, errors.New("unfinished string")
			}
			switch s[i] {
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			case 'r':
				b.WriteByte('\r')
			default:
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return "", 0, errors.New("unfinished string")
}

// levels are the binary operators from the weakest to the strongest.
var levels = [][]string{{"or"}, {"and"}, {"==", "~="}, {".."}}

func (p *parser) level(n int) (expression, error) {
	if n == len(levels) {
		return p.unary()
	}
	left, err := p.level(n + 1)
	if err != nil {
		return nil, err
	}
	for p.at < len(p.tokens) && p.tokens[p.at].kind != 's' && slices.Contains(levels[n], p.tokens[p.at].text) {
		op := p.tokens[p.at].text
		p.at++
		right, err := p.level(n + 1)
		if err != nil {
			return nil, err
		}
		left = binary{op, left, right}
	}
	return left, nil
}

func (p *parser) take(kind byte, text string) bool {
	if p.at < len(p.tokens) && p.tokens[p.at].kind == kind && (text == "" || p.tokens[p.at].text == text) {
		p.at++
		return true
	}
	return false
}

func (p *parser) unary() (expression, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, errors.New("nested too deep")
	}
	defer func() { p.depth-- }()
	if p.take('n', "not") {
		e, err := p.unary()
		return not{e}, err
	}
	return p.primary()
}

var keywords = []string{"and", "or", "not", "function", "if", "then", "else", "end", "return", "local", "for", "while", "do", "repeat", "until", "break", "in", "elseif"}

func (p *parser) primary() (expression, error) {
	if p.at == len(p.tokens) {
		return nil, errors.New("unfinished expression")
	}
	t := p.tokens[p.at]
	p.at++
	switch {
	case t.kind == 's':
		return constant{t.text}, nil
	case t.kind == '0':
		n, err := strconv.ParseFloat(t.text, 64)
		return constant{n}, err
	case t.kind == 'o' && t.text == "(":
		e, err := p.level(0)
		if err == nil && !p.take('o', ")") {
			err = errors.New("( without )")
		}
		if err != nil {
			return nil, err
		}
		return p.suffixes(e)
	case t.kind == 'n':
		switch t.text {
		case "nil":
			return constant{nil}, nil
		case "true", "false":
			return constant{t.text == "true"}, nil
		}
		if !slices.Contains(keywords, t.text) {
			return p.suffixes(global{t.text})
		}
	}
	return nil, fmt.Errorf("unexpected %q", t.text)
}

func (p *parser) suffixes(e expression) (expression, error) {
	for {
		switch {
		case p.take('o', "."):
			if !p.take('n', "") {
				return nil, errors.New("a name must follow the dot")
			}
			e = index{e, constant{p.tokens[p.at-1].text}}
		case p.take('o', "["):
			key, err := p.level(0)
			if err != nil {
				return nil, err
			}
			if !p.take('o', "]") {
				return nil, errors.New("[ without ]")
			}
			e = index{e, key}
		case p.at < len(p.tokens) && p.tokens[p.at].kind == 'o' && p.tokens[p.at].text == "(":
			return nil, errors.New("functions are not supported in a template")
		default:
			return e, nil
		}
	}
}
