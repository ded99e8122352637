// SPDX-License-Identifier: Apache-2.0

package router

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// reference decides as Kong's router does, step by step and without any index:
// lists are filtered from the sorted candidates at every request.
type reference struct {
	sorted []*candidate
}

func newReference(items []Item) *reference {
	ref := &reference{}
	for _, item := range items {
		c, err := compile(item, Traditional)
		if err == nil {
			ref.sorted = append(ref.sorted, c.candidates...)
		}
	}
	slices.SortFunc(ref.sorted, compare)
	return ref
}

var regexps sync.Map

func cachedRegexp(pattern string) *regexp.Regexp {
	if re, ok := regexps.Load(pattern); ok {
		return re.(*regexp.Regexp)
	}
	re := regexp.MustCompile(pattern)
	regexps.Store(pattern, re)
	return re
}

func refPathFits(c *candidate, path string) bool {
	if c.re == nil {
		return strings.HasPrefix(path, c.path)
	}
	return cachedRegexp("^(?:" + c.path + ")").MatchString(path)
}

func refHostFits(p hostPattern, in *Input) bool {
	if !p.wildcard() {
		return p.text == in.Host && (p.port == 0 || p.port == in.Port)
	}
	pattern := strings.ReplaceAll(p.text, ".", `\.`)
	if p.shape == hostLeft {
		pattern = ".+" + pattern
	} else {
		pattern += ".+"
	}
	if p.port == 0 {
		pattern += `(?::\d+)?`
	} else {
		pattern += fmt.Sprintf(":%d", p.port)
	}
	return cachedRegexp(pattern + "$").MatchString(fmt.Sprintf("%s:%d", in.Host, in.effectivePort()))
}

func refMatches(c *candidate, in *Input) bool {
	if c.kinds&kindHost != 0 && !slices.ContainsFunc(c.hosts, func(p hostPattern) bool { return refHostFits(p, in) }) {
		return false
	}
	if c.kinds&kindPath != 0 && !refPathFits(c, in.Path) {
		return false
	}
	return c.matchesRest(in)
}

func (ref *reference) match(in *Input) *candidate {
	hostKey, pathKey, header := ref.hostKey(in), ref.pathKey(in), ref.headerKey(in)
	possible := ref.possible(in, hostKey, pathKey, header)

	var order []kinds
	for _, c := range ref.sorted {
		if !slices.Contains(order, c.kinds) {
			order = append(order, c.kinds)
		}
	}
	slices.SortFunc(order, compareKinds)
	start := max(0, slices.Index(order, possible))
	for _, k := range order[start:] {
		var all []*candidate
		for _, c := range ref.sorted {
			if c.kinds == k {
				all = append(all, c)
			}
		}
		var reduced []*candidate
		known := slices.ContainsFunc(all, func(c *candidate) bool { return c.hasHeader(header) })
		if known || refHostsOverlap(all, in) {
			reduced = refReduce(all, in, hostKey, pathKey, header)
		}
		for _, list := range [][]*candidate{reduced, all} {
			for _, c := range list {
				if refMatches(c, in) {
					return c
				}
			}
		}
	}
	return nil
}

// refHostsOverlap reports whether routes of different kinds of hosts fit the
// request. Without that Kong's index lists agree with the order, but for
// accidents that the router does not repeat: a regex of another host or of
// another category can hide the better one here.
func refHostsOverlap(all []*candidate, in *Input) bool {
	fitting := map[hostPattern]bool{}
	weights := map[subWeight]bool{}
	for _, c := range all {
		for _, p := range c.hosts {
			if refHostFits(p, in) {
				fitting[p], weights[c.sub&subHosts] = true, true
			}
		}
	}
	return len(fitting) > 1 || len(weights) > 1
}

func (ref *reference) hostKey(in *Input) *hostPattern {
	for _, c := range ref.sorted {
		for _, p := range c.hosts {
			if !p.wildcard() && p.text == in.Host && (p.port == 0 || p.port == in.effectivePort()) {
				return &hostPattern{text: in.Host, port: in.Port}
			}
		}
	}
	for _, c := range ref.sorted {
		for _, p := range c.hosts {
			if p.wildcard() && refHostFits(p, in) {
				return &p
			}
		}
	}
	return nil
}

func (ref *reference) pathKey(in *Input) *candidate {
	var best *candidate
	for _, c := range ref.sorted {
		if c.kinds&kindPath == 0 || !refPathFits(c, in.Path) {
			continue
		}
		if c.re != nil {
			return c
		}
		if best == nil || len(c.path) > len(best.path) {
			best = c
		}
	}
	// Regexes go first, wherever they are in the order.
	for _, c := range ref.sorted {
		if c.re != nil && refPathFits(c, in.Path) {
			return c
		}
	}
	return best
}

func (ref *reference) headerKey(in *Input) string {
	for _, c := range ref.sorted {
		for i := range c.headers {
			if in.hasHeader(c.headers[i].name) {
				return c.headers[i].name
			}
		}
	}
	return ""
}

func (ref *reference) possible(in *Input, host *hostPattern, path *candidate, header string) kinds {
	var k kinds
	if host != nil {
		k |= kindHost
	}
	if path != nil {
		k |= kindPath
	}
	if header != "" {
		k |= kindHeader
	}
	for _, c := range ref.sorted {
		if slices.Contains(c.methods, in.Method) {
			k |= kindMethod
		}
		if slices.Contains(c.snis, in.SNI) {
			k |= kindSNI
		}
	}
	return k
}

func refReduce(all []*candidate, in *Input, host *hostPattern, path *candidate, header string) []*candidate {
	lists := make([][]*candidate, 5)
	for _, c := range all {
		if host != nil && slices.Contains(c.hosts, *host) {
			lists[0] = append(lists[0], c)
		}
		if c.hasHeader(header) {
			lists[1] = append(lists[1], c)
		}
		if path != nil && c.kinds&kindPath != 0 && c.samePath(path) {
			lists[2] = append(lists[2], c)
		}
		if slices.Contains(c.methods, in.Method) {
			lists[3] = append(lists[3], c)
		}
		if slices.Contains(c.snis, in.SNI) {
			lists[4] = append(lists[4], c)
		}
	}
	if lists[1] != nil {
		return lists[1]
	}
	var smallest []*candidate
	for _, l := range lists {
		if l != nil && (smallest == nil || len(l) < len(smallest)) {
			smallest = l
		}
	}
	return smallest
}

// TestMatchesReference compares the compiled router with the reference on
// random route sets, both built at once and grown by deltas.
func TestMatchesReference(t *testing.T) {
	sets := 600
	if testing.Short() {
		sets = 300
	}
	for seed := range sets {
		checkSeed(t, uint64(seed), 1+seed%12)
	}
}

func FuzzMatch(f *testing.F) {
	f.Add(uint64(1), uint8(3))
	f.Fuzz(func(t *testing.T, seed uint64, routes uint8) { checkSeed(t, seed, 1+int(routes%24)) })
}

func checkSeed(t *testing.T, seed uint64, routes int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	items := randomItems(rng, routes)
	whole, problems := New(items)
	if len(problems) > 0 {
		t.Fatalf("seed %d: %v", seed, problems)
	}
	grown := growByDeltas(rng, items)
	ref := newReference(items)
	for range 40 {
		in := randomInput(rng)
		want := ref.match(in)
		for how, r := range map[string]*Router{"New": whole, "With": grown} {
			res, ok := r.Match(in)
			if ok != (want != nil) || ok && (res.Route.Entity != want.route.Entity || res.match.pathIndex != want.pathIndex) {
				t.Fatalf("seed %d routes %d: %s: %s\nrouter: %s\nreference: %s\nroutes:\n%s", seed, routes, how, describeInput(in),
					describe(res.match), describe(want), describeItems(items))
			}
		}
	}
}

