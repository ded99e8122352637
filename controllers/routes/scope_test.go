// SPDX-License-Identifier: Apache-2.0

package routes

import (
	"maps"
	"slices"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/controlplane/store"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
)

// TestScopeHoldsWhatSidecarsCapture holds that proxies wait for no listener that
// the sidecar never has: it takes neither UDP nor pods of headless Services.
func TestScopeHoldsWhatSidecarsCapture(t *testing.T) {
	backends := []fragment.Backend{
		{Namespace: "shop", Service: "dns", ClusterIP: "10.0.0.1", Port: 53, Protocol: "udp", Addresses: []string{"10.0.0.1:53"}},
		{Namespace: "shop", Service: "dns-tcp", ClusterIP: "10.0.0.2", Port: 53, Protocol: "tcp", Addresses: []string{"10.0.0.2:53"}},
		{Namespace: "shop", Service: "pods", Headless: true, Port: 80, Addresses: []string{"10.1.0.1:80"}},
		{Namespace: "shop", Service: "web", ClusterIP: "10.0.0.3", Port: 80, Addresses: []string{"10.0.0.3:80"}},
	}
	g := &gatewayState{
		spec: GatewaySpec{MeshMode: "sidecar", ScopeFrozen: true}, summary: store.Summary{Backends: backends},
		egress: map[string]string{"10.0.0.3:80": "h1"}, scopeTold: true,
	}
	scope := g.scope()
	if got := slices.Sorted(maps.Keys(scope)); !slices.Equal(got, []string{"10.0.0.2:53", "10.0.0.3:80"}) {
		t.Errorf("the scope is %v", scope)
	}
	if !scope["10.0.0.2:53"].Held || scope["10.0.0.3:80"].EgressHash != "h1" || scope["10.0.0.3:80"].Held {
		t.Errorf("the scope is %+v", scope)
	}
	var held []string
	for _, p := range g.scopeProblems() {
		held = append(held, p.Object.Name)
	}
	if !slices.Equal(held, []string{"dns-tcp"}) {
		t.Errorf("told as held back: %v", held)
	}
}
