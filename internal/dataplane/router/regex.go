// SPDX-License-Identifier: Apache-2.0

package router

import (
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"
	"time"

	"github.com/dlclark/regexp2"

	"github.com/kong/kong-istio-gateway/internal/entity/pattern"
)

// backtrackingLimit bounds one match of a pattern that needs a backtracking
// engine. The engine counts time, not steps: the limit is well above what a
// match takes that was held up by other work (docs/adr/0005).
const backtrackingLimit = 25 * time.Millisecond

// regex is a compiled pattern. Most patterns run on Go's linear-time engine;
// those with look-around, back-references or the like on a backtracking one.
// An exact one needs no engine, and match and the like are not called on it.
type regex struct {
	linear *regexp.Regexp
	back   *regexp2.Regexp

	groups []string // names of the groups of back, by number from 1

	// limited is called when a match took too long; nil for nobody.
	limited func()

	literal string // every match begins with it
	exact   bool   // the pattern is the literal and the end of the text
}

var backtrackingClock sync.Once

// compilePath compiles a regex path: it is anchored at the start only.
func compilePath(expr string) (*regex, error) {
	re := &regex{}
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		re.literal = backtrackingLiteral(expr)
		return re, re.compileBacktracking(expr, pattern.AtStart, err)
	}
	tree = tree.Simplify()
	if re.literal, re.exact = literalAndEnd(tree); re.exact {
		return re, nil // the index compares the text
	}
	re.linear, err = regexp.Compile(`^(?:` + expr + `)`)
	return re, err
}

// compileSearch compiles a header pattern: it may match anywhere.
func compileSearch(expr string) (*regex, error) {
	re := &regex{}
	var err error
	if re.linear, err = regexp.Compile(expr); err != nil {
		re.linear = nil
		return re, re.compileBacktracking(expr, pattern.Anywhere, err)
	}
	return re, nil
}

// compileBacktracking compiles a pattern of PCRE that RE2 does not take, with a
// limit. Of linearErr see pattern.Backtracking.
func (re *regex) compileBacktracking(expr string, place pattern.Place, linearErr error) error {
	backtrackingClock.Do(func() { regexp2.SetTimeoutCheckPeriod(time.Millisecond) })
	back, names, err := pattern.Backtracking(expr, place, linearErr)
	if err != nil {
		return err
	}
	back.MatchTimeout = backtrackingLimit
	re.back, re.groups = back, names
	return nil
}

// find runs the backtracking engine. A match that takes too long is none.
func (re *regex) find(s string) *regexp2.Match {
	m, err := re.back.FindStringMatch(s)
	if err != nil {
		if re.limited != nil {
			re.limited()
		}
		return nil
	}
	return m
}

// match reports whether s matches. A match that takes too long is none.
func (re *regex) match(s string) bool {
	if re.linear != nil {
		return re.linear.MatchString(s)
	}
	return re.find(s) != nil
}

// matchLen returns the length of the match at the start of s, -1 without one.
func (re *regex) matchLen(s string) int {
	if re.linear != nil {
		loc := re.linear.FindStringIndex(s)
		if loc == nil {
			return -1
		}
		return loc[1]
	}
	m := re.find(s)
	if m == nil {
		return -1
	}
	return len(m.String())
}

// captures returns the groups of the match at the start of s and their names,
// both without the match as a whole.
func (re *regex) captures(s string) (groups, names []string) {
	if re.linear != nil {
		m := re.linear.FindStringSubmatch(s)
		if len(m) < 2 {
			return nil, nil
		}
		return m[1:], re.linear.SubexpNames()[1:]
	}
	m := re.find(s)
	if m == nil || len(re.groups) == 0 {
		return nil, nil
	}
	for i := range re.groups {
		text := ""
		if g := m.GroupByNumber(i + 1); g != nil {
			text = g.String()
		}
		groups = append(groups, text)
	}
	return groups, re.groups
}

// literalAndEnd returns the text that every match of re begins with, and
// whether re is nothing but that text up to the end of the subject.
func literalAndEnd(re *syntax.Regexp) (literal string, exact bool) {
	if re.Op == syntax.OpConcat && re.Sub[len(re.Sub)-1].Op == syntax.OpEndText {
		head := *re
		head.Sub = re.Sub[:len(re.Sub)-1]
		literal, exact = literalPrefix(&head)
		// A group must still be captured, so it keeps the pattern.
		return literal, exact && re.MaxCap() == 0
	}
	literal, _ = literalPrefix(re)
	return literal, false
}

// literalPrefix returns the text that every match of re begins with, and
// whether that is all re can match.
func literalPrefix(re *syntax.Regexp) (string, bool) {
	switch re.Op {
	case syntax.OpEmptyMatch:
		return "", true
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase != 0 {
			return "", false
		}
		return string(re.Rune), true
	case syntax.OpCapture:
		return literalPrefix(re.Sub[0])
	case syntax.OpPlus:
		s, _ := literalPrefix(re.Sub[0])
		return s, false
	case syntax.OpConcat:
		var b strings.Builder
		for _, sub := range re.Sub {
			s, whole := literalPrefix(sub)
			b.WriteString(s)
			if !whole {
				return b.String(), false
			}
		}
		return b.String(), true
	default:
		return "", false
	}
}

// backtrackingLiteral is a cautious literalPrefix for patterns that only the
// backtracking engine understands.
func backtrackingLiteral(pattern string) string {
	if strings.ContainsAny(pattern, "|") || strings.Contains(pattern, "(?i") {
		return ""
	}
	i := strings.IndexAny(pattern, `\.+*?()[]{}^$`)
	if i < 0 {
		return pattern
	}
	if i > 0 && strings.IndexByte("+*?{", pattern[i]) >= 0 {
		i--
		for i > 0 && pattern[i]&0xC0 == 0x80 { // step back over a whole rune
			i--
		}
	}
	return pattern[:i]
}
