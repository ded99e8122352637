// SPDX-License-Identifier: Apache-2.0

package pattern

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// converted is a PCRE pattern in the syntax of the backtracking engine.
type converted struct {
	pattern string
	// names are the names of the groups, by number from 1; unnamed ones are "".
	names []string
}

// convertPCRE rewrites what PCRE has and the backtracking engine has not or
// understands otherwise (pcre2pattern(3)): possessive quantifiers, \h, \H, \R,
// \Q…\E, its ways to name groups and to refer to them. Groups are numbered from
// left to right, named or not, which the engine does not do by itself.
func convertPCRE(pattern string) (converted, error) {
	c := converter{in: pattern, atom: -1}
	for c.at < len(c.in) {
		if err := c.next(); err != nil {
			return converted{}, err
		}
	}
	return converted{c.out.String(), c.names}, nil
}

type converter struct {
	in    string
	at    int
	out   strings.Builder
	names []string
	open  []int // where in out the open groups begin
	atom  int   // where in out the last atom begins, -1 without one
}

func (c *converter) rest() string { return c.in[c.at:] }

// emit writes an atom that takes n bytes of the pattern.
func (c *converter) emit(n int, text string) {
	c.atom = c.out.Len()
	c.out.WriteString(text)
	c.at += n
}

var quantifier = regexp.MustCompile(`^(?:[*+?]|\{\d+(?:,\d*)?\})`)

func (c *converter) next() error {
	switch b := c.in[c.at]; b {
	case '\\':
		return c.escape()
	case '[':
		c.class()
	case '(':
		return c.group()
	case ')':
		c.out.WriteByte(')')
		c.at++
		if len(c.open) > 0 {
			c.atom = c.open[len(c.open)-1]
			c.open = c.open[:len(c.open)-1]
		}
	case '|', '^':
		c.out.WriteByte(b)
		c.at++
		c.atom = -1
	default:
		if q := quantifier.FindString(c.rest()); q != "" && c.atom >= 0 {
			c.quantify(q)
		} else {
			_, n := utf8.DecodeRuneInString(c.rest())
			c.emit(n, c.rest()[:n])
		}
	}
	return nil
}

// quantify writes a quantifier. A possessive one makes an atomic group of what it
// repeats.
func (c *converter) quantify(q string) {
	c.at += len(q)
	switch {
	case strings.HasPrefix(c.rest(), "+"):
		c.at++
		text := c.out.String()
		c.out.Reset()
		c.out.WriteString(text[:c.atom] + "(?>" + text[c.atom:] + q + ")")
	case strings.HasPrefix(c.rest(), "?"):
		c.at++
		c.out.WriteString(q + "?")
	default:
		c.out.WriteString(q)
	}
}

func (c *converter) escape() error {
	if len(c.rest()) < 2 {
		return errors.New(`the pattern ends with a backslash`)
	}
	switch e := c.in[c.at+1]; e {
	case 'h':
		c.emit(2, `[ \t]`)
	case 'H':
		c.emit(2, `[^ \t]`)
	case 'R':
		c.emit(2, `(?>\r\n|[\n\x0b\f\r])`)
	case 'Q':
		quoted, _, _ := strings.Cut(c.in[c.at+2:], `\E`)
		c.at += 2
		for quoted != "" {
			_, n := utf8.DecodeRuneInString(quoted)
			c.emit(n, regexp.QuoteMeta(quoted[:n]))
			quoted = quoted[n:]
		}
		if strings.HasPrefix(c.rest(), `\E`) {
			c.at += 2
		}
	case 'k', 'g':
		return c.reference(e)
	case 'K', 'G', 'C', 'X':
		return fmt.Errorf(`\%c is not supported: write the pattern without it`, e)
	default:
		c.emit(2, c.in[c.at:c.at+2])
	}
	return nil
}

var (
	namedReference  = regexp.MustCompile(`^\\k(?:\{(\w+)\}|<(\w+)>|'(\w+)')`)
	numberReference = regexp.MustCompile(`^\\g(?:\{(-?\d+)\}|(-?\d+)|\{(\w+)\})`)
)

