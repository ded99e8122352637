// SPDX-License-Identifier: Apache-2.0

package tlscert

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// TestChanges holds a set that changes at random to one that is made at once,
// and the problems that were told on the way to those of the latter.
func TestChanges(t *testing.T) {
	good := []*entity.Certificate{namedCert(t, "0"), namedCert(t, "1"), namedCert(t, "2")}
	r := rand.New(rand.NewPCG(7, 8))
	set, _ := NewSet(nil, nil, nil)
	certs, snis := map[entity.ID]*entity.Certificate{}, map[entity.ID]*entity.SNI{}
	told := map[entity.Key]string{}
	for range 600 {
		c := &Change{}
		changed := map[entity.Key]bool{}
		for range 1 + r.IntN(3) {
			id := entity.ID(fmt.Sprint(r.IntN(3)))
			key := entity.Key{Kind: entity.KindCertificate, ID: id}
			if sni := r.IntN(2) == 0; sni {
				key = entity.Key{Kind: entity.KindSNI, ID: "sni" + id}
			}
			if changed[key] {
				continue
			}
			changed[key] = true
			switch {
			case r.IntN(3) == 0:
				c.Removed = append(c.Removed, key)
				delete(certs, key.ID)
				delete(snis, key.ID)
				delete(told, key)
			case key.Kind == entity.KindSNI:
				n := &entity.SNI{ID: key.ID, Name: fmt.Sprint("n", r.IntN(2), ".test"), Certificate: &entity.Ref{ID: entity.ID(fmt.Sprint(r.IntN(3)))}}
				snis[n.ID] = n
				c.SNIs = append(c.SNIs, n)
			default:
				cert := *good[r.IntN(3)]
				if cert.ID = id; r.IntN(3) == 0 {
					cert.Cert = "broken"
				}
				certs[id] = &cert
				c.Certificates = append(c.Certificates, &cert)
			}
		}
		holder := func(n *entity.SNI) int {
			if set.names.At(canonical(n.Name)).sni == n.ID {
				return 0
			}
			return 1
		}
		order := slices.SortedFunc(maps.Values(snis), func(a, b *entity.SNI) int {
			return cmp.Or(cmp.Compare(holder(a), holder(b)), cmp.Compare(a.ID, b.ID))
		})
		next, looked, problems := set.With(c)
		set = next
		for _, key := range looked {
			delete(told, key)
		}
		for _, p := range problems {
			told[entity.Key{Kind: p.Kind, ID: p.ID}] = p.String()
		}
		whole, all := NewSet(set, slices.Collect(maps.Values(certs)), order)
		want := map[entity.Key]string{}
		for _, p := range all {
			want[entity.Key{Kind: p.Kind, ID: p.ID}] = p.String()
		}
		if !maps.Equal(told, want) {
			t.Fatalf("problems %v, want %v", told, want)
		}
		for _, name := range []string{"n0.test", "n1.test"} {
			a, b := set.find(name), whole.find(name)
			if (a == nil) != (b == nil) || a != nil && !a.main.Leaf.Equal(b.main.Leaf) {
				t.Fatalf("%s has another certificate", name)
			}
		}
		if set.pairs.Len() != whole.pairs.Len() || set.claims.Len() != whole.claims.Len() || set.users.Len() != whole.users.Len() {
			t.Fatal("something is left over")
		}
	}
}
