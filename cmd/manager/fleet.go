// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
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
	streams map[configsync.Gateway]*streams
	told    map[configsync.Gateway]string // what moved told of last
}

// streams are the pods of a gateway that have, and that had, a stream.
type streams struct {
	have map[string]bool
	lost map[string]time.Time
}

// lostKept bounds how long a pod that is gone is remembered.
const lostKept = time.Hour

// follow notes which pods have a stream now.
func (s *streams) follow(proxies []server.Proxy, now time.Time) {
	have := make(map[string]bool, len(proxies))
	for _, p := range proxies {
		have[p.Identity.PodName] = true
		delete(s.lost, p.Identity.PodName)
	}
	for pod := range s.have {
		if !have[pod] {
			s.lost[pod] = now
		}
	}
	maps.DeleteFunc(s.lost, func(_ string, since time.Time) bool { return now.Sub(since) > lostKept })
	s.have = have
}

func (f *fleet) follow(g configsync.Gateway, proxies []server.Proxy, now time.Time, out *gateway.FleetFacts) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.streams[g]
	if s == nil {
		s = &streams{lost: map[string]time.Time{}}
		f.streams[g] = s
	}
	s.follow(proxies, now)
	out.Streams, out.Lost = s.have, maps.Clone(s.lost)
}

func newFleet(facts func(configsync.Gateway) server.Facts, openedAt func() time.Time, c clock.WithDelayedExecution) *fleet {
	return &fleet{
		facts: facts, openedAt: openedAt, clock: c, changes: make(chan event.GenericEvent, 1024), waiting: map[configsync.Gateway]bool{},
		streams: map[configsync.Gateway]*streams{}, told: map[configsync.Gateway]string{},
	}
}

// Changes implements gateway.Fleet.
func (f *fleet) Changes() <-chan event.GenericEvent { return f.changes }

// moved is the server's OnChange. Most of what changes there is that proxies take one change of a route after the other:
// none of that is in the status, and a gateway is not reconciled for it.
func (f *fleet) moved(g configsync.Gateway) {
	news := summary(f.facts(g), f.clock.Now())
	f.mu.Lock()
	same := f.told[g] == news
	if f.told[g] = news; news == "" {
		delete(f.told, g)
	}
	f.mu.Unlock()
	if !same {
		f.changed(g)
	}
}

// summary is the same text as long as Facts says the same; empty without proxies.
func summary(facts server.Facts, now time.Time) string {
	var b strings.Builder
	for _, p := range facts.Proxies {
		fmt.Fprintf(&b, "%s %s %t %t\n", p.Identity.PodName, p.Version, upToDate(p, now), p.Behind(now))
	}
	for _, r := range facts.Rejections {
		b.WriteString(rejection(r) + "\n")
	}
	return b.String()
}

// upToDate reports whether a proxy has what was published, or has had it until a moment ago.
func upToDate(p server.Proxy, now time.Time) bool {
	return p.Programmed || p.Position != configsync.Position{} && !p.Behind(now)
}

// changed has a gateway looked at.
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
		Known:     facts.Programmed > 0 || (!opened.IsZero() && now.Sub(opened) >= reconnectGrace),
		Connected: int32(facts.Connected), Programmed: int32(facts.Programmed), //nolint:gosec // numbers of pods
	}
	if !opened.IsZero() {
		out.Expected = opened.Add(reconnectGrace)
	}
	f.follow(g, facts.Proxies, now, &out)
	for _, r := range facts.Rejections {
		out.Rejected = append(out.Rejected, rejection(r))
	}
	next := time.Duration(0)
	for _, p := range facts.Proxies {
		if !p.Programmed && upToDate(p, now) {
			out.Programmed++
		}
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
