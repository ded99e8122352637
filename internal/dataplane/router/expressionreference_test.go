// SPDX-License-Identifier: Apache-2.0

package router

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/expression"
)

// naive decides as Kong does: all routes in order, each evaluated on the values
// of its fields as lists of text.
type naive struct {
	sorted []*entity.Route
	trees  map[*entity.Route]expression.Node
}

func newNaive(t *testing.T, routes iter.Seq[*entity.Route]) naive {
	n := naive{trees: map[*entity.Route]expression.Node{}}
	n.sorted = slices.SortedFunc(routes, func(a, b *entity.Route) int {
		return cmp.Or(cmp.Compare(or(b.Priority, 0), or(a.Priority, 0)), strings.Compare(string(b.ID), string(a.ID)))
	})
	for _, r := range n.sorted {
		tree, err := expression.Parse(r.Expression, expression.HTTP)
		if err != nil {
			t.Fatal(err)
		}
		n.trees[r] = tree
	}
	return n
}

func (n naive) match(in *Input) (found *entity.Route, last *expression.Predicate) {
	for _, r := range n.sorted {
		scheme := "http"
		if in.TLS {
			scheme = "https"
		}
		if !slices.Contains(r.Protocols, entity.Protocol(scheme)) && !slices.Equal(r.Protocols, []entity.Protocol{"https"}) {
			continue
		}
		last = nil
		if evalNode(n.trees[r], in, &last) {
			return r, last
		}
	}
	return nil, nil
}

func evalNode(n expression.Node, in *Input, last **expression.Predicate) bool {
	switch n := n.(type) {
	case expression.And:
		for _, t := range n {
			if !evalNode(t, in, last) {
				return false
			}
		}
		return true
	case expression.Or:
		for _, t := range n {
			if evalNode(t, in, last) {
				return true
			}
		}
		return false
	case expression.Not:
		return !evalNode(n.Node, in, last)
	}
	p := n.(*expression.Predicate)
	values := valuesOf(p.Field, in)
	if p.Lower {
		for i, v := range values {
			values[i] = strings.ToLower(v)
		}
	}
	yes := func(v string) bool { return holds(p, v) }
	no := func(v string) bool { return !holds(p, v) }
	ok := len(values) > 0 && !slices.ContainsFunc(values, no)
	if p.Any {
		ok = slices.ContainsFunc(values, yes)
	}
	if ok && p.Field.Kind == expression.HTTPPath && p.Op != expression.NotEqual && p.Op != expression.Contains {
		*last = p
	}
	return ok
}

func valuesOf(f expression.Field, in *Input) []string {
	one := func(s string) []string {
		if s == "" {
			return nil
		}
		return []string{s}
	}
	port := func(a netip.AddrPort) []string {
		if a.Port() == 0 {
			return nil
		}
		return one(fmt.Sprint(a.Port()))
	}
	split := strings.Split(in.Path[1:], "/")
	for len(split) > 0 && split[len(split)-1] == "" {
		split = split[:len(split)-1]
	}
	switch f.Kind {
	case expression.NetProtocol:
		if in.TLS {
			return one("https")
		}
		return one("http")
	case expression.TLSSNI:
		return one(in.SNI)
	case expression.NetSourceIP:
		return one(in.Source.Addr().String())
	case expression.NetDestinationIP:
		return one(in.Destination.Addr().String())
	case expression.NetSourcePort:
		return port(in.Source)
	case expression.NetDestinationPort:
		return port(in.Destination)
	case expression.HTTPMethod:
		return one(in.Method)
	case expression.HTTPHost:
		return one(in.Host)
	case expression.HTTPPath:
		return one(in.Path)
	case expression.HTTPPathSegmentLen:
		return one(strconv.Itoa(len(split)))
	case expression.HTTPPathSegments:
		if f.Last >= len(split) {
			return nil
		}
		return []string{strings.Join(split[f.First:f.Last+1], "/")}
	case expression.HTTPHeader:
		h := in.Headers.(headerMap)
		if v := h[f.Name]; v != nil {
			return slices.Clone(v)
		}
		return slices.Clone(h[strings.ReplaceAll(strings.ToLower(f.Name), "_", "-")])
	}
	q, _ := url.ParseQuery(in.Query)
	return slices.Clone(q[f.Name])
}

