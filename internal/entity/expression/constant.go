// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// constant is the right side of a predicate.
type constant struct {
	kind   valueType
	text   string
	number int64
	prefix netip.Prefix
	cidr   bool
}

// constant reads a string, a raw string, an address, a range or a number.
func (p *parser) constant() (constant, error) {
	rest := p.text[p.pos:]
	switch {
	case strings.HasPrefix(rest, `"`):
		return p.quoted()
	case strings.HasPrefix(rest, `r#"`):
		return p.raw()
	}
	at := p.pos
	word := p.word()
	switch {
	case word == "":
		return constant{}, p.fail(at, `%s is not expected here; a constant is a string in double quotes, a number, an address or a range`, p.found())
	case strings.ContainsAny(word, ".:/"):
		return p.network(word, at)
	}
	n, err := parseInt(word)
	if err != nil {
		return constant{}, p.fail(at, "%q is no number: %v", word, err)
	}
	return constant{kind: intType, number: n}, nil
}

// quoted reads "…" with the escapes \" \\ \n \r \t.
func (p *parser) quoted() (constant, error) {
	at := p.pos
	var b strings.Builder
	for p.pos++; p.pos < len(p.text); p.pos++ {
		c := p.text[p.pos]
		switch c {
		case '"':
			p.pos++
			return constant{kind: textType, text: b.String()}, nil
		case '\\':
			p.pos++
			i := -1
			if p.pos < len(p.text) {
				i = strings.IndexByte(`"\nrt`, p.text[p.pos])
			}
			if i < 0 {
				return constant{}, p.fail(p.pos-1, `unknown escape; there are \" \\ \n \r and \t: write \\ for a backslash, or a raw string r#"…"#`)
			}
			b.WriteByte("\"\\\n\r\t"[i])
		default:
			b.WriteByte(c)
		}
	}
	return constant{}, p.fail(at, `the string does not end; it needs a "`)
}

// raw reads r#"…"#.
func (p *parser) raw() (constant, error) {
	at := p.pos
	text, _, closed := strings.Cut(p.text[p.pos+3:], `"#`)
	if !closed {
		return constant{}, p.fail(at, `the raw string does not end; it needs a "#`)
	}
	p.pos += 3 + len(text) + 2
	return constant{kind: textType, text: text}, nil
}

// word reads what numbers, addresses and ranges are made of.
func (p *parser) word() string {
	start := p.pos
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		digit := c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f' || c|0x20 == 'x'
		if !digit && c != '.' && c != ':' && c != '/' && (c != '-' || p.pos > start) {
			break
		}
		p.pos++
	}
	return p.text[start:p.pos]
}

func (p *parser) network(word string, at int) (constant, error) {
	c := constant{kind: addressType, cidr: strings.Contains(word, "/")}
	var err error
	if !c.cidr {
		var a netip.Addr
		if a, err = netip.ParseAddr(word); err == nil {
			c.prefix = netip.PrefixFrom(a, a.BitLen())
		}
	} else if c.prefix, err = netip.ParsePrefix(word); err == nil && c.prefix != c.prefix.Masked() {
		return c, p.fail(at, "%s has bits behind its prefix length; write %s", word, c.prefix.Masked())
	}
	if err != nil {
		return c, p.fail(at, "%q is neither an address nor a range such as 10.0.0.0/8", word)
	}
	return c, nil
}

// parseInt reads a decimal, hexadecimal (0x1f) or octal (017) number. As in
// Kong, 08 and 09 are decimal.
func parseInt(word string) (int64, error) {
	digits, negative := strings.CutPrefix(word, "-")
	base := 10
	if hex, ok := strings.CutPrefix(digits, "0x"); ok {
		digits, base = hex, 16
	} else if len(digits) > 1 && digits[0] == '0' && digits[1] < '8' {
		base = 8
	}
	if digits == "" || strings.Contains(digits, "-") {
		return 0, strconv.ErrSyntax
	}
	if negative {
		digits = "-" + digits
	}
	n, err := strconv.ParseInt(digits, base, 64)
	return n, errors.Unwrap(err) // without the digits, which the caller tells
}

// set gives the predicate its constant, or says why it does not fit.
func (n *Predicate) set(c constant) (problem string) {
	want := n.Field.Kind.valueType()
	if c.kind != want {
		return fmt.Sprintf("the field is %s and cannot be compared with %s; %s", want, c.kind, [...]string{
			textType: "write the constant in double quotes", intType: "write a number without quotes", addressType: "write an address without quotes",
		}[want])
	}
	switch {
	case want != addressType:
	case c.cidr != (n.Op == In || n.Op == NotIn):
		if c.cidr {
			return "a range is compared with in or \"not in\""
		}
		return fmt.Sprintf("%s needs a range; write %s, or == for one address", n.Op, c.prefix)
	}
	n.Text, n.Int, n.Prefix = c.text, c.number, c.prefix
	if n.Op != Match {
		return ""
	}
	if problem := foreignClass(c.text); problem != "" {
		return problem
	}
	re, err := regexp.Compile(c.text)
	if err != nil {
		return fmt.Sprintf("the regex cannot be used: %v", err)
	}
	n.Regexp = re
	return ""
}

// foreignClass finds what Kong's regex engine reads in brackets and Go's takes
// for plain characters: classes within classes and their operators. It returns
// what to do about it.
func foreignClass(pattern string) (problem string) {
	inClass := false
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '\\':
			i++
		case !inClass && c == '[':
			inClass = true
			if rest := pattern[i+1:]; strings.HasPrefix(rest, "]") || strings.HasPrefix(rest, "^]") {
				i += 1 + strings.IndexByte(rest, ']') // a bracket that begins a class is a character of it
			}
		case !inClass:
		case c == ']':
			inClass = false
		case c == '[':
			if !strings.HasPrefix(pattern[i:], "[:") {
				return `the regex has a class within a class, which is not supported; write \[ for a bracket`
			}
			end := strings.Index(pattern[i:], ":]")
			if end < 0 {
				return ""
			}
			i += end + 1
		default:
			for _, op := range []string{"&&", "--", "~~"} {
				if strings.HasPrefix(pattern[i:], op) {
					return "the regex has " + op + " within a class, which is not supported; write the class without it"
				}
			}
		}
	}
	return ""
}