// reference writes \k{name}, \g{number} and the like.
func (c *converter) reference(kind byte) error {
	form := namedReference
	if kind == 'g' {
		form = numberReference
	}
	m := form.FindStringSubmatch(c.rest())
	if m == nil {
		return fmt.Errorf(`\%c refers to no group`, kind)
	}
	return c.refer(len(m[0]), strings.Join(m[1:], ""))
}

// refer writes a reference to a group by its name or number, which may count
// backwards.
func (c *converter) refer(n int, to string) error {
	number := slices.Index(c.names, to) + 1
	if i, err := strconv.Atoi(to); err == nil {
		if number = i; i < 0 {
			number = len(c.names) + 1 + i
		}
	}
	if number < 1 {
		return fmt.Errorf("there is no group %q before the reference to it", to)
	}
	c.emit(n, fmt.Sprintf(`\k<%d>`, number))
	return nil
}

// class copies a bracketed class.
func (c *converter) class() {
	end := c.at + 1
	if strings.HasPrefix(c.in[end:], "^") {
		end++
	}
	if strings.HasPrefix(c.in[end:], "]") {
		end++ // the first one is an ordinary character
	}
	for end < len(c.in) && c.in[end] != ']' {
		switch {
		case c.in[end] == '\\':
			end++
		case strings.HasPrefix(c.in[end:], "[:"):
			if i := strings.Index(c.in[end:], ":]"); i > 0 {
				end += i + 1
			}
		}
		end++
	}
	end = min(end+1, len(c.in))
	text := strings.ReplaceAll(c.in[c.at:end], `\h`, ` \t`)
	c.emit(end-c.at, text)
}

var (
	namedGroup   = regexp.MustCompile(`^\(\?P?(?:<(\w+)>|'(\w+)')`)
	pythonBack   = regexp.MustCompile(`^\(\?P=(\w+)\)`)
	recursion    = regexp.MustCompile(`^\(\?(?:R|[+-]?\d+|&\w+|P>\w+)\)`)
	condition    = regexp.MustCompile(`^\(\?\((?:(\d+)|<(\w+)>|'(\w+)'|(\w+))\)`)
	groupComment = regexp.MustCompile(`^\(\?#[^)]*\)`)
)

// group begins a group, or does what else stands in parentheses with a question
// mark.
func (c *converter) group() error {
	in := c.rest()
	begin := func(n int, text string) {
		c.open = append(c.open, c.out.Len())
		c.out.WriteString(text)
		c.at += n
		c.atom = -1
	}
	capture := func(n int, name string) {
		c.names = append(c.names, name)
		begin(n, fmt.Sprintf("(?<%d>", len(c.names)))
	}
	if m := namedGroup.FindStringSubmatch(in); m != nil {
		capture(len(m[0]), m[1]+m[2])
		return nil
	}
	if m := pythonBack.FindStringSubmatch(in); m != nil {
		return c.refer(len(m[0]), m[1])
	}
	if m := condition.FindStringSubmatch(in); m != nil {
		number := slices.Index(c.names, m[2]+m[3]+m[4]) + 1
		if m[1] != "" {
			number, _ = strconv.Atoi(m[1])
		}
		begin(len(m[0]), fmt.Sprintf("(?(%d)", number))
		return nil
	}
	switch {
	case recursion.MatchString(in):
		return errors.New("recursion is not supported: write the nesting out")
	case strings.HasPrefix(in, "(?|"):
		return errors.New("(?| is not supported: number the groups one after the other")
	case strings.HasPrefix(in, "(*"):
		return errors.New("verbs such as (*SKIP) are not supported: write the pattern without them")
	case strings.HasPrefix(in, "(?#"):
		c.at += len(groupComment.FindString(in))
		if groupComment.FindString(in) == "" {
			return errors.New("a comment does not end")
		}
	case strings.HasPrefix(in, "(?"):
		begin(2, "(?")
		// What follows up to the colon or the like is no pattern.
		n := len(groupOptions.FindString(c.rest()))
		c.out.WriteString(c.rest()[:n])
		c.at += n
	default:
		capture(1, "")
	}
	return nil
}

var groupOptions = regexp.MustCompile(`^(?:<?[=!]|>|[a-zA-Z-]*:|[a-zA-Z-]+)`)