func holds(p *expression.Predicate, v string) bool {
	text := p.Text
	if p.Field.Kind == expression.HTTPHost || p.Field.Kind == expression.TLSSNI {
		text = strings.ToLower(text)
	}
	number, _ := strconv.ParseInt(v, 10, 64)
	switch p.Op {
	case expression.Match:
		return p.Regexp.MatchString(v)
	case expression.HasPrefix:
		return strings.HasPrefix(v, text)
	case expression.HasSuffix:
		return strings.HasSuffix(v, text)
	case expression.Contains:
		return strings.Contains(v, text)
	case expression.Greater:
		return number > p.Int
	case expression.GreaterOrEqual:
		return number >= p.Int
	case expression.Less:
		return number < p.Int
	case expression.LessOrEqual:
		return number <= p.Int
	case expression.In:
		return p.Prefix.Contains(netip.MustParseAddr(v))
	case expression.NotIn:
		return !p.Prefix.Contains(netip.MustParseAddr(v))
	}
	var equal bool
	switch {
	case p.Prefix.IsValid():
		equal = p.Prefix.Addr() == netip.MustParseAddr(v)
	case p.Field.Kind == expression.NetSourcePort || p.Field.Kind == expression.NetDestinationPort || p.Field.Kind == expression.HTTPPathSegmentLen:
		equal = number == p.Int
	default:
		equal = v == text
	}
	return equal == (p.Op == expression.Equal)
}

type headerMap map[string][]string

func (h headerMap) HeaderValue(name string, i int) (string, bool) {
	if i < len(h[name]) {
		return h[name][i], true
	}
	return "", false
}

var expressionWords = map[string][]string{
	"path":   {"/", "/a", "/A", "/a/b", "/ab", "/a/b/c", "/b", "/a//b/", "/x/1"},
	"text":   {"/", "/a", "a", "b", "a/b", "/a/b", "A", "/b", "", "1"},
	"regex":  {`^/a`, `^/a/\\w+`, `/b$`, `^/(a|b)`, `^(/a)`, `(?i)^/A`, `^/a|/b`, `\\d`, `^`, `b`},
	"host":   {"a.test", "b.a.test", "B.test", "test", ".test", "a.test.", ".a.test"},
	"number": {"0", "1", "2", "80", "0x1F90"},
}

func word(r *rand.Rand, kind string) string {
	return expressionWords[kind][r.IntN(len(expressionWords[kind]))]
}

func randomExpression(r *rand.Rand, depth int) string {
	if depth == 0 || r.IntN(4) == 0 {
		return randomPredicate(r)
	}
	terms := make([]string, 1+r.IntN(3))
	for i := range terms {
		terms[i] = randomExpression(r, depth-1)
	}
	joined := terms[0]
	for _, t := range terms[1:] {
		joined += []string{" && ", " || "}[r.IntN(2)] + t
	}
	return []string{"", "", "!"}[r.IntN(3)] + "(" + joined + ")"
}

func randomPredicate(r *rand.Rand) string {
	op := []string{"==", "==", "!=", "^=", "=^", "contains"}[r.IntN(6)]
	wrap := func(field string) string {
		return fmt.Sprintf([]string{"%s", "%s", "any(%s)", "lower(%s)", "any(lower(%s))"}[r.IntN(5)], field)
	}
	switch r.IntN(12) {
	case 0, 1, 2:
		return fmt.Sprintf("%s %s %q", wrap("http.path"), op, word(r, "text"))
	case 3, 4:
		return fmt.Sprintf("%s %s %q", wrap("http.host"), op, word(r, "host"))
	case 5:
		return fmt.Sprintf(`%s ~ "%s"`, wrap("http.path"), word(r, "regex"))
	case 6:
		return fmt.Sprintf("%s %s %q", wrap([]string{"http.headers.x_a", "http.headers.X_A", "http.headers.b"}[r.IntN(3)]), op, word(r, "text"))
	case 7:
		return fmt.Sprintf("%s %s %q", wrap("http.queries.q"), op, word(r, "text"))
	case 8:
		return fmt.Sprintf("%s %s %q", wrap([]string{"http.path.segments.0", "http.path.segments.1", "http.path.segments.0_1", "http.path.segments.1_2"}[r.IntN(4)]), op, word(r, "text"))
	case 9:
		return fmt.Sprintf("%s %s %s", []string{"http.path.segments.len", "net.src.port", "net.dst.port"}[r.IntN(3)],
			[]string{"==", "!=", ">", ">=", "<", "<="}[r.IntN(6)], word(r, "number"))
	case 10:
		return fmt.Sprintf("net.src.ip %s", []string{"in 10.0.0.0/8", "not in 10.0.0.0/8", "== 10.0.0.1", "!= 10.0.0.1", "in fd00::/8", "== ::1"}[r.IntN(6)])
	}
	return []string{`http.method == "GET"`, `net.protocol == "https"`, `tls.sni == "S.test"`, `lower(tls.sni) =^ ".test"`}[r.IntN(4)]
}

