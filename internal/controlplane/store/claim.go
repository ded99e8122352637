// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"slices"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
)

// claimKey is the identity of a claim.
type claimKey struct {
	scope fragment.ClaimScope
	value string
}

func keyOfClaim(c fragment.Claim) claimKey { return claimKey{c.Scope, c.Value} }

// claims keeps who claims what, oldest first.
type claims map[claimKey][]fragment.Claimant

func compareClaimants(a, b fragment.Claimant) int {
	return cmp.Or(a.Created.Compare(b.Created), a.Owner.Compare(b.Owner), cmp.Compare(a.Data, b.Data))
}

// add and remove return what became different, which is what readers of the
// claim have looked at.
func (c claims) add(key claimKey, who fragment.Claimant) claimChange {
	list := c[key]
	i, found := slices.BinarySearchFunc(list, who, compareClaimants)
	if found {
		return claimChange{}
	}
	c[key] = slices.Insert(list, i, who)
	return claimChange{all: true, first: i == 0, any: len(list) == 0}
}

func (c claims) remove(key claimKey, who fragment.Claimant) claimChange {
	list := c[key]
	i, found := slices.BinarySearchFunc(list, who, compareClaimants)
	if !found {
		return claimChange{}
	}
	if list = slices.Delete(list, i, i+1); len(list) == 0 {
		delete(c, key)
	} else {
		c[key] = list
	}
	return claimChange{all: true, first: i == 0, any: len(list) == 0}
}

// claimChange tells which views of a claim changed.
type claimChange struct{ all, first, any bool }
