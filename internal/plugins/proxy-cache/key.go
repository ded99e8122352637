// SPDX-License-Identifier: Apache-2.0

package proxycache

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"slices"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/form"
)

// key names an entry: a digest of what makes requests equal.
type key [sha256.Size]byte

// keyOf digests consumer, route, method, path, arguments in any order, and the
// headers that the config names. The host is not part of it.
func (p *cache) keyOf(x plugin.Exchange) (k key) {
	// Method and arguments are those that earlier plugins left.
	r, u := x.Request(), x.Upstream()
	d := digest{sha256.New()}
	consumer, route := "", "default"
	if x.Route() != nil {
		route = string(x.Route().ID)
		if c := x.Identity().Consumer; c != nil {
			consumer = string(c.ID)
		}
	}
	d.add(consumer)
	d.add(route)
	d.add(u.Method)
	path := r.Path
	if p.IgnoreURICase {
		path = strings.ToLower(path)
	}
	d.add(path)
	// Kong's key tells "?" without arguments from no query at all.
	if r.HasQuery {
		d.add("?")
	}
	d.addArgs(p.arguments(u.Query))
	for _, name := range slices.Sorted(slices.Values(p.VaryHeaders)) {
		values := x.Header().Values(nil, name)
		slices.Sort(values)
		d.add(strings.ToLower(name))
		d.add(strings.Join(values, ","))
	}
	d.Sum(k[:0])
	return k
}

func (p *cache) arguments(query string) form.Args {
	args := form.Parse(query)
	if len(p.VaryQueryParams) > 0 {
		args = slices.DeleteFunc(args, func(a form.Arg) bool { return !slices.Contains(p.VaryQueryParams, a.Name) })
	}
	slices.SortFunc(args, func(a, b form.Arg) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(a.Value, b.Value)
	})
	return args
}

// digest adds strings with their lengths, so that no two lists are alike.
type digest struct{ hash.Hash }

func (d digest) add(s string) {
	var size [8]byte
	binary.BigEndian.PutUint64(size[:], uint64(len(s)))
	_, _ = d.Write(size[:]) // a hash never fails
	_, _ = d.Write([]byte(s))
}

func (d digest) addArgs(args form.Args) {
	for _, a := range args {
		d.add(a.Name)
		if !a.Flag {
			d.add("=")
			d.add(a.Value)
		}
	}
}