// growByDeltas reaches the same set of routes by adding, replacing and
// removing.
func growByDeltas(rng *rand.Rand, items []Item) *Router {
	r, _ := New(nil)
	var gone []entity.ID
	for _, other := range randomItems(rng, 4) {
		other.Route.ID = "gone-" + other.Route.ID
		gone = append(gone, other.Route.ID)
		r, _ = r.With([]Item{other}, nil)
	}
	for _, old := range randomItems(rng, min(3, len(items))) {
		r, _ = r.With([]Item{old}, nil) // replaced below: same ids
	}
	for _, i := range rng.Perm(len(items)) {
		r, _ = r.With([]Item{items[i]}, nil)
	}
	r, _ = r.With(nil, gone)
	return r
}

func pick(rng *rand.Rand, from ...string) []string {
	var out []string
	for range 1 + rng.IntN(2) {
		s := from[rng.IntN(len(from))]
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func randomItems(rng *rand.Rand, n int) []Item {
	var items []Item
	for i := range n {
		r := &entity.Route{ID: entity.ID(fmt.Sprintf("r%02d", i))}
		if rng.IntN(2) == 0 {
			r.Hosts = pick(rng, "a.test", "b.a.test", "a.test:81", "*.a.test", "*.test", "*.a.test:81", "a.*", "*.a.test:80")
		}
		if rng.IntN(4) > 0 {
			r.Paths = pick(rng, "/", "/a", "/a/", "/a/b", "/b", "/a/bc", "~/a$", "~/a/.", "~/[ab]/b", "~/a/b$", "~/(a|b)")
		}
		if rng.IntN(4) == 0 {
			r.Methods = pick(rng, "GET", "POST", "PUT")
		}
		if rng.IntN(4) == 0 {
			r.Headers = map[string][]string{}
			for _, h := range pick(rng, "X-A", "X-B", "X-C") {
				r.Headers[h] = pick(rng, "1", "2")
			}
		}
		if rng.IntN(6) == 0 || len(r.Hosts)+len(r.Paths)+len(r.Methods)+len(r.Headers) == 0 {
			r.SNIs = pick(rng, "a.test", "s.test")
		}
		if rng.IntN(3) == 0 {
			p := rng.IntN(3)
			r.RegexPriority = &p
		}
		if rng.IntN(2) == 0 {
			at := int64(rng.IntN(3))
			r.CreatedAt = &at
		}
		items = append(items, Item{Route: r})
	}
	return items
}

func randomInput(rng *rand.Rand) *Input {
	one := func(from ...string) string { return from[rng.IntN(len(from))] }
	in := &Input{
		Host:   one("a.test", "b.a.test", "c.b.a.test", "x.test", "a.org", "none", ""),
		Method: one("GET", "POST", "HEAD"),
		Path:   one("/", "/a", "/a/", "/a/b", "/a/bc/d", "/b", "/b/b", "/c"),
		TLS:    rng.IntN(2) == 0,
	}
	if in.Host != "" {
		in.Port = []int{0, 80, 81}[rng.IntN(3)]
	}
	if in.TLS {
		in.SNI = one("a.test", "s.test", "")
	}
	var lines headerLines
	for _, name := range []string{"x-a", "x-b", "x-c"} {
		for range rng.IntN(3) {
			lines = append(lines, [2]string{name, one("1", "2", "3")})
		}
	}
	in.Headers = lines
	return in
}

func describe(c *candidate) string {
	if c == nil {
		return "none"
	}
	return fmt.Sprintf("%s path %q", c.route.Entity.ID, c.path)
}

func describeInput(in *Input) string { return fmt.Sprintf("%+v", *in) }

func describeItems(items []Item) string {
	var b strings.Builder
	for _, it := range items {
		r := it.Route
		fmt.Fprintf(&b, "  %s hosts=%v paths=%v methods=%v headers=%v snis=%v prio=%v created=%v\n",
			r.ID, r.Hosts, r.Paths, r.Methods, r.Headers, r.SNIs, or(r.RegexPriority, 0), or(r.CreatedAt, -1))
	}
	return b.String()
}
