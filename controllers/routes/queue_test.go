// SPDX-License-Identifier: Apache-2.0

package routes

import (
	"testing"

	netv1 "k8s.io/api/networking/v1"

	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/controlplane/store"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
)

// TestQueueOfStates holds that what waits for proxies does not grow while there
// are none, and that it is left in the order of positions.
func TestQueueOfStates(t *testing.T) {
	g := &gatewayState{states: map[fragment.Owner]*objectState{}, policies: map[store.Key]map[fragment.Owner]struct{}{}}
	names := []string{"a", "b", "c"}
	state := func(name string) store.ObjectState {
		return store.ObjectState{Owner: fragment.Owner{Kind: fragment.OwnerIngress, Namespace: "shop", Name: name}, Object: &netv1.Ingress{}}
	}
	waiting := func() (list []string) {
		for s := g.awaiting.first; s != nil; s = s.after {
			list = append(list, s.Owner.Name)
		}
		return list
	}
	for i := range 999 {
		g.setState(state(names[i%3]))
		g.number(configsync.Position{Term: 1, Sequence: uint64(i)}) // #nosec G115 -- small
	}
	if got := waiting(); len(got) != 3 || got[0] != "a" || got[2] != "c" {
		t.Fatalf("%v wait", got)
	}
	gone := state("b")
	gone.Object = nil
	g.setState(gone)
	g.setState(state("a"))
	if got := waiting(); len(got) != 2 || got[0] != "c" || got[1] != "a" {
		t.Fatalf("%v wait", got)
	}
	if last := g.awaiting.last; last.numbered || !last.before.numbered {
		t.Error("only what was not published yet has no position")
	}
	for s := g.awaiting.first; s != nil; s = g.awaiting.first {
		g.awaiting.remove(s)
	}
	if g.awaiting.last != nil || len(waiting()) != 0 {
		t.Error("the queue does not become empty")
	}
}
