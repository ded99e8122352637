// SPDX-License-Identifier: Apache-2.0

package tlscert

import (
	"strings"

	"github.com/kong/kong-istio-gateway/internal/dataplane/persistent"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Names is a set of server names as SNI entities and routes have them: exact,
// or with a wildcard for the first or the last label, or "*" for all. A name
// counts as often as it was added. The zero Names is empty. It is immutable.
type Names struct{ counts persistent.Map[string, int] }

// With returns the set with a name added by more times, or taken out if that is
// negative.
func (n Names) With(name string, by int) Names {
	name = canonical(name)
	if count := n.counts.At(name) + by; count > 0 {
		return Names{n.counts.With(name, count)}
	}
	return Names{n.counts.Without(name)}
}

// Has reports whether the set holds a server name, or a wildcard for it. Letter
// case does not matter.
func (n Names) Has(name string) bool {
	if n.counts.Len() == 0 {
		return false
	}
	_, ok := lookup(n.counts, canonical(name))
	return ok
}

// lookup finds a name, then the wildcard of its first label, then that of its
// last, then "*".
func lookup[V any](names persistent.Map[string, V], name string) (V, bool) {
	if v, ok := names.Get(name); ok && name != "" {
		return v, true
	}
	if i := strings.IndexByte(name, '.'); i > 0 {
		if v, ok := names.Get("*" + name[i:]); ok {
			return v, true
		}
		if v, ok := names.Get(name[:strings.LastIndexByte(name, '.')+1] + "*"); ok {
			return v, true
		}
	}
	return names.Get("*")
}

func canonical(name string) string { return entity.CanonicalServerName(name) }
