// SPDX-License-Identifier: Apache-2.0

package router

import (
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/entity/expression"
)

// coverKey is a condition on a request that is cheap to look up: its host, and
// what its path begins with. The zero key holds for every request.
type coverKey struct {
	host hostKey
	path string
}

// hostKey is a host, or what follows one of its dots; the zero one is any.
type hostKey struct {
	shape hostShape // hostPlain or hostLeft; hostAny
	text  string
}

const hostAny = hostRight + 1

var everything = coverKey{host: hostKey{shape: hostAny}}

// maxProduct and maxCover bound how many keys one route gets.
const (
	maxProduct = 64
	maxCover   = 4096
)

// cover returns keys of which at least one holds for every request that the
// expression is true for: where to look for it. None means that it is never
// true.
func cover(n expression.Node) []coverKey {
	switch n := n.(type) {
	case expression.And:
		keys := []coverKey{everything}
		for _, term := range n {
			keys = both(keys, cover(term))
		}
		return keys
	case expression.Or:
		var keys []coverKey
		for _, term := range n {
			keys = append(keys, cover(term)...)
		}
		return simplify(keys)
	case *expression.Predicate:
		return []coverKey{predicateKey(n)}
	default:
		return []coverKey{everything}
	}
}

// both covers what two covers do.
func both(a, b []coverKey) []coverKey {
	if len(a)*len(b) > maxProduct {
		if slices.Contains(b, everything) || len(a) < len(b) && !slices.Contains(a, everything) {
			return a
		}
		return b
	}
	var keys []coverKey
	for _, x := range a {
		for _, y := range b {
			if k, ok := x.and(y); ok {
				keys = append(keys, k)
			}
		}
	}
	return simplify(keys)
}

// simplify drops what another key says already.
func simplify(keys []coverKey) []coverKey {
	if slices.Contains(keys, everything) || len(keys) > maxCover {
		return []coverKey{everything}
	}
	seen := make(map[coverKey]bool, len(keys))
	return slices.DeleteFunc(keys, func(k coverKey) bool {
		again := seen[k]
		seen[k] = true
		return again
	})
}

// and is the key that holds when both do; false when they never do.
func (k coverKey) and(o coverKey) (coverKey, bool) {
	host, ok := k.host.and(o.host)
	if !ok {
		return k, false
	}
	long, short := k.path, o.path
	if len(long) < len(short) {
		long, short = short, long
	}
	return coverKey{host, long}, strings.HasPrefix(long, short)
}

func (h hostKey) and(o hostKey) (hostKey, bool) {
	if h.shape > o.shape || h.shape == o.shape && len(h.text) < len(o.text) {
		h, o = o, h // the stricter one first
	}
	switch o.shape {
	case hostAny:
		return h, true
	case hostLeft:
		return h, strings.HasSuffix(h.text, o.text)
	}
	return h, h.text == o.text
}

// predicateKey is the key that holds whenever the predicate is true.
func predicateKey(n *expression.Predicate) coverKey {
	k := everything
	switch n.Field.Kind {
	case expression.HTTPHost:
		p, err := compilePredicate(n)
		if err != nil {
			return k
		}
		switch n.Op {
		case expression.Equal:
			k.host = hostKey{hostPlain, p.text}
		case expression.HasSuffix:
			if i := strings.IndexByte(p.text, '.'); i >= 0 {
				k.host = hostKey{hostLeft, p.text[i:]}
			}
		}
	case expression.HTTPPath:
		k.path = textPrefix(n)
	case expression.HTTPPathSegments:
		if text := textPrefix(n); text != "" && n.Field.First == 0 {
			k.path = "/" + text
		}
	}
	return k
}

// textPrefix is what a field's value begins with when the predicate is true.
func textPrefix(n *expression.Predicate) string {
	switch {
	case n.Lower:
		return ""
	case n.Op == expression.Equal, n.Op == expression.HasPrefix:
		return n.Text
	case n.Op == expression.Match:
		return anchoredLiteral(n.Text)
	}
	return ""
}

// anchoredLiteral is what a text begins with that a pattern matches, if the
// pattern begins with ^.
func anchoredLiteral(pattern string) string {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return ""
	}
	re = re.Simplify()
	if re.Op != syntax.OpConcat || re.Sub[0].Op != syntax.OpBeginText {
		return ""
	}
	rest := *re
	rest.Sub = re.Sub[1:]
	literal, _ := literalPrefix(&rest)
	return literal
}
