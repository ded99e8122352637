// SPDX-License-Identifier: Apache-2.0

package routes_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/internal/configsync"
)

func TestEgressScopeTravels(t *testing.T) {
	const ns = "egress"
	installKongCRDs(t)
	kubectl(t, manifest(ns, walkthrough)+"---"+manifest(ns, plugins), "apply", "-f", "-")
	s := start(t, ns)
	var address string
	eventually(t, "backends", func() error {
		f := s.cp.Facts(s.gateway)
		if len(f.Backends) != 1 {
			return fmt.Errorf("facts are %+v", f)
		}
		address = f.Backends[0].Addresses[0]
		return nil
	})
	s.cp.SetEgress(s.gateway, map[string]string{address: "h1"})
	s.wantScope(address, configsync.ScopeEntry{EgressHash: "h1"})

	// Paused, and the scope in force does not cover the backend.
	paused := s.spec()
	paused.ScopeFrozen = true
	s.cp.SetGateway(paused)
	s.cp.SetEgress(s.gateway, nil)
	s.wantScope(address, configsync.ScopeEntry{Held: true})
	s.wantProblems("Service http-echo ScopeFrozen")
	s.wantEvent("http-echo", "KongConfigurationApplyFailed", "the gateway is paused")

	s.cp.SetEgress(s.gateway, map[string]string{address: "h1"})
	s.wantScope(address, configsync.ScopeEntry{EgressHash: "h1"})
	s.wantProblems()
}

// TestFleetReportsAreTold holds that what proxies report reaches the gateway's
// problems and, once, the events.
func TestFleetReportsAreTold(t *testing.T) {
	const ns = "fleet-reports"
	installKongCRDs(t)
	kubectl(t, manifest(ns, walkthrough)+"---"+manifest(ns, plugins), "apply", "-f", "-")
	s := start(t, ns)
	eventually(t, "backends", func() error {
		if f := s.cp.Facts(s.gateway); len(f.Backends) != 1 || !f.Synced {
			return fmt.Errorf("facts are %+v", f)
		}
		return nil
	})
	address := netip.MustParseAddrPort(s.cp.Facts(s.gateway).Backends[0].Addresses[0])
	s.acknowledge()
	report := func(r configsync.Report) {
		s.server.mu.Lock()
		s.server.reports[s.stream()] = r
		s.server.mu.Unlock()
		s.cp.FleetChanged(context.Background(), s.gateway)
	}
	pending := configsync.Report{
		ScopePending: []configsync.ScopePending{{Address: address, Since: time.Now()}}, Errors: []string{"the disk is full"},
	}
	report(pending)
	s.wantProblems("KongIstioGateway edge ProxyError", "Service http-echo ScopePending")
	s.wantEvent("http-echo", "KongConfigurationApplyFailed", address.String())
	s.wantEvent("edge", "KongConfigurationApplyFailed", "the disk is full")
	pending.ScopePending[0].Since = time.Now().Add(time.Second)
	report(pending)
	s.wantProblems("KongIstioGateway edge ProxyError", "Service http-echo ScopePending")
	list := &eventsv1.EventList{}
	if err := kube.List(t.Context(), list, client.InNamespace(ns)); err != nil {
		t.Fatal(err)
	}
	told := 0
	for _, e := range list.Items {
		if e.Action == "ScopePending" {
			told++
		}
	}
	if told != 1 {
		t.Errorf("%d events about the pending address, want 1", told)
	}
	report(configsync.Report{})
	s.wantProblems()
}

// wantScope waits until the newest configuration says so of an address.
func (s *system) wantScope(address string, want configsync.ScopeEntry) {
	s.t.Helper()
	eventually(s.t, "scope", func() error {
		s.server.mu.Lock()
		snap := s.server.published[s.stream()]
		s.server.mu.Unlock()
		r, ok := snap.Records.Get(configsync.KeyDigest(configsync.ScopeKey(netip.MustParseAddrPort(address))))
		if !ok {
			return fmt.Errorf("no entry for %s", address)
		}
		got, err := configsync.DecodeSetting(r.Value)
		if err != nil {
			return err
		}
		if scope, ok := got.(*configsync.ScopeEntry); !ok || *scope != want {
			return fmt.Errorf("the entry of %s is %+v, want %+v", address, got, want)
		}
		return nil
	})
}

// wantProblems waits for the gateway's problems, each as "Kind name Reason".
func (s *system) wantProblems(problems ...string) {
	s.t.Helper()
	eventually(s.t, "problems", func() error {
		var got []string
		for _, p := range s.cp.Facts(s.gateway).Problems {
			got = append(got, p.Object.Kind+" "+p.Object.Name+" "+p.Reason)
		}
		slices.Sort(got)
		return want("list of problems", got, problems, slices.Equal)
	})
}

// wantEvent waits for an event about an object.
func (s *system) wantEvent(name, reason, text string) {
	s.t.Helper()
	eventually(s.t, "event", func() error {
		list := &eventsv1.EventList{}
		if err := kube.List(s.t.Context(), list, client.InNamespace(s.gateway.Namespace)); err != nil {
			return err
		}
		for _, e := range list.Items {
			if e.Regarding.Name == name && e.Reason == reason && strings.Contains(e.Note, text) {
				return nil
			}
		}
		return fmt.Errorf("no event %s with %q about %s", reason, text, name)
	})
}