func expressionInput(r *rand.Rand) *Input {
	values := func() []string {
		return [][]string{nil, {"a"}, {"A", "a"}, {"b", "a/b"}, {""}, {"1", "A"}}[r.IntN(6)]
	}
	in := &Input{
		Host: lowerASCII(word(r, "host")), Method: []string{"GET", "POST"}[r.IntN(2)], Path: word(r, "path"), TLS: r.IntN(2) == 0,
		Headers: headerMap{"x-a": values(), "x_a": values(), "b": values()},
		Query:   []string{"", "q", "q=a&q=%61/b", "p=1&&q=A+", "q=1&%71=2"}[r.IntN(5)],
		Source:  netip.AddrPortFrom([]netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("11.0.0.1"), netip.MustParseAddr("fd00::1")}[r.IntN(3)], []uint16{0, 80}[r.IntN(2)]),
	}
	in.Destination = netip.MustParseAddrPort("127.0.0.1:8080")
	if in.TLS {
		in.SNI = []string{"", "s.test"}[r.IntN(2)]
	}
	return in
}

// TestExpressionsAgainstTheReference changes a router again and again, and asks
// it and a plain walk over its routes the same questions.
func TestExpressionsAgainstTheReference(t *testing.T) {
	for seed := range uint64(20) {
		againstReference(t, seed, 20)
	}
}

// FuzzExpressions does so for more seeds.
func FuzzExpressions(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { againstReference(t, seed, 5) })
}

func againstReference(t *testing.T, seed uint64, rounds int) {
	r := rand.New(rand.NewPCG(seed, 7))
	router := Empty(Expressions)
	routes := map[entity.ID]*entity.Route{}
	for range rounds {
		var items []Item
		var remove []entity.ID
		for range 1 + r.IntN(8) {
			id := entity.ID(fmt.Sprintf("%02d", r.IntN(30)))
			if r.IntN(4) == 0 {
				remove = append(remove, id)
				continue
			}
			priority := int64(r.IntN(3))
			e := &entity.Route{ID: id, Expression: randomExpression(r, 3), Priority: &priority, Protocols: [][]entity.Protocol{{"http", "https"}, {"http", "https"}, {"http"}, {"https"}}[r.IntN(4)]}
			if !slices.ContainsFunc(items, func(i Item) bool { return i.Route.ID == id }) {
				items = append(items, Item{Route: e})
			}
		}
		for _, id := range remove {
			delete(routes, id)
		}
		for _, i := range items {
			routes[i.Route.ID] = i.Route
		}
		var problems []Problem
		if router, problems = router.With(items, remove); problems != nil {
			t.Fatal(problems)
		}
		ref := newNaive(t, maps.Values(routes))
		for range 40 {
			compareWithReference(t, seed, router, ref, expressionInput(r))
		}
	}
}

func compareWithReference(t *testing.T, seed uint64, router *Router, ref naive, in *Input) {
	t.Helper()
	want, last := ref.match(in)
	got, ok := router.Match(in)
	switch {
	case ok != (want != nil):
		t.Fatalf("seed %d: %+v: matched %v, want %+v", seed, in, ok, want)
	case !ok:
	case got.Route.Entity != want:
		t.Fatalf("seed %d: %+v:\n got %s %s\nwant %s %s", seed, in, got.Route.Entity.ID, got.Route.Entity.Expression, want.ID, want.Expression)
	case got.Prefix() != naivePrefix(last, in.Path):
		t.Fatalf("seed %d: %+v: %s: prefix %q, want %q", seed, in, want.Expression, got.Prefix(), naivePrefix(last, in.Path))
	}
}

// naivePrefix is what strip_path removes.
func naivePrefix(p *expression.Predicate, path string) string {
	if p == nil {
		return ""
	}
	subject, matched := path, p.Text
	if p.Lower {
		subject = strings.ToLower(path)
	}
	if p.Op == expression.Match {
		matched = regexp.MustCompile(p.Text).FindString(subject)
	}
	if !strings.HasPrefix(subject, matched) || p.Op == expression.Match && p.Regexp.FindStringIndex(subject)[0] != 0 ||
		p.Op == expression.HasSuffix && matched != subject {
		return "" // it was not the beginning that matched
	}
	return path[:len(matched)]
}
