// SPDX-License-Identifier: Apache-2.0

package router

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// TestListVersions keeps versions of a list through random changes, small and
// large: each holds what it should, in order, and none sees later changes.
func TestListVersions(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	type version struct {
		l    list
		want []*candidate
	}
	var versions []version
	var now version
	for n := range 400 {
		ch := &change{}
		for range 1 + r.IntN(1+r.IntN(100)) {
			ch.add = append(ch.add, &candidate{
				id:        entity.ID(fmt.Sprint(r.Uint64())),
				createdAt: r.Int64N(50),
			})
		}
		for range r.IntN(1 + min(len(now.want), r.IntN(100))) {
			if c := now.want[r.IntN(len(now.want))]; !slices.Contains(ch.del, c) {
				ch.del = append(ch.del, c)
			}
		}
		ch.sort()
		now = version{now.l.with(ch), merge(now.want, ch.add, ch.del)}
		versions = append(versions, now)
		if n%50 == 49 {
			now = versions[r.IntN(len(versions))]
		}
	}
	for _, v := range versions {
		if got := slices.Concat(v.l.chunks...); !slices.Equal(got, v.want) || v.l.size != len(v.want) || v.l.empty() != (len(v.want) == 0) {
			t.Fatalf("%d candidates, want %d", len(got), len(v.want))
		}
		if !slices.IsSortedFunc(v.want, compare) {
			t.Fatal("not in order")
		}
		for _, chunk := range v.l.chunks {
			if len(chunk) == 0 || len(chunk) > chunkSize {
				t.Fatalf("a chunk of %d", len(chunk))
			}
		}
		if len(v.want) > 0 && (v.l.first() != v.want[0] || v.l.last() != v.want[len(v.want)-1]) {
			t.Error("first or last is wrong")
		}
	}
}
