// SPDX-License-Identifier: Apache-2.0

package tlscert

import "strings"

// Names is a set of server names as SNI entities and routes have them: exact,
// or with a wildcard for the first or the last label, or "*" for all.
type Names map[string]struct{}

// Add puts a name into the set.
func (n Names) Add(name string) { n[canonical(name)] = struct{}{} }

// Has reports whether the set holds a server name, or a wildcard for it. Letter
// case does not matter.
func (n Names) Has(name string) bool {
	if len(n) == 0 {
		return false
	}
	_, ok := lookup(n, canonical(name))
	return ok
}

// lookup finds a name, then the wildcard of its first label, then that of its
// last, then "*".
func lookup[V any](names map[string]V, name string) (V, bool) {
	if v, ok := names[name]; ok && name != "" {
		return v, true
	}
	if i := strings.IndexByte(name, '.'); i > 0 {
		if v, ok := names["*"+name[i:]]; ok {
			return v, true
		}
		if v, ok := names[name[:strings.LastIndexByte(name, '.')+1]+"*"]; ok {
			return v, true
		}
	}
	v, ok := names["*"]
	return v, ok
}

func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }
