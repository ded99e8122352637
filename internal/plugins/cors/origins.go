// SPDX-License-Identifier: Apache-2.0

package cors

import (
	"fmt"
	"regexp"
	"strings"
)

// origins decides which origins are allowed, as config.origins says.
type origins struct {
	all bool
	// fixed is the single literal origin: it is sent whatever the request says.
	fixed string
	// any says that "*" is one of several entries.
	any     bool
	entries []entry
}

// entry is one of several origins, or a single regular expression.
type entry struct {
	literal string
	regex   *regexp.Regexp
	// whole says that the expression is tested against scheme, host and port
	// rather than the host alone.
	whole bool
}

var plain = regexp.MustCompile(`^[A-Za-z0-9.:/-]+$`)

func parseOrigins(list []string) (origins, error) {
	if len(list) == 0 || len(list) == 1 && list[0] == "*" {
		return origins{all: true}, nil
	}
	if len(list) == 1 && plain.MatchString(list[0]) {
		return origins{fixed: list[0]}, nil
	}
	var o origins
	for _, s := range list {
		switch {
		case s == "*":
			o.any = true
		case plain.MatchString(s):
			whole, _ := normalize(s)
			o.entries = append(o.entries, entry{literal: whole})
		default:
			regex, err := regexp.Compile("^(?:" + s + ")$")
			if err != nil {
				return o, fmt.Errorf("%q is neither an origin nor a regular expression (RE2): %w", s, err)
			}
			o.entries = append(o.entries, entry{regex: regex, whole: strings.Contains(s, ":")})
		}
	}
	return o, nil
}

// match returns what the answer says for a request's Origin, "" for none.
func (o *origins) match(origin string) verdict {
	switch {
	case o.all:
		return verdict{allow: "*"}
	case o.fixed != "":
		return verdict{allow: o.fixed, vary: true}
	case origin == "":
		return verdict{vary: true}
	case o.any:
		return verdict{allow: "*", vary: true}
	}
	whole, host := normalize(origin)
	for i := range o.entries {
		e := &o.entries[i]
		switch {
		case e.regex == nil && e.literal == whole,
			e.regex != nil && e.whole && e.regex.MatchString(whole),
			e.regex != nil && !e.whole && e.regex.MatchString(host):
			return verdict{allow: whole, vary: true}
		}
	}
	return verdict{vary: true}
}

// normalize returns scheme, host and port of an origin, without a port that is
// the scheme's own, and the host alone. What is no URL stays as it is.
func normalize(origin string) (whole, host string) {
	scheme, rest, ok := strings.Cut(origin, "://")
	if !ok {
		return origin, ""
	}
	authority := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority = rest[:i]
	}
	host = authority
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		port := authority[i+1:]
		host = authority[:i]
		if scheme == "http" && port == "80" || scheme == "https" && port == "443" {
			authority = host
		}
	}
	if len(scheme)+len("://")+len(authority) == len(origin) {
		return origin, host
	}
	return scheme + "://" + authority, host
}
