// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"fmt"
	"maps"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
)

func changed(key types.NamespacedName) event.GenericEvent {
	gw := &v1alpha1.KongIstioGateway{}
	gw.Name, gw.Namespace = key.Name, key.Namespace
	return event.GenericEvent{Object: gw}
}

// recorder keeps the Events of each namespace apart: an operator also sees the gateways that earlier tests left behind.
type recorder struct {
	mu     sync.Mutex
	events map[string][]string
}

// Eventf implements events.EventRecorder.
func (r *recorder) Eventf(regarding, _ runtime.Object, eventtype, reason, _, note string, args ...any) {
	o, ok := regarding.(client.Object)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events[o.GetNamespace()] = append(r.events[o.GetNamespace()], fmt.Sprintf(eventtype+" "+reason+" "+note, args...))
}

// take returns the Events of a namespace since it was last asked.
func (r *recorder) take(namespace string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.events[namespace]
	delete(r.events, namespace)
	return list
}

// fakeRoutes is a control plane that knows what the test tells it; every gateway is synced from the start unless told
// otherwise.
type fakeRoutes struct {
	mu       sync.Mutex
	facts    map[types.NamespacedName]RouteFacts
	gateways map[types.NamespacedName]Routing
	egress   map[types.NamespacedName]map[string]string
	changes  chan event.GenericEvent
}

func newFakeRoutes() *fakeRoutes {
	return &fakeRoutes{
		facts: map[types.NamespacedName]RouteFacts{}, gateways: map[types.NamespacedName]Routing{},
		egress: map[types.NamespacedName]map[string]string{}, changes: make(chan event.GenericEvent, 100),
	}
}

func (f *fakeRoutes) SetGateway(r Routing) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gateways[r.Key] = r
}

func (f *fakeRoutes) RemoveGateway(key types.NamespacedName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.gateways, key)
}

func (f *fakeRoutes) Facts(key types.NamespacedName) RouteFacts {
	f.mu.Lock()
	defer f.mu.Unlock()
	if facts, ok := f.facts[key]; ok {
		return facts
	}
	return RouteFacts{Synced: true}
}

func (f *fakeRoutes) SetEgress(key types.NamespacedName, hashes map[string]string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.egress[key] = maps.Clone(hashes)
}

func (f *fakeRoutes) Changes() <-chan event.GenericEvent { return f.changes }

// tell changes what is known about a gateway's routes.
func (f *fakeRoutes) tell(key types.NamespacedName, facts RouteFacts) {
	f.mu.Lock()
	f.facts[key] = facts
	f.mu.Unlock()
	f.changes <- changed(key)
}

func (f *fakeRoutes) gateway(key types.NamespacedName) (Routing, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.gateways[key]
	return r, ok
}

func (f *fakeRoutes) egressOf(key types.NamespacedName) map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.egress[key])
}

type fakeFleet struct {
	mu      sync.Mutex
	facts   map[types.NamespacedName]FleetFacts
	changes chan event.GenericEvent
}

func newFakeFleet() *fakeFleet {
	return &fakeFleet{facts: map[types.NamespacedName]FleetFacts{}, changes: make(chan event.GenericEvent, 100)}
}

func (f *fakeFleet) Facts(key types.NamespacedName) FleetFacts {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.facts[key]
}

func (f *fakeFleet) Changes() <-chan event.GenericEvent { return f.changes }

func (f *fakeFleet) tell(key types.NamespacedName, facts FleetFacts) {
	f.mu.Lock()
	f.facts[key] = facts
	f.mu.Unlock()
	f.changes <- changed(key)
}

type fakeTrust struct {
	mu      sync.Mutex
	bundle  string
	changes chan event.GenericEvent
}

func (f *fakeTrust) Bundle() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bundle
}

func (f *fakeTrust) Changes() <-chan event.GenericEvent { return f.changes }
