// SPDX-License-Identifier: Apache-2.0

package router

import (
	"net/netip"
	"regexp"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/entity/expression"
)

// program is a compiled expression. It is immutable.
type program struct {
	kind      programKind
	terms     []program // of and, or, not
	predicate *predicate
}

type programKind uint8

const (
	programPredicate programKind = iota
	programAnd
	programOr
	programNot
)

// predicate is a compiled predicate.
type predicate struct {
	field      expression.Field
	lower, any bool
	op         expression.Op
	text       string
	number     int64
	prefix     netip.Prefix
	re         *regexp.Regexp
	dashed     string // the other spelling of a header's name
}

// facts are what an expression looks at. Of a connection, http is nil.
type facts struct {
	http                *Input
	protocol            string
	sni                 string
	source, destination netip.AddrPort
}

func factsOf(in *Input) facts {
	f := facts{http: in, protocol: "http", sni: in.SNI, source: in.Source, destination: in.Destination}
	if in.TLS {
		f.protocol = "https"
	}
	return f
}

// pathHit is what an evaluation found out about the path. As in Kong, the last
// predicate of http.path that was true counts, even when the term it stands in
// was not.
type pathHit struct {
	last   *predicate
	groups *predicate // the last one with a regex
}

// compileProgram compiles what was parsed.
func compileProgram(n expression.Node) (program, error) {
	switch n := n.(type) {
	case expression.And:
		return compileTerms(programAnd, n)
	case expression.Or:
		return compileTerms(programOr, n)
	case expression.Not:
		return compileTerms(programNot, []expression.Node{n.Node})
	default:
		p, err := compilePredicate(n.(*expression.Predicate))
		return program{predicate: p}, err
	}
}

func compileTerms(kind programKind, nodes []expression.Node) (program, error) {
	p := program{kind: kind, terms: make([]program, len(nodes))}
	for i, n := range nodes {
		var err error
		if p.terms[i], err = compileProgram(n); err != nil {
			return p, err
		}
	}
	return p, nil
}

// compilePredicate compiles a predicate. Hosts and server names are in lower
// case when they get here, so their constants are compared without case.
func compilePredicate(n *expression.Predicate) (*predicate, error) {
	p := &predicate{
		field: n.Field, lower: n.Lower, any: n.Any, op: n.Op, text: n.Text, number: n.Int, prefix: n.Prefix, re: n.Regexp,
	}
	switch n.Field.Kind {
	case expression.HTTPHost, expression.TLSSNI:
		p.lower = false
		p.text = lowerASCII(p.text)
		if len(p.text) > 2 && p.text[0] == '[' {
			p.text = strings.TrimSuffix(p.text[1:], "]") // an address is looked at without its brackets
		}
		if p.re != nil {
			re, err := regexp.Compile("(?i)" + n.Text)
			if err != nil {
				return nil, err
			}
			p.re = re
		}
	case expression.HTTPHeader:
		p.dashed = strings.ReplaceAll(strings.ToLower(n.Field.Name), "_", "-")
	}
	return p, nil
}

// eval reports whether the expression is true.
func (p *program) eval(f *facts, hit *pathHit) bool {
	switch p.kind {
	case programPredicate:
		return p.predicate.eval(f, hit)
	case programAnd:
		for i := range p.terms {
			if !p.terms[i].eval(f, hit) {
				return false
			}
		}
		return true
	case programOr:
		for i := range p.terms {
			if p.terms[i].eval(f, hit) {
				return true
			}
		}
		return false
	default:
		return !p.terms[0].eval(f, hit)
	}
}

// eval reports whether the predicate is true; it is not without a value.
func (p *predicate) eval(f *facts, hit *pathHit) bool {
	switch p.field.Kind {
	case expression.HTTPHeader:
		return p.evalHeader(f.http.Headers)
	case expression.HTTPQuery:
		return p.evalQuery(f.http.Query)
	case expression.NetSourcePort:
		return f.source.Port() != 0 && p.compareNumber(int64(f.source.Port()))
	case expression.NetDestinationPort:
		return f.destination.Port() != 0 && p.compareNumber(int64(f.destination.Port()))
	case expression.HTTPPathSegmentLen:
		return p.compareNumber(int64(countSegments(f.http.Path)))
	case expression.NetSourceIP:
		return p.compareAddress(f.source.Addr())
	case expression.NetDestinationIP:
		return p.compareAddress(f.destination.Addr())
	}
	v, ok := p.textOf(f)
	if !ok || !p.compareText(v) {
		return false
	}
	if p.field.Kind == expression.HTTPPath {
		switch p.op {
		case expression.Match:
			hit.last, hit.groups = p, p
		case expression.Equal, expression.HasPrefix, expression.HasSuffix:
			hit.last = p
		}
	}
	return true
}

// textOf returns the value of a field that has at most one.
func (p *predicate) textOf(f *facts) (v string, ok bool) {
	switch p.field.Kind {
	case expression.NetProtocol:
		return f.protocol, true
	case expression.TLSSNI:
		return f.sni, f.sni != ""
	case expression.HTTPMethod:
		return f.http.Method, true
	case expression.HTTPHost:
		return f.http.Host, f.http.Host != ""
	case expression.HTTPPath:
		return f.http.Path, true
	default:
		return segmentsOf(f.http.Path, p.field.First, p.field.Last)
	}
}

// evalHeader compares the lines of a header. A name with underscores is that of
// the header as it is written or, without such a header, of the one with dashes,
// as in Kong.
func (p *predicate) evalHeader(h Headers) bool {
	if h == nil {
		return false
	}
	name := p.dashed
	if p.field.Name != name {
		if _, ok := h.HeaderValue(p.field.Name, 0); ok {
			name = p.field.Name
		}
	}
	for i := 0; ; i++ {
		v, ok := h.HeaderValue(name, i)
		if !ok {
			return !p.any && i > 0
		}
		if done, result := p.next(v); done {
			return result
		}
	}
}

// next compares one of several values, and reports whether that settles it.
func (p *predicate) next(v string) (done, result bool) {
	if p.compareText(v) == p.any {
		return true, p.any
	}
	return false, false
}

func (p *predicate) compareText(v string) bool {
	if p.lower {
		if p.op == expression.Equal && isASCII(v) {
			return equalFoldASCII(v, p.text)
		}
		v = lowered(v)
	}
	switch p.op {
	case expression.Equal:
		return v == p.text
	case expression.NotEqual:
		return v != p.text
	case expression.HasPrefix:
		return strings.HasPrefix(v, p.text)
	case expression.HasSuffix:
		return strings.HasSuffix(v, p.text)
	case expression.Contains:
		return strings.Contains(v, p.text)
	default:
		return p.re.MatchString(v)
	}
}

func (p *predicate) compareNumber(v int64) bool {
	switch p.op {
	case expression.Equal:
		return v == p.number
	case expression.NotEqual:
		return v != p.number
	case expression.Greater:
		return v > p.number
	case expression.GreaterOrEqual:
		return v >= p.number
	case expression.Less:
		return v < p.number
	default:
		return v <= p.number
	}
}

func (p *predicate) compareAddress(v netip.Addr) bool {
	if !v.IsValid() {
		return false
	}
	in := p.prefix.Contains(v.Unmap().WithZone(""))
	if p.op == expression.NotEqual || p.op == expression.NotIn {
		return !in
	}
	return in
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// lowered lowers what Kong's lower() does, all of Unicode. It allocates only
// when something changes.
func lowered(s string) string {
	if isASCII(s) {
		return lowerASCII(s)
	}
	return strings.ToLower(s)
}
