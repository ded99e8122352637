// SPDX-License-Identifier: Apache-2.0

// Package pattern knows which regular expressions the paths and headers of routes
// may be: those of RE2, and what more PCRE has for a backtracking engine
// (docs/adr/0005-route-patterns.md). The schema checks with it what the router
// runs, so that neither takes a pattern that the other refuses. All functions may
// be called at once by many.
package pattern

import (
	"fmt"
	"regexp/syntax"
	"strings"

	"github.com/dlclark/regexp2"
)

// Place says where in the text a pattern has to match.
type Place bool

// Patterns of headers match anywhere, those of paths at the start.
const (
	Anywhere Place = false
	AtStart  Place = true
)

// Check reports what is wrong with a pattern, in words for who wrote it.
func Check(pattern string, place Place) error {
	_, err := syntax.Parse(pattern, syntax.Perl) // what can fail of regexp.Compile
	if err == nil {
		return nil
	}
	_, _, err = Backtracking(pattern, place, err)
	if err == nil {
		return nil
	}
	return fmt.Errorf("invalid regex: '%s' (%s)", pattern, strings.TrimPrefix(err.Error(), "error parsing regexp: "))
}

// Backtracking compiles a pattern of PCRE that RE2 does not take. names are the
// names of its groups, by number from 1; unnamed ones are "". The engine has no
// limit of its own. The error is linear, the message that users know from RE2,
// when the pattern is valid for neither engine, with what is not supported of
// PCRE.
func Backtracking(pattern string, place Place, linear error) (re *regexp2.Regexp, names []string, err error) {
	c, err := convertPCRE(pattern)
	if err != nil {
		return nil, nil, fmt.Errorf("%w; as a pattern of PCRE: %w", linear, err)
	}
	re, err = regexp2.Compile(c.pattern, regexp2.RE2)
	if err == nil && place == AtStart { // "a)(b" is valid in a group only
		re, err = regexp2.Compile(`^(?:`+c.pattern+`)`, regexp2.RE2)
	}
	if err != nil {
		return nil, nil, linear
	}
	return re, c.names, nil
}
