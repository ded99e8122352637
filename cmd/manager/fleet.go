// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/controllers/gateway"
	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/configsync/server"
)

// reconnectGrace is how long after the stream opens nothing is concluded from proxies that are not there: they come back
// with a jittered backoff.
const reconnectGrace = 30 * time.Second

// fleet tells the reconciler what the stream knows. It implements gateway.Fleet.
type fleet struct {
	facts    func(configsync.Gateway) server.Facts
	clock    clock.WithDelayedExecution
	openedAt func() time.Time // when this manager opened the stream; zero before
	changes  chan event.GenericEvent

	mu      sync.Mutex
	waiting map[configsync.Gateway]bool // a look at the gateway is already scheduled
}

func newFleet(facts func(configsync.Gateway) server.Facts, openedAt func() time.Time, c clock.WithDelayedExecution) *fleet {
	return &fleet{
		facts: facts, openedAt: openedAt, clock: c, changes: make(chan event.GenericEvent, 1024), waiting: map[configsync.Gateway]bool{},
	}
}

// Changes implements gateway.Fleet.
func (f *fleet) Changes() <-chan event.GenericEvent { return f.changes }

// changed is the server's OnChange.
func (f *fleet) changed(g configsync.Gateway) {
	gw := &v1alpha1.KongIstioGateway{}
	gw.Namespace, gw.Name = g.Namespace, g.Name
	f.changes <- event.GenericEvent{Object: gw}
}

// Facts implements gateway.Fleet.
func (f *fleet) Facts(key types.NamespacedName) gateway.FleetFacts {
	g := configsync.Gateway{Namespace: key.Namespace, Name: key.Name}
	facts, now := f.facts(g), f.clock.Now()
	opened := f.openedAt()
	out := gateway.FleetFacts{
		Known:     facts.Connected > 0 || (!opened.IsZero() && now.Sub(opened) >= reconnectGrace),
		Connected: int32(facts.Connected), Programmed: int32(facts.Programmed), //nolint:gosec // numbers of pods
	}
	for _, r := range facts.Rejections {
		out.Rejected = append(out.Rejected, rejection(r))
	}
	next := time.Duration(0)
	for _, p := range facts.Proxies {
		if out.Version == "" || p.Version < out.Version {
			out.Version = p.Version
		}
		switch {
		case p.Behind(now):
			out.Behind = append(out.Behind, p.Identity.PodName)
		case !p.BehindSince.IsZero():
			// Time alone turns a proxy that does not answer into one that is behind: look again then.
			next = max(next, server.BehindAfter-now.Sub(p.BehindSince))
		}
	}
	if !out.Known && !opened.IsZero() {
		next = max(next, reconnectGrace-now.Sub(opened))
	}
	slices.Sort(out.Rejected)
	if next > 0 {
		f.lookAgain(g, next)
	}
	return out
}

func (f *fleet) lookAgain(g configsync.Gateway, in time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.waiting[g] {
		return
	}
	f.waiting[g] = true
	f.clock.AfterFunc(in+time.Millisecond, func() {
		f.mu.Lock()
		delete(f.waiting, g)
		f.mu.Unlock()
		f.changed(g)
	})
}

// rejection is one sentence about an entity; plugins and services have names, others are told by their id.
func rejection(r server.Rejection) string {
	name := r.Name
	if name == "" {
		name = string(r.Key.ID)
	}
	if r.Field == "" {
		return fmt.Sprintf("%s %s: %s", r.Key.Kind, name, r.Reason)
	}
	return fmt.Sprintf("%s %s: %s: %s", r.Key.Kind, name, r.Field, r.Reason)
}
