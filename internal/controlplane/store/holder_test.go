// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/snapshot"
	"github.com/kong/kong-istio-gateway/internal/controlplane/store"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// TestOldestHasTheEntity lets two objects come to one id, in both orders, and
// takes each away again. The snapshot must not depend on who came first.
func TestOldestHasTheEntity(t *testing.T) {
	named := func(name, username, customID string, age time.Duration) *kongv1.KongConsumer {
		c := &kongv1.KongConsumer{Username: username, CustomID: customID, Credentials: []string{name}}
		c.ObjectMeta = metav1.ObjectMeta{
			Namespace: "shop", Name: name, Annotations: map[string]string{fragment.AnnotationClass: "kong"},
			CreationTimestamp: metav1.NewTime(time.Unix(1_000_000, 0).Add(-age)),
		}
		return c
	}
	// A consumer without a username has an id that is made of its custom_id.
	older, younger := named("z", "", "7", time.Hour), named("a", "custom_id:7", "", 0)
	z, a := owner(fragment.OwnerConsumer, "z"), owner(fragment.OwnerConsumer, "a")
	var hashes []string
	for _, order := range [][]*kongv1.KongConsumer{{older, younger}, {younger, older}} {
		w, b := newWorld(t, meshed()), snapshot.NewBuilder(1)
		for _, name := range []string{"a", "z"} {
			s := secretOf(name, "1", map[string]string{"key": name})
			s.Labels = map[string]string{fragment.LabelCredential: "key-auth"}
			w.secrets["shop/"+name] = s
		}
		deliver := func() {
			t.Helper()
			w.settle()
			for _, d := range w.last {
				if err := b.Apply(d.Changed, d.Removed); err != nil {
					t.Error(err)
				}
			}
		}
		for _, c := range order {
			w.put(c.DeepCopy())
			deliver()
		}
		s, _ := b.Snapshot()
		hashes = append(hashes, s.Records.Hash().String())
		if len(w.units[z].Entities) != 2 || len(w.units[a].Entities) != 0 {
			t.Errorf("the older has %v, the younger %v", w.units[z].Entities, w.units[a].Entities)
		}
		conflict := func(p fragment.Problem) bool {
			return p.Object.Kind == "KongConsumer" && p.Object.Name == "a" && p.Object.UID == "shop-a" && p.Object.Group != "" &&
				p.Reason == fragment.ReasonConflict && strings.Contains(p.Message, "the older KongConsumer shop/z brings consumers")
		}
		i := slices.IndexFunc(w.last[len(w.last)-1].States, func(s store.ObjectState) bool { return s.Owner == a })
		if len(w.Problems(gateway)) != 1 || !conflict(w.Problems(gateway)[0]) || i < 0 {
			t.Fatalf("problems are %v, states %v", w.Problems(gateway), w.last)
		}
		if state := w.last[len(w.last)-1].States[i]; state.Used || len(state.Problems) != 1 {
			t.Errorf("the state of the younger is %+v", state)
		}

		w.Delete(older)
		deliver()
		if got := of[*entity.Credential](w, a); len(got) != 1 || got[0].Fields["key"] != "a" || len(w.Problems(gateway)) != 0 {
			t.Errorf("alone the younger has %v, problems %v", w.units[a].Entities, w.Problems(gateway))
		}
		w.put(older.DeepCopy())
		deliver()
		if s, _ := b.Snapshot(); s.Records.Hash().String() != hashes[0] {
			t.Error("the older does not get it back")
		}
		w.Delete(younger)
		deliver()
		w.Delete(older)
		deliver()
		if n := w.Size().Entities; n != 0 || len(w.units) != 0 || len(w.Problems(gateway)) != 0 {
			t.Errorf("%d entities, units %v and problems %v remain", n, w.units, w.Problems(gateway))
		}
	}
	if hashes[0] != hashes[1] {
		t.Error("the configuration depends on who came first")
	}
}
